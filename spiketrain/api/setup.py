"""An experiment to be run from Python: `load` makes one, `Setup.fit` runs it."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, final

from rate_bridge.sequences import Sequences, Series
from root.errors import InputError
from spiketrain.api import arguments
from spiketrain.api.fitted import Run
from spiketrain.api.objects import plain
from spiketrain.commands.messages import show_messages
from spiketrain.config import Experiment, dump_yaml, find_config
from spiketrain.config.experiment import named_mapping
from spiketrain.experiment import run, run_in_memory
from spiketrain.hooks import BatchDone, EpochDone, Hooks
from spiketrain.reading import assign
from spiketrain.tasks.arrays import Given

if TYPE_CHECKING:
    from numpy.typing import ArrayLike

    from learning.rule import LearningRule
    from spiketrain.api.sections import Analysis, Bridge, Graph, Mismatch, Network, Simulator, Training
    from spiketrain.tasks.base import Task
    from spiketrain.tracking import Tracker

__all__ = ["Setup", "build", "load"]

Source = str | os.PathLike[str] | Mapping[str, Any]

UNNAMED = {"name": "arrays"}
"""The task of a config that names none: samples that `Setup.fit` is given."""


def load(source: Source, changes: Mapping[str, Any] | None = None) -> Setup:
    """Return the experiment that a config describes.

    Args:
        source: the name of a shipped config (``spiketrain configs`` lists them), the path of a YAML file,
            the folder of a run, or a mapping of sections. In a mapping, parts may be objects:
            ``{"rule": DeepFeedbackControl(), "network": {"layers": [64, 100, 10], "neuron": LIF(bias=1.0)},
            ...}``; without a ``task`` the samples are those that `Setup.fit` is given.
        changes: dotted keys and values, ``{"training.epochs": 1, "mismatch.weight": Normal(cv=0.1)}``;
            ``{"task": None}`` takes a config's task away, for samples of another size.

    Raises:
        InputError: the first thing that is wrong, with its key.
    """
    if isinstance(source, Mapping):
        data = {"name": "experiment", **plain(source, "")}
    elif isinstance(source, str | os.PathLike):
        data = _read(os.fspath(source))
    else:
        raise InputError("source", source, "a config's name, the path of a file, or a mapping of sections")
    return Setup(_changed(data, changes))


def build(
    *,
    network: Network | Graph | Mapping[str, Any],
    rule: LearningRule | str,
    training: Training | Mapping[str, Any],
    simulator: Simulator | str,
    mismatch: Mismatch | Mapping[str, Any] | None = None,
    task: Task | str | None = None,
    bridge: Bridge | Mapping[str, Any] | None = None,
    analysis: Analysis | Mapping[str, Any] | None = None,
    chips: Mapping[str, Any] | None = None,
    limits: Mapping[str, Any] | None = None,
    name: str = "experiment",
) -> Setup:
    """Return the experiment that objects describe: what a config says, in its sections.

    Args:
        network: the design, such as ``Network([64, 100, 10], LIF(bias=1.0))``.
        rule: how it is learned.
        training: how long and how fast.
        simulator: the machine that stands for the chips, and its clock.
        mismatch: how many chips there are, and how they deviate; one without deviations if left out.
        task: where samples are from; left out, they are those that `Setup.fit` is given.
        bridge: between values, spikes and rates.
        analysis: what is looked at beyond the accuracies.
        chips: keys that say where the chips are.
        limits: keys that say what a run may take.
        name: what the run's folder is called after.

    Raises:
        InputError: the first thing that is wrong, with its key.
    """
    sections = {
        "name": name,
        "network": network,
        "mismatch": mismatch,
        "chips": chips,
        "bridge": bridge,
        "rule": rule,
        "simulator": simulator,
        "training": training,
        "analysis": analysis,
        "limits": limits,
        "task": task,
    }
    return load({key: value for key, value in sections.items() if value is not None})


@final
class Setup:
    """An experiment that is ready to run; `load` makes one. It does not change.

    Args:
        data: a config as plain data; without a task it is for samples that `fit` is given.
    """

    def __init__(self, data: Mapping[str, Any]) -> None:
        self.data = dict(data)
        if self.data.get("task") is None:
            self.data.pop("task", None)
        self._takes_arrays = "task" not in self.data
        self.experiment = Experiment.from_mapping({"task": UNNAMED, **self.data})

    def change(self, changes: Mapping[str, Any]) -> Setup:
        """Return the experiment with some keys changed; see `load`."""
        return Setup(_changed(self.data, changes))

    @property
    def config(self) -> dict[str, Any]:
        """The whole config as plain data, every default written out."""
        return self.experiment.resolved()

    @property
    def yaml(self) -> str:
        """The whole config as a YAML text, for ``spiketrain --config``."""
        return dump_yaml(self.config)

    def fit(
        self,
        x: ArrayLike | Sequences | None = None,
        y: ArrayLike | Series | None = None,
        *,
        test: tuple[ArrayLike | Sequences, ArrayLike | Series] | float = 0.2,
        validation: tuple[ArrayLike | Sequences, ArrayLike | Series] | None = None,
        folder: str | os.PathLike[str] | None = None,
        resume: bool = False,
        data_dir: str | os.PathLike[str] | None = None,
        on_batch: Callable[[BatchDone], Any] | None = None,
        on_epoch: Callable[[EpochDone], Any] | None = None,
        tracker: Tracker | str | None = None,
        report: bool = True,
    ) -> Run:
        """Train the chips, as ``spiketrain --config`` does, and return the run.

        Args:
            x: inputs in [0, 1], ``(samples, inputs)``, numpy, torch or pandas; images ``(samples, 8, 8)``
                are 64 inputs. Samples over time are a `Series` or `Events`. Without `x` and `y`, the config's
                own task is taken.
            y: integer labels, ``(samples,)``, or for a regression wanted outputs in [0, 1],
                ``(samples, outputs)``, or a `Series` of wanted outputs over time.
            test: the same two for the tests after every epoch, or the share of the samples that is held
                out for them, every label by its share.
            validation: the same two, for ``validation_accuracy``; without it ``training.validation`` says
                what is held out.
            folder: where the run is written, with its samples and its report; None keeps the same files,
                with the same bits, in memory.
            resume: go on with the run in `folder`.
            data_dir: where the data files of the config's task lie.
            on_batch: called with a `BatchDone` after every training batch.
            on_epoch: called with an `EpochDone` after every epoch; ``on_epoch=print`` prints a line. A call
                of either that returns True, such as an `EarlyStopping`'s, ends the run after the epoch.
            tracker: what else is told how the run goes, such as ``TensorBoard("runs/events")``, or the name
                of one: the config's ``analysis.tracker``.
            report: draw the page and figures of a run in a folder.

        Raises:
            InputError: the first thing that is wrong, with its key or the argument's name.
            SimulationError: a simulator failed.
        """
        show_messages(quiet=False)  # what takes long, such as compiling, is said as in a terminal
        hooks = Hooks(on_batch, on_epoch)
        given = self.samples(x, y, test, validation)
        told = self if tracker is None else self.change({"analysis.tracker": tracker})
        experiment = told.experiment
        if given is not None:
            experiment = Experiment.from_mapping({**told.data, "task": given.task})
        data = None if data_dir is None else _folder("data_dir", data_dir, exists=True)
        if folder is None:
            if resume:
                raise InputError("resume", resume, "a folder to go on with, folder=...")
            done = run_in_memory(experiment, data_dir=data, quiet=True, given=given, hooks=hooks)
        else:
            place = _folder("folder", folder)
            done = run(
                experiment,
                place,
                resume=resume,
                data_dir=data,
                quiet=True,
                report=report,
                given=given,
                hooks=hooks,
            )
        return Run(done.store, done.parts)

    def samples(self, x: Any, y: Any, test: Any = 0.2, validation: Any = None) -> Given | None:
        """Return the samples that are in arguments of `fit`; None where it is given none.

        Args:
            x: as for `fit`.
            y: as for `fit`.
            test: as for `fit`.
            validation: as for `fit`.
        """
        if x is None and y is None:
            if self._takes_arrays:
                raise InputError("x", None, "an array: the config names no task")
            for name, value, default in (("test", test, 0.2), ("validation", validation, None)):
                if not (value is None or (isinstance(value, float) and value == default)):
                    raise InputError(
                        name, type(value).__name__, "nothing without x and y: the task brings its own"
                    )
            return None
        for name, value in (("x", x), ("y", y)):
            if value is None:
                raise InputError(name, None, "an array: both x and y, or neither")
        sizes = self.experiment.build_network().sizes
        lines = self.experiment.build_encoding().lines
        told = isinstance(x, Sequences) and lines(x.inputs) == sizes[0]
        ends = arguments.Ends(x.inputs if told else sizes[0], sizes[-1])
        return Given(arguments.samples(x, y, test, validation, ends))

    def __repr__(self) -> str:
        one = self.experiment
        sizes = "-".join(str(size) for size in one.build_network().sizes)
        task = "arrays" if self._takes_arrays else one.task.name
        chips = f"{one.mismatch.chips} chip{'' if one.mismatch.chips == 1 else 's'}"
        return f"<spiketrain {one.name}: {one.rule.name} on {task}, {sizes}, {chips}, {one.simulator.name}>"


def _read(name: str) -> dict[str, Any]:
    folder = Path(name)
    try:
        if folder.is_dir() and (folder / "config.yaml").is_file():
            return named_mapping(folder / "config.yaml")
        return named_mapping(find_config(name))
    except InputError as error:
        if error.key != "--config":
            raise
        raise InputError("source", error.given, error.allowed, error.fix) from None


def _changed(data: Mapping[str, Any], changes: Mapping[str, Any] | None) -> dict[str, Any]:
    if changes is not None and not isinstance(changes, Mapping):
        raise InputError("changes", changes, "dotted keys and values, such as {'training.epochs': 1}")
    changed = dict(data)
    for key, value in (changes or {}).items():
        if not isinstance(key, str) or not all(key.split(".")):
            raise InputError("changes", key, "section.key, such as training.epochs")
        changed = assign(changed, key.split("."), plain(value, key), "changes")
    return changed


def _folder(name: str, given: Any, *, exists: bool = False) -> Path:
    if not isinstance(given, str | os.PathLike):
        raise InputError(name, given, "the path of a folder")
    path = Path(given)
    if exists and not path.is_dir():
        raise InputError(name, str(path), "an existing folder")
    return path
