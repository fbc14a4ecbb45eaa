"""What the readers of a user's own files have in common: checks by row and column, scaling, a test set."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Literal

import numpy as np
from numpy.typing import NDArray

from root.errors import InputError
from root.files import checksum
from root.ranges import INNER, SEED, check_ranges
from root.seeds import SeedTree
from spiketrain.tasks.base import Task, TaskData, stratified_split

__all__ = ["OwnFiles", "numbered"]

Floats = NDArray[np.float64]
Labels = NDArray[np.int64]
Pair = tuple[Floats, Labels]


@dataclass(frozen=True)
class OwnFiles(Task):
    """A task of files of the user's own; concrete ones say how they are read.

    Args:
        scaling: ``minmax`` maps every input from its range in the training set onto [0, 1], test values
            beyond that range to its ends; ``none`` takes values as they are.
        test_fraction: share of the samples, of every label alike, that is held out for tests where the
            files bring no test set.
        split_seed: which ones.
    """

    scaling: Literal["none", "minmax"] = "none"
    test_fraction: Annotated[float, INNER] = 0.2
    split_seed: Annotated[int, SEED] = 0

    def __post_init__(self) -> None:
        check_ranges(self)

    def _refuse_split(self, why: str) -> None:
        """Refuse the keys of a split that is not made."""
        for name, default in (("test_fraction", 0.2), ("split_seed", 0)):
            if getattr(self, name) != default:
                raise InputError(f"task.{name}", getattr(self, name), f"{default} (the default): {why}")

    def _finished(self, place: str, train: Pair, test: Pair | None, classes: int) -> TaskData:
        """Return the task of samples that were read.

        Args:
            place: what they were read from, to blame.
            train: inputs, ``(samples, inputs)``, and labels.
            test: the same, or None where they are to be held out.
            classes: number of labels.
        """
        arrays = {"x": train[0], "y": train[1]}
        arrays |= {} if test is None else {"x_test": test[0], "y_test": test[1]}
        if test is None:
            generator = SeedTree(self.split_seed).child("test split").generator()
            keep, held = stratified_split(train[1], self.test_fraction, generator, "task.test_fraction")
            train, test = (train[0][keep], train[1][keep]), (train[0][held], train[1][held])
        if self.scaling == "minmax":
            low, high = train[0].min(axis=0), train[0].max(axis=0)
            train, test = (_scaled(train[0], low, high), train[1]), (_scaled(test[0], low, high), test[1])
        for x, _ in (train, test):
            if x.min() < 0.0 or x.max() > 1.0:
                given = f"values from {x.min():g} to {x.max():g}"
                raise InputError(place, given, "values from 0 to 1", "task.scaling: minmax rescales them")
        return TaskData.of_arrays(train, test, classes=classes, sha256=checksum(arrays))


def numbered(
    place: str, names: Sequence[Any], known: Sequence[Any] | None = None
) -> tuple[Labels, list[Any]]:
    """Return labels as numbers 0, 1, …, and their names in that order.

    Names that are all integers are in the order of the numbers, others in that of the alphabet.

    Args:
        place: where they were read, to blame.
        names: one per sample.
        known: the names that there are; None takes those that occur.

    Raises:
        InputError: there is one name alone, or one that is not known.
    """
    texts = [str(name) for name in names]
    if known is None:
        known = sorted(set(texts), key=lambda text: (0, int(text), "") if _integer(text) else (1, 0, text))
        if len(known) < 2:
            raise InputError(place, f"the label {known[0]!r} alone", "two labels or more")
    places = {name: index for index, name in enumerate(known)}
    for row, text in enumerate(texts):
        if text not in places:
            allowed = f"a label of the training set: {', '.join(map(str, known))}"
            raise InputError(place, f"{text!r} in sample {row}", allowed)
    return np.array([places[text] for text in texts], dtype=np.int64), list(known)


def _integer(text: str) -> bool:
    return text.removeprefix("-").isdecimal()


def _scaled(x: Floats, low: Floats, high: Floats) -> Floats:
    """Map [low, high] onto [0, 1]; an input that never changes becomes 0."""
    return np.asarray(np.clip((x - low) / np.where(high > low, high - low, 1.0), 0.0, 1.0))
