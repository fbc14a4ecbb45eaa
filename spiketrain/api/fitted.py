"""A finished run in Python's hands: its history, weights, answers, activity and pictures."""

from __future__ import annotations

import io
import os
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, final

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from torch import Tensor

from root.errors import InputError, UnsupportedError
from spiketrain.api import arguments
from spiketrain.api.activity import Activity
from spiketrain.api.showing import show
from spiketrain.config import Experiment
from spiketrain.config.experiment import named_mapping
from spiketrain.evaluation import answers, confusion, judged, look_at_a_sample, score
from spiketrain.naming import layer_names, stored_names, with_names
from spiketrain.parts import Parts
from spiketrain.reading import parse
from spiketrain.record import Folder, Store, save_files
from spiketrain.record.files import json_of, tensors_of
from spiketrain.record.metrics import METRICS, checked_metrics
from spiketrain.record.run import CHIPS, REFERENCE, WEIGHTS
from spiketrain.restoring import restored

if TYPE_CHECKING:
    from numpy.typing import ArrayLike

    from spiketrain.record.samples import Samples
    from spiketrain.report.drawing import Drawing

__all__ = ["Run", "open_run"]

Array = NDArray[np.float64]


def open_run(folder: str | os.PathLike[str], *, data_dir: str | os.PathLike[str] | None = None) -> Run:
    """Return a finished run as it was at its end; nothing is written.

    Args:
        folder: of the run, whoever wrote it: `Run.save`, ``fit(folder=...)`` or the command.
        data_dir: where data files lie, if its task needs any.

    Raises:
        InputError: that is not the folder of a finished run.
    """
    if not isinstance(folder, str | os.PathLike):
        raise InputError("folder", folder, "the path of a run's folder")
    path = Path(folder)
    if not (path / "summary.json").is_file():
        raise InputError("folder", str(path), "the folder of a finished run, with summary.json")
    return Run(Folder(path), data_dir=None if data_dir is None else Path(data_dir))


@final
class Run:
    """A finished run; `Setup.fit` returns one and `open_run` reads one.

    Chips are counted from 0 on every axis; their numbers in the population are in `chips`.

    Args:
        store: its files.
        parts: what met in it; without them they are restored when something needs them.
        data_dir: where data files lie, to restore them.
    """

    def __init__(self, store: Store, parts: Parts | None = None, data_dir: Path | None = None) -> None:
        self._store, self._live, self._data_dir = store, parts, data_dir

    @property
    def folder(self) -> Path | None:
        """Where the run is; None for one in memory."""
        return self._store.path if isinstance(self._store, Folder) else None

    @cached_property
    def summary(self) -> dict[str, Any]:
        """The content of ``summary.json``."""
        content: dict[str, Any] = json_of(self._store.read("summary.json"), self._store.place("summary.json"))
        return content

    @cached_property
    def history(self) -> pd.DataFrame:
        """What was measured, by epoch and chip: ``history["test_accuracy"].unstack()`` is epochs × chips.

        Epoch 0 is before training.
        """
        checked_metrics(self._store, len(self.accuracy))
        return pd.read_csv(io.BytesIO(self._store.read(METRICS))).set_index(["epoch", "chip"])

    @cached_property
    def reference(self) -> pd.DataFrame | None:
        """The history of the same network without mismatch, by epoch; None without ``analysis.reference``."""
        if REFERENCE not in self._store:
            return None
        return pd.read_csv(io.BytesIO(self._store.read(REFERENCE))).set_index(["epoch", "chip"])

    @cached_property
    def deviations(self) -> pd.DataFrame | None:
        """What each chip drew: how its values deviate from the design, by chip, quantity and place.

        The columns are those of `spiketrain.deviations.Deviation`. None where nothing deviates, or where
        chips in another process alone know it.
        """
        if CHIPS not in self._store:
            return None
        return pd.read_csv(io.BytesIO(self._store.read(CHIPS))).set_index(["chip", "quantity", "place"])

    @property
    def accuracy(self) -> Array:
        """Test accuracy at the end, ``(chips,)``; for a regression the share of the variance explained."""
        return np.array(self.summary["test_accuracy"], dtype=np.float64)

    @property
    def worst(self) -> int:
        """The chip with the lowest test accuracy."""
        return int(np.nanargmin(self.accuracy))

    @property
    def chips(self) -> NDArray[np.int64]:
        """The chips' numbers in their population, ``(chips,)``."""
        first = int(self.summary["mismatch"].get("first_chip", 0))
        return np.arange(first, first + int(self.summary["chips"]))

    @property
    def layers(self) -> tuple[str, ...]:
        """Names of the layers, the input's first."""
        config = parse(self._store.read("config.yaml").decode(), self._store.place("config.yaml"))
        return layer_names(len(self.summary["layers"]) - 1, config.get("network"))

    @cached_property
    def weights(self) -> Mapping[str, Array]:
        """What is programmed at the end: ``weights["input->hidden"]`` is ``(chips, n_pre, n_post)``."""
        return self._programmed("forward", self._parts.model.network.connection_names)

    @cached_property
    def biases(self) -> Mapping[str, Array]:
        """The programmed biases by layer, ``(chips, n)``."""
        return self._programmed("bias", self.layers[1:])

    @cached_property
    def feedback(self) -> Mapping[str, Array]:
        """The controller's weights by layer, ``(chips, n_out, n)``; empty where there is no controller."""
        return self._programmed("feedback", self.layers[1:])

    def outputs(self, x: ArrayLike) -> Array:
        """Return the rates of the output neurons, ``(chips, samples, outputs)``; 1 is the maximal rate.

        For a classification a thousandth of the read-out trace is added, which breaks ties.

        Args:
            x: inputs in [0, 1], ``(samples, inputs)``, as for `Setup.fit`.
        """
        parts = self._parts
        given = arguments.inputs("x", x, parts.data.inputs)
        return np.asarray(answers(parts, given).double().numpy())

    def predict(self, x: ArrayLike) -> NDArray[Any]:
        """Return every chip's label for every sample, ``(chips, samples)``.

        For a regression its outputs, ``(chips, samples, outputs)``, in the units of the wanted ones.
        """
        said, data = self.outputs(x), self._parts.data
        if data.kind == "classification":
            return np.asarray(said.argmax(-1))
        low, high = self._parts.experiment.bridge.target_rates
        return (said - low) / (high - low)

    def score(self, x: ArrayLike | None = None, y: ArrayLike | None = None) -> Array:
        """Return the accuracy of every chip, ``(chips,)``, or the share of the variance explained.

        Args:
            x: inputs; with `y` left out, the test set is taken.
            y: labels or wanted outputs, as for `Setup.fit`.
        """
        if x is None and y is None:
            return np.asarray(score(*judged(self._parts, "test")).numpy())
        given, truth = self._samples(x, y)
        data, rates = self._parts.data, self._parts.experiment.bridge.target_rates
        return np.asarray(score(answers(self._parts, given), data.wanted(truth, rates)).numpy())

    def confusion(
        self, x: ArrayLike | None = None, y: ArrayLike | None = None, *, chip: int | None = None
    ) -> pd.DataFrame:
        """Return how many samples of a label (rows) were taken for which (columns).

        Args:
            x: as for `score`.
            y: as for `score`.
            chip: which chip; None adds all of them up.
        """
        if self._parts.data.kind != "classification":
            raise InputError("confusion", "a regression", "a run that classifies")
        classes = self._parts.data.classes
        if x is None and y is None:
            said, truth = judged(self._parts, "test")
        else:
            given, truth = self._samples(x, y)
            said = answers(self._parts, given)
        counts = confusion(said, truth, classes).numpy()
        chosen = counts.sum(0) if chip is None else counts[self._chip(chip)]
        index = pd.RangeIndex(classes, name="label")
        return pd.DataFrame(chosen, index, pd.RangeIndex(classes, name="predicted"))

    def activity(
        self,
        x: ArrayLike,
        y: ArrayLike | None = None,
        *,
        record: Iterable[str] = ("spikes",),
        phase: str = "free",
    ) -> Activity:
        """Show samples to the chips, as they are at the end of the run, and return what the neurons do.

        Args:
            x: inputs, as for `Setup.fit`.
            y: labels or wanted outputs, for a phase in which the rule controls the outputs.
            record: what is kept of every step: ``spikes``, ``voltage``, ``current``, ``control``,
                ``readout``; nothing keeps the rates alone.
            phase: ``free``, as in tests, or the name of one of the rule's phases, with `y`.
        """
        return show(self._parts, x, y, record=record, phase=phase, chips=self.chips)

    def plot(self, what: str = "learning", *, chip: int = 0) -> Drawing:
        """Return a figure of the report; a notebook shows it, ``.figure`` is matplotlib's.

        Args:
            what: ``learning``, ``effort``, ``raster``, ``outputs``, ``control``, ``rates``,
                ``training_rates``, ``weights``, ``alignment``, ``measures``, ``confusion`` or ``moments``.
            chip: which chip, in figures of a single sample.

        Raises:
            InputError: there is no such figure, or it does not apply to this run.
        """
        from spiketrain.report.gallery import draw  # noqa: PLC0415 (matplotlib, when something is drawn)

        return draw(self._store, what, self.sample(chip))

    def sample(self, chip: int = 0) -> Samples | None:
        """Return what a chip does with one training sample, step by step, as `plot` shows it.

        Args:
            chip: which one; of the first, what the run kept.

        Raises:
            InputError: there is no such chip, or not everything may be recorded on it.
        """
        from spiketrain.record.samples import Samples  # noqa: PLC0415 (of this method alone)

        index = self._chip(chip)
        if index == 0:
            return Samples.load(self._store)
        found = look_at_a_sample(self._parts, index)
        if found is None:
            raise UnsupportedError(
                "chip", chip, f"{self.chips[0]}: not every trace may be recorded (chips.observe)"
            )
        return found

    def figures(
        self, folder: str | os.PathLike[str], only: Iterable[str] = (), *, chip: int = 0
    ) -> list[Path]:
        """Write the figures for a paper and a talk: light and dark, as SVG and PDF, with their data as CSV.

        Args:
            folder: where to; made if missing.
            only: names as for `plot`; none: all figures that apply to this run.
            chip: which chip, in figures of a single sample.

        Returns:
            the files.

        Raises:
            InputError: there is no such figure, or one that was named does not apply to this run.
        """
        from spiketrain.report.gallery import write_pictures  # noqa: PLC0415 (matplotlib, when it is drawn)

        if not isinstance(folder, str | os.PathLike):
            raise InputError("folder", folder, "the path of a folder")
        names = [only] if isinstance(only, str) else list(only)
        return list(write_pictures(self._store, Path(folder), names, self.sample(chip)).paths)

    def report(self) -> Path:
        """Draw the page and figures of a run in a folder, and return the page's path."""
        if self.folder is None:
            raise InputError("report", "a run in memory", "a run in a folder", "run.save(folder) first.")
        from spiketrain.report import write  # noqa: PLC0415 (matplotlib, when something is drawn)

        return write(self.folder)

    def save(self, folder: str | os.PathLike[str], *, report: bool = False) -> Path:
        """Write the run's files into a new folder, from which `open_run` and the commands can go on.

        Args:
            folder: new or empty.
            report: draw its page and figures too.
        """
        if not isinstance(folder, str | os.PathLike):
            raise InputError("folder", folder, "the path of a new folder")
        path = Path(folder)
        save_files(self._store, path)
        if report:
            Run(Folder(path)).report()
        return path

    def export(
        self, folder: str | os.PathLike[str], *, effective: bool = False, reader: str = "portable"
    ) -> list[Path]:
        """Write every chip as a NIR file, as ``spiketrain export`` does.

        Args:
            folder: where to; made if missing.
            effective: what the chips compute with, instead of what was programmed.
            reader: for which program: ``portable``, ``norse``, ``snntorch``, ``spikingjelly`` or ``exact``.
        """
        from spiketrain.export import export_nir  # noqa: PLC0415 (HDF5, when something is exported)

        with self._on_disk() as run:
            return export_nir(run, Path(folder), effective=effective, reader=reader).paths

    @contextmanager
    def _on_disk(self) -> Iterator[Path]:
        if self.folder is not None:
            yield self.folder
            return
        with tempfile.TemporaryDirectory(prefix="spiketrain-") as scratch:
            save_files(self._store, Path(scratch) / "run")
            yield Path(scratch) / "run"

    @property
    def _parts(self) -> Parts:
        if self._live is None:
            assert self.folder is not None, "a run in memory has its parts"
            experiment = Experiment.from_mapping(named_mapping(self.folder / "config.yaml"))
            self._live = restored(experiment, self._store, self._data_dir)
        return self._live

    def _programmed(self, group: str, names: Sequence[str]) -> dict[str, Array]:
        """Return what was programmed, by the names of connections or populations."""
        stored = tensors_of(self._store.read(WEIGHTS), self._store.place(WEIGHTS))[0]
        tensors = with_names(stored, stored_names(names, names))
        places = {name: f"{group}.{name}" for name in names}
        return {n: np.asarray(tensors[key].numpy()) for n, key in places.items() if key in tensors}

    def _samples(self, x: Any, y: Any) -> tuple[Any, Any]:
        data, sizes = self._parts.data, self._parts.model.network.sizes
        given = arguments.inputs("x", x, data.inputs)
        truth = arguments.wanted("y", y, len(given), sizes[-1])
        if not isinstance(truth, Tensor):
            allowed = "labels or wanted outputs of whole samples: the test set's over time are in score()"
            raise InputError("y", "a Series", allowed)
        if (truth.ndim == 1) != (data.kind == "classification"):
            raise InputError("y", f"an array of {truth.ndim} axes", f"those of a {data.kind}")
        return given, truth

    def _chip(self, chip: Any) -> int:
        count = int(self.summary["chips"])
        if isinstance(chip, bool) or not isinstance(chip, int | np.integer) or not 0 <= chip < count:
            raise InputError("chip", chip, f"a chip from 0 to {count - 1}")
        return int(chip)

    def __repr__(self) -> str:
        one, accuracy = self.summary, self.accuracy
        of = f", worst {accuracy.min():.3f}" if len(accuracy) > 1 else ""
        plural = "" if len(accuracy) == 1 else "s"
        place = self.folder if self.folder is not None else "in memory"
        return (
            f"<run of {one['rule']} on {one['task']}: test accuracy {accuracy.mean():.3f}{of} "
            f"({len(accuracy)} chip{plural}, {one['epochs']} epochs), {place}>"
        )
