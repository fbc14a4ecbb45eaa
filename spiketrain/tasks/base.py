"""What a task is: samples with labels or wanted outputs, split for training, validation and test."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, ClassVar, Literal, final

import numpy as np
import torch
from numpy.typing import ArrayLike
from torch import Tensor

from learning.stimulus import Batch, Stimulus
from rate_bridge.sequences import Form, Samples, Sequences, Series, form_of, split
from root.errors import InputError
from root.files import checksum
from root.seeds import SeedTree
from spiketrain.tasks.files import MEMORY_BYTES
from spiketrain.tasks.kept import parts_of

__all__ = ["SPLITS", "Answers", "FreeRun", "Split", "Task", "TaskData", "stratified_split"]

Split = Literal["train", "validation", "test"]

Answers = Tensor | Series
"""Labels or wanted outputs, one for every sample; or wanted outputs over time."""

SPLITS: tuple[Split, ...] = ("train", "validation", "test")


@final
@dataclass(frozen=True)
class FreeRun:
    """How a network that runs a dynamical system is tested.

    Args:
        dt_ms: time step of the samples.
        controlled: steps at the beginning of a test sample in which the controller is on.
        skipped: steps after that in which the error does not count.
        train: steps of a training sample.
        test: steps of a test sample.
    """

    dt_ms: float
    controlled: int
    skipped: int
    train: int
    test: int


@final
@dataclass(frozen=True)
class TaskData:
    """The samples of a task.

    Args:
        x_train, x_val, x_test: inputs in [0, 1], float64, ``(samples, inputs)``, or samples over time, values
            (:class:`rate_bridge.sequences.Series`) or events; without a validation set, `x_val` has no
            samples.
        y_train, y_val, y_test: int64 labels ``(samples,)``, or for a regression wanted outputs in
            [0, 1], float64, ``(samples, outputs)``; over time a `Series` of wanted outputs, NaN where nothing
            is wanted; of a classification it has 1 for the right output and 0 for the others.
        classes: number of outputs.
        kind: whether the y are labels, wanted outputs, or the states of a system over time; then the x are
            ``(samples, time, inputs)`` and the y, which are taken as they are, ``(samples, time, outputs)``.
        sha256: checksum of what was read from files, or None where nothing was.
        free_run: how a network that runs a system is tested; of that kind alone.

    Raises:
        InputError: shapes that do not fit, or labels that are none.
    """

    x_train: Samples
    y_train: Answers
    x_test: Samples
    y_test: Answers
    x_val: Samples
    y_val: Answers
    classes: int
    kind: Literal["classification", "regression", "dynamics"] = "classification"
    sha256: str | None = None
    free_run: FreeRun | None = None

    def __post_init__(self) -> None:
        if (self.kind == "dynamics") != (self.free_run is not None):
            raise InputError("free_run", self.free_run, "one for dynamics, none for others")
        if self.kind == "dynamics":
            _check_over_time(self)
            return
        for name in ("train", "test", "val"):
            x, y = getattr(self, f"x_{name}"), getattr(self, f"y_{name}")
            _check_inputs(f"x_{name}", x, self.x_train)
            _check_answers(f"y_{name}", y, len(x), self)

    @classmethod
    def of_arrays(
        cls,
        train: tuple[ArrayLike | Sequences, ArrayLike],
        test: tuple[ArrayLike | Sequences, ArrayLike],
        validation: tuple[ArrayLike | Sequences, ArrayLike] | None = None,
        *,
        classes: int,
        sha256: str | None = None,
    ) -> TaskData:
        """Return a classification task of arrays ``(x, y)``."""
        x_train, y_train = _tensors(*train)
        x_test, y_test = _tensors(*test)
        x_val, y_val = (x_train[:0], y_train[:0]) if validation is None else _tensors(*validation)
        return cls(x_train, y_train, x_test, y_test, x_val, y_val, classes, sha256=sha256)

    @property
    def fingerprint(self) -> str:
        """SHA-256 of all samples and what is wanted of them, wherever they came from."""
        names = [f"{what}_{split}" for split in ("train", "val", "test") for what in "xy"]
        arrays: dict[str, np.ndarray] = {}
        for name in names:
            value = getattr(self, name)
            tensors = {"": value} if isinstance(value, Tensor) else parts_of(value)[0]
            arrays |= {f"{name}.{part}" if part else name: np.asarray(t) for part, t in tensors.items()}
        return checksum(arrays)

    @property
    def inputs(self) -> int:
        """Number of inputs."""
        x = self.x_train
        return int(x.shape[-1]) if isinstance(x, Tensor) else x.inputs

    @property
    def form(self) -> Form:
        """What samples are: a value per input, values over time, or events."""
        return form_of(self.x_train)

    @property
    def lasting_ms(self) -> float:
        """How long the longest sample lasts; 0 where samples do not say."""
        parts = [x for x in (self.x_train, self.x_test, self.x_val) if isinstance(x, Sequences) and len(x)]
        return max((float(x.lasting_ms.max()) for x in parts), default=0.0)

    @property
    def has_validation(self) -> bool:
        """Whether there is a validation set."""
        return len(self.x_val) > 0

    def split(self, name: Split) -> tuple[Samples, Answers]:
        """Return the inputs and labels of a part."""
        parts = {
            "train": (self.x_train, self.y_train),
            "validation": (self.x_val, self.y_val),
            "test": (self.x_test, self.y_test),
        }
        return parts[name]

    def hold_out(self, fraction: float, seeds: SeedTree) -> TaskData:
        """Return the task with a random fraction of the training set as its validation set.

        Labels keep their shares. A fraction of 0 changes nothing.
        """
        if fraction == 0.0:
            return self
        labels = self.y_train
        if self.kind == "regression" or not isinstance(labels, Tensor):
            labels = torch.zeros(len(self.y_train))
        keep, held = stratified_split(labels.numpy(), fraction, seeds.generator(), "training.validation")
        return replace(
            self,
            x_train=self.x_train[keep],
            y_train=self.y_train[keep],
            x_val=self.x_train[held],
            y_val=self.y_train[held],
        )

    def wanted(self, y: Tensor, target_rates: tuple[float, float]) -> Tensor:
        """Return what answers are judged by: labels, or for a regression the wanted rates."""
        return y if self.kind == "classification" else self.targets(y, target_rates)

    def shown(
        self,
        x: Samples,
        y: Answers,
        key: tuple[str | int, ...],
        target_rates: tuple[float, float],
        stimulus: Stimulus | None = None,
    ) -> Batch:
        """Return samples and what is wanted of them as a batch.

        Args:
            x: inputs.
            y: labels or wanted outputs.
            key: names the batch.
            target_rates: low and high.
            stimulus: how they will be shown, where that has several windows or targets change over time.
        """
        if isinstance(y, Series):
            if stimulus is None:
                raise InputError("stimulus", None, "how samples are shown: what is wanted changes over time")
            low, high = target_rates
            coded = replace(y, values=low + (high - low) * y.values)
            return stimulus.towards(Batch(x, torch.zeros(0), key), coded)
        target = self.targets(y, target_rates)
        batch = Batch(x, target, key, moves=self.kind == "dynamics")
        return batch if stimulus is None else stimulus.towards(batch, target)

    def targets(self, y: Tensor, target_rates: tuple[float, float]) -> Tensor:
        """Return the wanted rates, ``(samples, outputs)``: low for wrong outputs, high for the right one."""
        if self.kind == "dynamics":
            return y
        low, high = target_rates
        coded = y if self.kind == "regression" else torch.nn.functional.one_hot(y, self.classes).double()
        return low + (high - low) * coded

    def train_batches(
        self,
        epoch: int,
        batch_size: int,
        seeds: SeedTree,
        target_rates: tuple[float, float],
        stimulus: Stimulus | None = None,
    ) -> Iterator[Batch]:
        """Yield the training set in an order of the epoch's own.

        What is left over after the last whole batch is not shown in this epoch.

        Args:
            epoch: counted from 0.
            batch_size: samples per batch.
            seeds: where the order comes from, by its child ``("shuffle", epoch)``.
            target_rates: low and high.
            stimulus: how they will be shown; see `shown`.
        """
        order = seeds.child("shuffle", epoch).generator().permutation(len(self.x_train))
        for index in range(len(order) // batch_size):
            rows = torch.from_numpy(order[index * batch_size : (index + 1) * batch_size])
            key = ("train", epoch, index)
            yield self.shown(self.x_train[rows], self.y_train[rows], key, target_rates, stimulus)

    def chunks(
        self,
        part: Split,
        size: int,
        target_rates: tuple[float, float] = (0.0, 1.0),
        stimulus: Stimulus | None = None,
    ) -> Iterator[tuple[Batch, Answers]]:
        """Yield a part in its own order, `size` samples at a time, each with its labels."""
        x, y = self.split(part)
        for index, inputs in enumerate(split(x, size)):
            answers = y[index * size : index * size + len(inputs)]
            yield self.shown(inputs, answers, (part, index), target_rates, stimulus), answers


@dataclass(frozen=True)
class Task(ABC):
    """A source of samples; concrete tasks are frozen dataclasses, their fields are their keys."""

    own_validation: ClassVar[bool] = False
    """Whether the task brings a validation set, so that none is held out."""

    anchored: ClassVar[tuple[str, ...]] = ()
    """Fields that are paths which, in a config file, start from its folder."""

    form: ClassVar[Form | None] = "values"
    """What its samples are: a value per input, values over time (``series``), or ``events``; None where only
    the data say."""

    @property
    def shape(self) -> tuple[int, int] | None:
        """Number of inputs and of outputs, where they are known before the data are read."""
        return None

    @property
    def free_run(self) -> FreeRun | None:
        """How a network that runs a system is tested, where the task is one; None elsewhere."""
        return None

    @abstractmethod
    def load(self, data_dir: Path | None, memory_bytes: int = MEMORY_BYTES) -> TaskData:
        """Return the samples.

        Args:
            data_dir: folder that relative file names start from; None for the current one.
            memory_bytes: what the samples may take; files are not unpacked where they would take more.

        Raises:
            InputError: a file is missing or wrong.
        """

    def copies(self) -> tuple[dict[str, Any], dict[str, bytes]]:
        """Return the keys that are different in the folder of a run, and the files they refer to there."""
        return {}, {}


def _check_over_time(data: TaskData) -> None:
    """Refuse inputs and states that are not there in the same steps of the same samples."""
    for name in ("train", "test", "val"):
        x, y = getattr(data, f"x_{name}"), getattr(data, f"y_{name}")
        for key, value, size in ((f"x_{name}", x, data.inputs), (f"y_{name}", y, data.classes)):
            wanted = (*x.shape[:2], size)
            if value.ndim != 3 or tuple(value.shape) != wanted or not value.is_floating_point():
                given, allowed = f"{tuple(value.shape)} of {value.dtype}", f"(samples, time, {size})"
                raise InputError(key, given, f"{allowed}, in floating point")


def _check_inputs(name: str, x: Samples, first: Samples) -> None:
    """Refuse anything but a row per sample: images are laid out first, and a time series is no row."""
    if isinstance(x, Sequences) or isinstance(first, Sequences):
        if type(x) is not type(first) or x.inputs != first.inputs:  # type: ignore[union-attr]
            given = type(x).__name__ if type(x) is not type(first) else f"{x.inputs} inputs"  # type: ignore[union-attr]
            raise InputError(name, given, "samples of the form and of as many inputs as x_train")
        return
    wanted = (
        "(samples, inputs)" if x is first or first.ndim != 2 else f"(samples, {first.shape[1]}), as x_train"
    )
    if x.ndim != 2 or x.shape[1] < 1 or x.shape[1:] != first.shape[1:]:
        fix = "Further axes are laid out by reshape(len(x), -1), where they are space."
        raise InputError(name, tuple(x.shape), wanted, fix)
    if not x.is_floating_point():
        raise InputError(name, str(x.dtype), "numbers in floating point")


def _check_answers(name: str, y: Answers, samples: int, data: TaskData) -> None:
    """Refuse labels or wanted outputs that are not one for every sample."""
    if isinstance(y, Series):
        if len(y) != samples or y.inputs != data.classes:
            given = f"{len(y)} series of {y.inputs} outputs"
            raise InputError(name, given, f"{samples} series of {data.classes} wanted outputs")
        return
    if data.kind == "regression":
        if y.shape != (samples, data.classes) or not y.is_floating_point():
            given = f"{tuple(y.shape)} of {y.dtype}"
            raise InputError(name, given, f"wanted outputs ({samples}, {data.classes}), in floating point")
        return
    if y.shape != (samples,) or y.is_floating_point():
        raise InputError(
            name, f"{tuple(y.shape)} of {y.dtype}", f"whole labels, one per sample, ({samples},)"
        )
    if samples and not 0 <= int(y.min()) <= int(y.max()) < data.classes:
        given = f"labels from {int(y.min())} to {int(y.max())}"
        raise InputError(name, given, f"labels from 0 to {data.classes - 1}")


def stratified_split(
    labels: np.ndarray, fraction: float, generator: np.random.Generator, key: str
) -> tuple[Tensor, Tensor]:
    """Return the sorted indices of the samples that stay and of those that are held out.

    Every label is represented in both, by its share.

    Args:
        labels: ``(samples,)``.
        fraction: share that is held out.
        generator: which ones.
        key: the config key to blame.

    Raises:
        InputError: a label has too few samples to be in both parts.
    """
    held = []
    for label in np.unique(labels):
        rows = generator.permutation(np.flatnonzero(labels == label))
        count = round(fraction * len(rows))
        if not 0 < count < len(rows):
            allowed = f"a fraction that leaves samples of label {label} in both parts ({len(rows)} in all)"
            raise InputError(key, fraction, allowed)
        held.append(rows[:count])
    out = np.sort(np.concatenate(held))
    return torch.from_numpy(np.setdiff1d(np.arange(len(labels)), out)), torch.from_numpy(out)


def _tensors(x: ArrayLike | Sequences, y: ArrayLike) -> tuple[Samples, Tensor]:
    labels = torch.from_numpy(np.array(y, dtype=np.int64))
    return (
        (x, labels) if isinstance(x, Sequences) else (torch.from_numpy(np.array(x, dtype=np.float64)), labels)
    )
