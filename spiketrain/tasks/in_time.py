"""What the readers of samples over time have in common: scaling, a test set, and what is refused where."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar, Literal

import numpy as np
import torch
from numpy.typing import NDArray

from rate_bridge.sequences import Events, Form, Sequences, Series
from root.errors import InputError
from root.files import checksum
from root.ranges import INNER, SEED, TIME_MS, check_ranges
from root.seeds import SeedTree
from spiketrain.tasks.base import Task, TaskData, stratified_split

__all__ = ["EventFiles", "Raw", "SeriesFiles", "held_out", "refuse_split", "scaled"]

Labels = NDArray[np.int64]
Pair = tuple[Sequences, Labels]


@dataclass(frozen=True)
class SeriesFiles(Task):
    """A task of values over time in files of the user's own; concrete ones say how they are read.

    Args:
        step_ms: how long a value is shown.
        scaling: ``minmax`` maps every input from its range in the training set onto [0, 1], test values
            beyond that range to its ends; ``none`` takes values as they are.
        test_fraction: share of the samples, of every label alike, that is held out for tests where the
            files bring no test set.
        split_seed: which ones.
    """

    step_ms: Annotated[float, TIME_MS] = 10.0
    scaling: Literal["none", "minmax"] = "none"
    test_fraction: Annotated[float, INNER] = 0.2
    split_seed: Annotated[int, SEED] = 0

    form: ClassVar[Form | None] = "series"

    def __post_init__(self) -> None:
        check_ranges(self)

    def _finished(
        self,
        place: str,
        train: tuple[Sequence[NDArray[Any]], Labels],
        test: tuple[Sequence[NDArray[Any]], Labels] | None,
        classes: int,
    ) -> TaskData:
        """Return the task of samples that were read, each ``(time, inputs)``, finite, and their labels."""
        first: Pair = (Series.of(train[0], self.step_ms), train[1])
        second: Pair | None = None
        if test is not None:
            refuse_split(self, "the files bring a test set")
            second = (Series.of(test[0], self.step_ms), test[1])
        pairs = {"x": first, **({} if second is None else {"x_test": second})}
        checked = {name: _numbers(x) for name, (x, _) in pairs.items()}
        labels = {f"{name}, labels": y for name, (_, y) in pairs.items()}
        parts = {f"{name}, parts": x.parts.numpy() for name, (x, _) in pairs.items()}
        shares = (self.test_fraction, self.split_seed)
        kept, held = (first, second) if second is not None else held_out(first, *shares)
        if self.scaling == "minmax":
            kept, held = scaled(kept, held)
        for x, _ in (kept, held):
            low, high = float(_numbers(x).min()), float(_numbers(x).max())
            if low < 0.0 or high > 1.0:
                given = f"values from {low:g} to {high:g}"
                raise InputError(place, given, "values from 0 to 1", "task.scaling: minmax rescales them")
        return TaskData.of_arrays(
            kept, held, classes=classes, sha256=checksum({**checked, **labels, **parts})
        )


def scaled(train: Pair, test: Pair) -> tuple[Pair, Pair]:
    """Return series whose inputs are mapped from their range in the training set onto [0, 1].

    Args:
        train: the training set.
        test: the tests; what is beyond that range is at its ends.
    """
    values = _numbers(train[0])
    low, high = values.min(axis=0), values.max(axis=0)
    return _between(train, low, high), _between(test, low, high)


def _between(pair: Pair, low: NDArray[Any], high: NDArray[Any]) -> Pair:
    x = pair[0]
    assert isinstance(x, Series)
    values = np.clip((x.values.numpy() - low) / np.where(high > low, high - low, 1.0), 0.0, 1.0)
    return Series(torch.from_numpy(values), x.parts, x.step_ms), pair[1]


def _numbers(x: Sequences) -> NDArray[Any]:
    assert isinstance(x, Series)
    return np.asarray(x.values.numpy())


class Raw:
    """Events of samples as they are read, one after the other, each looked at.

    Args:
        inputs: number of inputs.
        to_ms: what a unit of the times is in ms.
    """

    def __init__(self, inputs: int, to_ms: float) -> None:
        self.inputs, self.to_ms = inputs, to_ms
        self.times: list[NDArray[np.float64]] = []
        self.units: list[NDArray[np.int64]] = []

    def add(self, place: str, times: NDArray[Any], units: NDArray[Any]) -> None:
        """Take a sample.

        Args:
            place: file and sample, to blame.
            times: of its events, in order; the first one need not be 0.
            units: the input of each.

        Raises:
            InputError: it has no event, or one that cannot be.
        """
        for name, values, kinds in (("times", times, "fiu"), ("units", units, "iu")):
            if values.dtype.kind not in kinds or values.ndim != 1:
                allowed = "whole numbers" if kinds == "iu" else "numbers"
                given = f"{name} of shape {values.shape} of {values.dtype}"
                raise InputError(place, given, f"{allowed}, one for each event")
        if len(times) != len(units):
            raise InputError(place, f"{len(times)} times and {len(units)} units", "as many of both")
        if len(times) == 0:
            raise InputError(place, "no event", "one event or more", "Leave the sample out.")
        when = times.astype(np.float64) * self.to_ms
        bad = np.flatnonzero(~np.isfinite(when) | (when < 0))
        if len(bad):
            raise InputError(f"{place}, event {bad[0]}", f"time {times[bad[0]]}", "a time of 0 or more")
        back = np.flatnonzero(np.diff(when) < 0)
        if len(back):
            event = int(back[0]) + 1
            given = f"time {times[event]} after {times[event - 1]}"
            fix = "Sort the events of a sample by time."
            raise InputError(f"{place}, event {event}", given, "times that do not run backwards", fix)
        if units.min() < 0 or units.max() >= self.inputs:
            event = int(np.flatnonzero((units < 0) | (units >= self.inputs))[0])
            allowed = f"a unit from 0 to {self.inputs - 1}"
            raise InputError(f"{place}, event {event}", f"unit {units[event]}", allowed)
        self.times.append(when)
        self.units.append(units.astype(np.int64))

    def events(self, from_first: bool, most_ms: float | None) -> Events:
        """Return the samples.

        Args:
            from_first: whether a sample begins with its first event, or at time 0.
            most_ms: events from here on are left out; None for none.
        """
        times = [when - when[0] if from_first else when for when in self.times]
        if most_ms is not None:
            kept = [when < most_ms for when in times]
            times = [when[there] for when, there in zip(times, kept, strict=True)]
            units = [unit[there] for unit, there in zip(self.units, kept, strict=True)]
            return Events.of(times, units, self.inputs)
        return Events.of(times, self.units, self.inputs)


@dataclass(frozen=True)
class EventFiles(Task):
    """A task of events in files of the user's own; concrete ones say how they are read.

    Args:
        most_ms: events from here on are left out; null for none.
        from_first: whether a sample begins with its first event, or at time 0.
        test_fraction: share of the samples, of every label alike, that is held out for tests where the files
            bring no test set.
        split_seed: which ones.
    """

    most_ms: Annotated[float, TIME_MS] | None = None
    from_first: bool = False
    test_fraction: Annotated[float, INNER] = 0.2
    split_seed: Annotated[int, SEED] = 0

    form: ClassVar[Form | None] = "events"

    def __post_init__(self) -> None:
        check_ranges(self)

    def _finished(self, train: tuple[Raw, Labels], test: tuple[Raw, Labels] | None, classes: int) -> TaskData:
        """Return the task of samples that were read, and their labels."""
        if test is not None:
            refuse_split(self, "the files bring a test set")
        read = {"train": train, **({} if test is None else {"test": test})}
        arrays: dict[str, NDArray[Any]] = {}
        for name, (raw, labels) in read.items():
            arrays |= {f"{name}.times": np.concatenate(raw.times), f"{name}.units": np.concatenate(raw.units)}
            arrays |= {f"{name}.labels": labels, f"{name}.parts": np.array([len(t) for t in raw.times])}
        first: Pair = (train[0].events(self.from_first, self.most_ms), train[1])
        shares = (self.test_fraction, self.split_seed)
        if test is None:
            kept, held = held_out(first, *shares)
        else:
            kept, held = first, (test[0].events(self.from_first, self.most_ms), test[1])
        return TaskData.of_arrays(kept, held, classes=classes, sha256=checksum(arrays))


def held_out(pair: Pair, share: float, seed: int) -> tuple[Pair, Pair]:
    """Return training set and tests, of which every label has its share."""
    x, y = pair
    generator = SeedTree(seed).child("test split").generator()
    keep, held = stratified_split(y, share, generator, "task.test_fraction")
    return (x[keep], y[keep.numpy()]), (x[held], y[held.numpy()])


def refuse_split(task: SeriesFiles | EventFiles, why: str) -> None:
    """Refuse the keys of a split that is not made."""
    for name, default in (("test_fraction", 0.2), ("split_seed", 0)):
        if getattr(task, name) != default:
            raise InputError(f"task.{name}", getattr(task, name), f"{default} (the default): {why}")
