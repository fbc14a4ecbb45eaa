"""An experiment, from its configuration to its report.

A task gives samples; chips, each with its own hidden mismatch, are shown them with a controller in the
loop where the rule asks for one; what is observed becomes an update; the weights are programmed back;
everything is recorded.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import NamedTuple

import torch

from spiketrain.config import Experiment
from spiketrain.describe import trained as trained_line
from spiketrain.evaluation import measure
from spiketrain.finishing import RunResult, finish, scores_of
from spiketrain.hooks import Hooks
from spiketrain.identity import identity
from spiketrain.losing import lost_cards
from spiketrain.naming import named
from spiketrain.parts import Parts, build
from spiketrain.record import Progress, RunRecord, pack_state, progress
from spiketrain.restoring import opened
from spiketrain.tasks.arrays import Given
from spiketrain.teaching import identify, learn, taught_before
from spiketrain.telling import batch_done, check_tracker, epoch_done, tracked
from spiketrain.tracking import Log

__all__ = ["default_folder", "run", "run_in_memory"]

NO_HOOKS = Hooks()


def default_folder(experiment: Experiment) -> Path:
    """Return where a run goes that is not told where: ``runs/<name>-<time>``."""
    return Path("runs") / f"{experiment.name}-{datetime.now():%Y%m%d-%H%M%S}"


def run(
    experiment: Experiment,
    output: Path | None = None,
    *,
    resume: bool = False,
    data_dir: Path | None = None,
    quiet: bool = False,
    report: bool = True,
    given: Given | None = None,
    hooks: Hooks = NO_HOOKS,
) -> RunResult:
    """Run an experiment and write its directory.

    Args:
        experiment: what to do.
        output: the run directory; by default `default_folder`.
        resume: go on from the checkpoint in `output`.
        data_dir: where data files lie.
        quiet: print nothing.
        report: draw the figures and the page too.
        given: samples in memory, instead of the task's.
        hooks: who is told what is done.

    Raises:
        InputError: the configuration, the data or the directory are wrong; nothing was written.
        SimulationError: a simulator failed.
    """
    directory = output or default_folder(experiment)
    check_tracker(experiment, directory)
    with progress(experiment.training.epochs, quiet=quiet) as shown:
        shown.stage("reading the data")
        parts = build(experiment, data_dir, None if given is None else given.data)
        record = opened(parts, directory, given, resume=resume)
        return _recorded(parts, record, hooks, shown, Told(data_dir, given), report=report)


def run_in_memory(
    experiment: Experiment,
    *,
    data_dir: Path | None = None,
    quiet: bool = False,
    given: Given | None = None,
    hooks: Hooks = NO_HOOKS,
) -> RunResult:
    """Run an experiment and keep its files, the same as `run` would write, in memory."""
    check_tracker(experiment, None)
    with progress(experiment.training.epochs, quiet=quiet) as shown:
        shown.stage("reading the data")
        parts = build(experiment, data_dir, None if given is None else given.data)
        config, files = experiment.kept(parts.data, given)
        record = RunRecord.in_memory(config, identity(parts), files)
        return _recorded(parts, record, hooks, shown, Told(data_dir, given), report=False)


class Told(NamedTuple):
    """Where a run's data are from."""

    data_dir: Path | None
    given: Given | None


def _recorded(
    parts: Parts, record: RunRecord, hooks: Hooks, shown: Progress, told: Told, *, report: bool
) -> RunResult:
    """Train, from where the parts are, and write what a finished run leaves."""
    with record, lost_cards(), tracked(parts, record, trained_line(identity(parts))) as log:
        shown.start(trained_line(identity(parts)), parts.batches_per_epoch, parts.epoch)
        if parts.epoch == 0:
            shown.stage("testing the chips before training")
            log.epoch(epoch_done(parts, _warm_up(parts, record)))
        shown.stage("training")
        pace = _train(parts, record, shown, hooks, log)
        reference = None
        if parts.experiment.analysis.reference:
            shown.stage("training the reference, a chip without mismatch")
            reference = run_in_memory(
                parts.experiment.without_mismatch(parts.epoch),
                data_dir=told.data_dir,
                quiet=True,
                given=told.given,
            )
        shown.stage("testing, and drawing the report" if report else "testing")
        summary = finish(parts, record, pace, reference, report=report)
        log.finish(summary)
    return RunResult(record.store, summary, parts)


def _train(parts: Parts, record: RunRecord, progress: Progress, hooks: Hooks, log: Log) -> dict[str, float]:
    clock, shown, stop = time.perf_counter(), 0, False
    while parts.epoch < parts.experiment.training.epochs and not stop and not parts.spent:
        for number, batch in enumerate(parts.batches(parts.epoch), start=1):
            if parts.spent:
                break
            update, observation = learn(parts, batch, parts.learning_rate)
            parts.watch.batch(observation)
            record.batch(update.residual, update.measures, observation)
            progress.batch()
            shown += len(batch.x) * parts.model.chips
            stop |= hooks.batch(batch_done(parts, number, update))
        columns = _conclude(parts, record, progress)
        done = epoch_done(parts, columns)
        log.epoch(done)
        stop |= hooks.epoch(done)
    seconds = time.perf_counter() - clock
    return {"seconds": seconds, "train_samples_per_second": shown / max(seconds, 1e-9)}


def _warm_up(parts: Parts, record: RunRecord) -> Mapping[str, torch.Tensor | float]:
    """Let the rule identify the chips, where it wants to; record and return where training starts from."""
    first = parts.experiment.before()
    if first is not None:
        parts.begin_with(taught_before(first, parts))
    parts.arm.begin(parts.chips, parts.model)
    for batch in parts.warmup_batches():
        identify(parts, batch)
    record.initial_weights(named(parts.model.weights()))
    scores = scores_of(parts)
    columns: dict[str, torch.Tensor | float] = {**scores, "presentations": float(parts.presented)}
    record.epoch(0, columns)
    return columns


def _conclude(parts: Parts, record: RunRecord, progress: Progress) -> Mapping[str, torch.Tensor | float]:
    """Test, write the epoch's rows, save what is needed to go on from here, and return the columns."""
    scores, rate = scores_of(parts), parts.learning_rate
    measures = measure(parts) if parts.experiment.analysis.measures else {}
    parts.epoch += 1
    parts.watch.epoch(parts.epoch, parts.model.weights())
    steps = {name: value[: parts.told] for name, value in parts.optimizer.measures().items()}
    counted = {"learning_rate": rate, "presentations": float(parts.presented)}
    columns = record.epoch(parts.epoch, {**scores, **measures, **steps, **counted})
    progress.epoch(parts.epoch, {name: value.tolist() for name, value in scores.items()})
    tensors, description = pack_state(parts.state())
    record.checkpoint(parts.epoch, tensors, {"state": description})
    return columns
