"""Who is told during a run what is done, and may end it early."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, final

import numpy as np
from numpy.typing import NDArray

from root.errors import InputError

__all__ = ["BatchDone", "EarlyStopping", "EpochDone", "Hooks"]


@final
@dataclass(frozen=True)
class BatchDone:
    """A training batch is done.

    Args:
        epoch: the epoch under way, counted from 1.
        batch: the batch within it, counted from 1.
        batches: how many an epoch has.
        output_error: what is left to learn, ``(chips,)``; None where the rule does not say.
        measures: what else the rule measured, each ``(chips,)``.
    """

    epoch: int
    batch: int
    batches: int
    output_error: NDArray[np.float64] | None
    measures: Mapping[str, NDArray[np.float64]]


@final
@dataclass(frozen=True)
class EpochDone:
    """An epoch is done and tested.

    Args:
        epoch: how many are done.
        epochs: how many are wanted.
        values: the columns of the history, each ``(chips,)``.
    """

    epoch: int
    epochs: int
    values: Mapping[str, NDArray[np.float64]]

    def __str__(self) -> str:
        said = [f"epoch {self.epoch} of {self.epochs}"]
        for name in ("test_accuracy", "validation_accuracy", "output_error"):
            if name in self.values:
                chips = self.values[name]
                worst = chips.max() if name == "output_error" else chips.min()
                of = f" (worst of {len(chips)} chips {worst:.3f})" if len(chips) > 1 else ""
                said.append(f"{name.replace('_', ' ')} {chips.mean():.3f}{of}")
        return "  ".join(said)


@final
@dataclass(frozen=True)
class Hooks:
    """What is called during a run; one that returns True ends the run after the epoch under way.

    Args:
        on_batch: after every training batch.
        on_epoch: after every epoch.
    """

    on_batch: Callable[[BatchDone], Any] | None = None
    on_epoch: Callable[[EpochDone], Any] | None = None

    def __post_init__(self) -> None:
        for name in ("on_batch", "on_epoch"):
            hook = getattr(self, name)
            if hook is not None and not callable(hook):
                raise InputError(name, hook, "a function of one argument, or None")

    def batch(self, done: BatchDone) -> bool:
        """Say that a batch is done; return whether to stop."""
        return self.on_batch is not None and self.on_batch(done) is True

    def epoch(self, done: EpochDone) -> bool:
        """Say that an epoch is done; return whether to stop."""
        return self.on_epoch is not None and self.on_epoch(done) is True


LOWER = ("output_error", "control_effort")

ALLOWED = ("validation_accuracy", *LOWER)


@final
class EarlyStopping:
    """Ends a run whose chips have stopped getting better: an ``on_epoch``.

    What it looks at is the mean over the chips, of the held-out part of the training set
    (``training.validation``) or of the training error. It never looks at the test set: an epoch that was
    chosen by its test accuracy has none left to be judged by.

    Args:
        patience: how many epochs without a new best are put up with.
        on: ``validation_accuracy``, ``output_error`` or ``control_effort``.
        least: by how much a new best must be better.
    """

    def __init__(self, patience: int = 3, on: str = "validation_accuracy", least: float = 0.0) -> None:
        if isinstance(patience, bool) or not isinstance(patience, int) or patience < 1:
            raise InputError("patience", patience, "a number of epochs, 1 or more")
        if on not in ALLOWED:
            fix = "Epochs are not chosen by the test set." if on == "test_accuracy" else ""
            raise InputError("on", on, ", ".join(ALLOWED), fix)
        if not 0.0 <= least < float("inf"):
            raise InputError("least", least, "a number of 0 or more")
        self.patience, self.on, self.least = patience, on, least
        self._best, self._waited = -np.inf, 0

    def __call__(self, done: EpochDone) -> bool:
        if self.on not in done.values:
            fix = "training.validation holds a part of the training set out."
            raise InputError("on", self.on, f"a column of the history: {', '.join(done.values)}", fix)
        mean = float(done.values[self.on].mean())
        score = -mean if self.on in LOWER else mean
        better = score > self._best + self.least
        self._best, self._waited = (score, 0) if better else (self._best, self._waited + 1)
        return self._waited >= self.patience
