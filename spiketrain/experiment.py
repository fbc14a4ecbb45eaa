"""An experiment, from its configuration to its report.

A task gives samples; chips, each with its own hidden mismatch, are shown them with a controller in the
loop where the rule asks for one; what is observed becomes an update; the weights are programmed back;
everything is recorded.
"""

from __future__ import annotations

import functools
import time
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, NamedTuple, final

import torch

from chips.wire.remote import RemoteChips
from learning.rule import Update
from learning.stimulus import Batch
from mismatch import oracle
from root.errors import DamagedError, InputError
from spiketrain.arms.lesson import Lesson
from spiketrain.config import Experiment
from spiketrain.describe import trained as trained_line
from spiketrain.deviations import deviations, table
from spiketrain.divergence import not_finite
from spiketrain.evaluation import confusion, evaluate, judged, look_at_a_sample, measure, score
from spiketrain.free_running import free_runs
from spiketrain.hooks import Hooks
from spiketrain.losing import lost_cards
from spiketrain.moments import moments
from spiketrain.naming import named, of_network, with_names
from spiketrain.observing import Masked, asked, seen
from spiketrain.parts import Parts, build
from spiketrain.record import (
    Folder,
    Progress,
    RunRecord,
    Store,
    pack_state,
    progress,
    read_checkpoint,
    unpack_state,
)
from spiketrain.record.files import tensors_of
from spiketrain.record.metrics import METRICS
from spiketrain.record.resuming import as_ours, check_shapes
from spiketrain.record.run import CHECKPOINT, CHIPS, INITIAL, MOMENTS, REFERENCE, TRUTH, Checkpoint
from spiketrain.tasks.arrays import Given
from spiketrain.telling import batch_done, check_tracker, epoch_done, tracked
from spiketrain.tracking import Log
from spiking.presentation import Observation, Weights

__all__ = [
    "RunResult",
    "default_folder",
    "identify",
    "learn",
    "named",
    "restored",
    "run",
    "run_in_memory",
    "trained",
]

NO_HOOKS = Hooks()


@final
@dataclass(frozen=True)
class RunResult:
    """A finished run.

    Args:
        store: its files.
        summary: the content of its ``summary.json``.
        parts: what met in it, as it was at the end.
    """

    store: Store
    summary: Mapping[str, Any]
    parts: Parts

    @property
    def directory(self) -> Path:
        """Where the run is; a run in memory has no such place."""
        if not isinstance(self.store, Folder):
            raise AttributeError("a run in memory has no directory")
        return self.store.path


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
        record = _opened(parts, directory, given, resume=resume)
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
        record = RunRecord.in_memory(config, _identity(parts), files)
        return _recorded(parts, record, hooks, shown, Told(data_dir, given), report=False)


class Told(NamedTuple):
    """Where a run's data are from."""

    data_dir: Path | None
    given: Given | None


def _recorded(
    parts: Parts, record: RunRecord, hooks: Hooks, shown: Progress, told: Told, *, report: bool
) -> RunResult:
    """Train, from where the parts are, and write what a finished run leaves."""
    with record, lost_cards(), tracked(parts, record, trained_line(_identity(parts))) as log:
        shown.start(trained_line(_identity(parts)), parts.batches_per_epoch, parts.epoch)
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
        summary = _finish(parts, record, pace, reference, report=report)
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


def learn(parts: Parts, batch: Batch, learning_rate: float) -> tuple[Update, Observation]:
    """Show a batch to the chips, turn what is observed into an update, and apply it to the model.

    Args:
        parts: everything that meets.
        batch: what is shown.
        learning_rate: step size.

    Returns:
        what the rule wanted, and what it saw.
    """
    rule, model = parts.rule, parts.model
    chips = parts.population(batch)
    rule.prepare(model)
    model.on_chip = parts.optimizer.on_chip(learning_rate)
    taught = parts.arm.teach(Lesson(rule, chips, batch, model))
    parts.saw |= seen(taught.observation)
    parts.presented += taught.presentations if chips is parts.chips else 0
    update = taught.update
    masked = Masked(model, taught.answers)
    before = [w.detach().clone() for w in model.forward_weights] if rule.follows else []
    parts.optimizer.apply(update, learning_rate)
    model.remember(update.feedback, update.memory)
    masked.undo()
    if rule.follows:
        pairs = zip(model.forward_weights, before, strict=True)
        rule.follow(tuple(w.detach() - earlier for w, earlier in pairs), model)
    parts.average.update()
    reported = parts.arm.reported(taught)
    return reported.update, reported.observation


def identify(parts: Parts, batch: Batch) -> None:
    """Show a batch to the chips from which the rule learns about them before it is trained.

    What it wants to change of the weights is changed, without a step size.

    Args:
        parts: everything that meets.
        batch: what is shown.
    """
    rule, model = parts.rule, parts.model
    chips = parts.population(batch)
    rule.prepare(model)
    chips.program(model.weights())
    phases = asked(rule, rule.warmup(batch, model))
    observation = chips.present(phases, *batch.key)
    parts.presented += sum(phase.batch for phase in phases) if chips is parts.chips else 0
    parts.saw |= seen(observation)
    update = rule.identify(batch, observation, model)
    masked = Masked(model, chips.answers)
    model.remember(update.feedback, update.memory)
    known = [(index, change) for index, change in enumerate(update.of(model.network)) if change is not None]
    for index, change in known:
        model.forward_weights[index].data += change.weight()
    masked.undo()
    if known:
        parts.average.update()


def trained(experiment: Experiment, directory: Path, data_dir: Path | None = None) -> Parts:
    """Return the parts of a finished run as they were at its last checkpoint.

    Raises:
        InputError: there is no such run in `directory`, or it is another experiment's.
    """
    parts = build(experiment, data_dir)
    _opened(parts, directory, None, resume=True).close()
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
    return parts


def _warm_up(parts: Parts, record: RunRecord) -> Mapping[str, torch.Tensor | float]:
    """Let the rule identify the chips, where it wants to; record and return where training starts from."""
    first = parts.experiment.before()
    if first is not None:
        parts.begin_with(_taught_before(first, parts))
    parts.arm.begin(parts.chips, parts.model)
    for batch in parts.warmup_batches():
        identify(parts, batch)
    record.initial_weights(named(parts.model.weights()))
    scores = _scores(parts)
    columns: dict[str, torch.Tensor | float] = {**scores, "presentations": float(parts.presented)}
    record.epoch(0, columns)
    return columns


def _taught_before(first: Experiment, parts: Parts) -> Weights:
    """Return what a network learns elsewhere, before the chips see it; see `Experiment.before`."""
    other = build(first, None, parts.data)
    for batch in other.warmup_batches():
        identify(other, batch)
    while other.epoch < first.training.epochs:
        for batch in other.batches(other.epoch):
            learn(other, batch, other.learning_rate)
        other.epoch += 1
    return other.average.weights()


def _conclude(parts: Parts, record: RunRecord, progress: Progress) -> Mapping[str, torch.Tensor | float]:
    """Test, write the epoch's rows, save what is needed to go on from here, and return the columns."""
    scores, rate = _scores(parts), parts.learning_rate
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


def _scores(parts: Parts) -> dict[str, torch.Tensor]:
    if parts.data.free_run is not None:
        runs = free_runs(parts, "test")
        return {
            "test_accuracy": 1.0 - runs.errors(),
            "free_error": runs.errors(),
            "valid_ms": runs.valid_ms(),
        }
    scores = {"test_accuracy": evaluate(parts, "test")}
    if parts.data.has_validation:
        scores["validation_accuracy"] = evaluate(parts, "validation")
    return scores


def _opened(parts: Parts, directory: Path, given: Given | None, *, resume: bool) -> RunRecord:
    """Make the run directory, or go on with one, from its checkpoint."""
    experiment = parts.experiment
    config, files = experiment.kept(parts.data, given)
    if not resume:
        return RunRecord.create(directory, config, _identity(parts), files)
    said = experiment.resolved(defaults=False)
    restore = functools.partial(_rehearsed, parts)
    return RunRecord.resume(directory, config, _identity(parts), files, said=said, restore=restore)


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


def _finish(
    parts: Parts, record: RunRecord, pace: dict[str, float], reference: RunResult | None, *, report: bool
) -> dict[str, Any]:
    if parts.data.free_run is not None:
        runs = free_runs(parts, "test")
        runs.save(record.store)
        accuracy, sample, confused = 1.0 - runs.errors(), None, None
    else:
        said, wanted = judged(parts, "test")
        accuracy = score(said, wanted)
        classify = parts.data.kind == "classification"
        confused = confusion(said, wanted, parts.data.classes).numpy() if classify else None
        sample = look_at_a_sample(parts)
    seen = moments(parts) if parts.experiment.analysis.moments else None
    parts.chips.program(parts.deployed())
    summary = record.finish(
        {
            "epochs": parts.epoch,
            "test_accuracy": accuracy.tolist(),
            "diverged_chips": parts.diverged(),
            "set_back_chips": parts.set_back(),
            "silent_chips": {str(chip): why for chip, why in parts.chips.silent.items()},
            "saw": sorted(parts.saw),
            "reference": None if reference is None else reference.summary["test_accuracy_mean"],
            "data_sha256": parts.data.fingerprint,
            **({} if seen is None else {"latency_ms": seen.latencies}),
            **pace,
        },
        named(parts.deployed()),
        _truth(parts, record.store),
        sample,
        confused,
        tables=_tables(parts, reference) | ({} if seen is None else {MOMENTS: seen.table}),
    )
    if report and isinstance(record.store, Folder):
        from spiketrain.report import write  # noqa: PLC0415 (matplotlib, only where it is needed)

        write(record.store.path)
    return summary


def _tables(parts: Parts, reference: RunResult | None) -> dict[str, bytes]:
    """Return what is known for the report alone: what the chips drew, and how one without mismatch did."""
    tables = {} if reference is None else {REFERENCE: reference.store.read(METRICS)}
    if parts.experiment.chips.elsewhere:
        return tables
    drew = deviations(parts.model.network, parts.experiment.build_mismatch())
    return tables | ({CHIPS: table(drew)} if drew else {})


def _truth(parts: Parts, store: Store) -> dict[str, torch.Tensor] | None:
    """Return what the chips are made of, where it is known here; isolated ones write it themselves."""
    chips = parts.chips
    if not parts.experiment.chips.elsewhere:
        return oracle.flatten(oracle.reveal(chips))
    if isinstance(chips, RemoteChips) and parts.experiment.chips.reveal and isinstance(store, Folder):
        chips.retire(str((store.path / TRUTH).resolve()))
    return None


def _identity(parts: Parts) -> dict[str, Any]:
    """Return the first fields of ``summary.json``."""
    experiment = parts.experiment
    resolved = experiment.resolved()
    return {
        "task": experiment.task.name,
        "rule": experiment.rule.name,
        "arm": experiment.training.arm.name,
        "simulator": experiment.simulator.name,
        "neuron": parts.model.network.layers[0].neuron.model,
        "layers": list(parts.model.network.sizes),
        "chips": parts.chips.chips,
        "mismatch": resolved["mismatch"],
        "seed": experiment.training.seed,
        "epochs": experiment.training.epochs,
    }
