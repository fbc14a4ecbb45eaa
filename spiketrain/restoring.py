"""A run that goes on, or is looked at again: its parts as they were at its last checkpoint."""

from __future__ import annotations

import functools
from pathlib import Path

from root.errors import DamagedError, InputError
from spiketrain.config import Experiment
from spiketrain.divergence import not_finite
from spiketrain.identity import identity
from spiketrain.naming import named, of_network, with_names
from spiketrain.parts import Parts, build
from spiketrain.record import RunRecord, Store, read_checkpoint, unpack_state
from spiketrain.record.files import tensors_of
from spiketrain.record.resuming import as_ours, check_shapes
from spiketrain.record.run import CHECKPOINT, INITIAL, Checkpoint
from spiketrain.tasks.arrays import Given
from spiketrain.teaching import learn

__all__ = ["opened", "restored", "trained"]


def trained(experiment: Experiment, directory: Path, data_dir: Path | None = None) -> Parts:
    """Return the parts of a finished run as they were at its last checkpoint.

    Raises:
        InputError: there is no such run in `directory`, or it is another experiment's.
    """
    parts = build(experiment, data_dir)
    opened(parts, directory, None, resume=True).close()
    return parts


def restored(experiment: Experiment, store: Store, data_dir: Path | None = None) -> Parts:
    """Return the parts of a run as they were at its last checkpoint, by its files alone; nothing is written.

    Args:
        experiment: what the run's own config says.
        store: its files.
        data_dir: where data files lie.

    Raises:
        InputError: it has no checkpoint, or a damaged one.
    """
    parts = build(experiment, data_dir)
    checkpoint = read_checkpoint(store)
    if checkpoint is None:
        raise InputError("folder", f"no {CHECKPOINT}", "the folder of a run that has one")
    _restore(parts, store, checkpoint)
    parts.model.relay = parts.rule.relay(parts.model)
    return parts


def opened(parts: Parts, directory: Path, given: Given | None, *, resume: bool) -> RunRecord:
    """Make the run directory, or go on with one, from its checkpoint."""
    experiment = parts.experiment
    config, files = experiment.kept(parts.data, given)
    if not resume:
        return RunRecord.create(directory, config, identity(parts), files)
    said = experiment.resolved(defaults=False)
    restore = functools.partial(_rehearsed, parts)
    return RunRecord.resume(directory, config, identity(parts), files, said=said, restore=restore)


def _rehearsed(parts: Parts, store: Store, checkpoint: Checkpoint) -> None:
    """Go on from a checkpoint of which one batch shows that training can: what is wrong is said before.

    Optimisers and rules make parts of their state in their first step, so that only a step tells whether a
    state is theirs. What the batch changed is restored.

    Raises:
        DamagedError: it is not one of this run.
    """
    _restore(parts, store, checkpoint)
    if parts.epoch >= parts.experiment.training.epochs:
        return
    with as_ours(store.place(CHECKPOINT)):
        learn(parts, next(iter(parts.batches(parts.epoch))), parts.learning_rate)
    _restore(parts, store, checkpoint)


def _restore(parts: Parts, store: Store, checkpoint: Checkpoint) -> None:
    """Go on from a checkpoint.

    Raises:
        DamagedError: it is not one of this run.
    """
    parts.epoch, tensors, extra = checkpoint
    place = store.place(CHECKPOINT)
    with as_ours(place):
        parts.restore(unpack_state(tensors, extra["state"]))
        weights = parts.model.weights()
        unnamed = not_finite(weights) - {int(chip) for chip in parts.watch.state}
    for chip in unnamed:
        raise DamagedError(f"{place}: model", f"weights of chip {chip} that are not finite", "finite weights")
    if INITIAL in store:
        stored, _ = tensors_of(store.read(INITIAL), store.place(INITIAL))
        found = with_names(stored, of_network(parts.model.network))
        wanted = {name: value for name, value in named(weights).items() if not name.startswith("feedback.")}
        check_shapes(store.place(INITIAL), found, wanted)
