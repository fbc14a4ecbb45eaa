"""Who is told how a run goes: callbacks, after every batch and epoch, and the config's tracker."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from learning.rule import Update
from spiketrain.config import Experiment
from spiketrain.hooks import BatchDone, EpochDone
from spiketrain.parts import Parts
from spiketrain.record import Folder, RunRecord
from spiketrain.tracking import NO_LOG, Log, Started

__all__ = ["batch_done", "check_tracker", "epoch_done", "tracked"]


def check_tracker(experiment: Experiment, folder: Path | None) -> None:
    """Raise `InputError` where the config's tracker, if it has one, cannot be told of a run.

    Args:
        experiment: the configuration.
        folder: the run's; None for one in memory.
    """
    tracker = experiment.build_tracker()
    if tracker is not None:
        tracker.check(folder)


@contextmanager
def tracked(parts: Parts, record: RunRecord, title: str) -> Iterator[Log]:
    """Tell the config's tracker what is done, if it has one, and let go of it however the run ends.

    Args:
        parts: what meets in the run.
        record: where it is written.
        title: what it is, in a line.
    """
    experiment = parts.experiment
    tracker = experiment.build_tracker()
    if tracker is None:
        yield NO_LOG
        return
    folder = record.store.path if isinstance(record.store, Folder) else None
    log = tracker.start(Started(experiment.name, title, experiment.resolved(), folder, parts.epoch))
    try:
        yield log
    except BaseException:
        log.close(failed=True)
        raise
    log.close(failed=False)


def batch_done(parts: Parts, number: int, update: Update) -> BatchDone:
    """Return what is told after a batch.

    Args:
        parts: what meets in the run.
        number: of the batch in its epoch, from 1.
        update: what it taught.
    """
    error = None if update.residual is None else _array(update.residual, parts.model.chips)
    measures = {name: _array(value, parts.model.chips) for name, value in update.measures.items()}
    return BatchDone(parts.epoch + 1, number, parts.batches_per_epoch, error, measures)


def epoch_done(parts: Parts, columns: Mapping[str, torch.Tensor | float]) -> EpochDone:
    """Return what is told after an epoch.

    Args:
        parts: what meets in the run.
        columns: what was measured, each ``(chips,)`` or one number for all.
    """
    values = {name: _array(value, parts.chips.chips) for name, value in columns.items()}
    return EpochDone(parts.epoch, parts.experiment.training.epochs, values)


def _array(value: torch.Tensor | float, chips: int) -> NDArray[np.float64]:
    """Return a number per chip, ``(chips,)``, as an array of its own."""
    values = value.detach().cpu().numpy() if isinstance(value, torch.Tensor) else np.asarray(value)
    return np.array(np.broadcast_to(values.astype(np.float64), (chips,)))
