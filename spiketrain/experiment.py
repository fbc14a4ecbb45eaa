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
from typing import Any, final

import torch

from learning.rule import Update
from learning.stimulus import Batch
from mismatch import oracle
from rate_bridge.errors import DamagedError
from spiketrain.config import Experiment
from spiketrain.divergence import not_finite
from spiketrain.evaluation import evaluate, look_at_a_sample, measure
from spiketrain.parts import Parts, build
from spiketrain.record import Progress, RunRecord, pack_state, unpack_state
from spiketrain.record.files import read_tensors
from spiketrain.record.resuming import check_shapes
from spiketrain.record.run import INITIAL, Checkpoint
from spiking.presentation import Observation, Weights

__all__ = ["RunResult", "default_folder", "identify", "learn", "run", "trained"]

NOT_OURS = (ArithmeticError, AttributeError, LookupError, RuntimeError, TypeError, ValueError)
"""What a state that is not this run's makes everything say that takes it."""


@final
@dataclass(frozen=True)
class RunResult:
    """Where a run is, and its ``summary.json``."""

    directory: Path
    summary: Mapping[str, Any]


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
) -> RunResult:
    """Run an experiment and write its directory.

    Args:
        experiment: what to do.
        output: the run directory; by default `default_folder`.
        resume: go on from the checkpoint in `output`.
        data_dir: where data files lie.
        quiet: print nothing.
        report: draw the figures and the page too.

    Raises:
        InputError: the configuration, the data or the directory are wrong; nothing was written.
        SimulationError: a simulator failed.
    """
    directory = output or default_folder(experiment)
    parts = build(experiment, data_dir)
    with _opened(parts, directory, resume=resume) as record:
        if parts.epoch == 0:
            _warm_up(parts, record)
        with record.progress(
            experiment.training.epochs, parts.batches_per_epoch, done=parts.epoch, quiet=quiet
        ) as progress:
            pace = _train(parts, record, progress)
        summary = _finish(parts, record, pace, report=report)
    return RunResult(directory, summary)


def _train(parts: Parts, record: RunRecord, progress: Progress) -> dict[str, float]:
    clock, shown = time.perf_counter(), 0
    while parts.epoch < parts.experiment.training.epochs:
        for batch in parts.batches(parts.epoch):
            update, observation = learn(parts, batch, parts.learning_rate)
            parts.watch.batch(observation)
            record.batch(update.residual, update.measures, observation)
            progress.batch()
            shown += len(batch.x) * parts.model.chips
        _conclude(parts, record, progress)
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
    chips.program(model.weights())
    observation = chips.present(rule.presentation(batch, model), *batch.key)
    update = rule.update(batch, observation, model)
    before = [w.detach().clone() for w in model.forward_weights] if rule.follows else []
    parts.optimizer.apply(update, learning_rate)
    model.remember(update.feedback, update.memory)
    if rule.follows:
        pairs = zip(model.forward_weights, before, strict=True)
        rule.follow(tuple(w.detach() - earlier for w, earlier in pairs), model)
    parts.average.update()
    return update, observation


def identify(parts: Parts, batch: Batch) -> None:
    """Show a batch to the chips from which the rule learns its feedback weights alone.

    Args:
        parts: everything that meets.
        batch: what is shown.
    """
    rule, model = parts.rule, parts.model
    chips = parts.population(batch)
    rule.prepare(model)
    chips.program(model.weights())
    update = rule.identify(batch, chips.present(rule.warmup(batch, model), *batch.key), model)
    model.remember(update.feedback, update.memory)


def trained(experiment: Experiment, directory: Path, data_dir: Path | None = None) -> Parts:
    """Return the parts of a finished run as they were at its last checkpoint.

    Raises:
        InputError: there is no such run in `directory`, or it is another experiment's.
    """
    parts = build(experiment, data_dir)
    _opened(parts, directory, resume=True).close()
    return parts


def _warm_up(parts: Parts, record: RunRecord) -> None:
    """Let the rule identify the chips, where it wants to, and record where training starts from."""
    for batch in parts.warmup_batches():
        identify(parts, batch)
    record.initial_weights(named(parts.model.weights()))
    record.epoch(0, _scores(parts))


def _conclude(parts: Parts, record: RunRecord, progress: Progress) -> None:
    """Test, write the epoch's rows, and save what is needed to go on from here."""
    scores, rate = _scores(parts), parts.learning_rate
    measures = measure(parts) if parts.experiment.analysis.measures else {}
    parts.epoch += 1
    parts.watch.epoch(parts.epoch, parts.model.weights())
    steps = parts.optimizer.measures()
    record.epoch(parts.epoch, {**scores, **measures, **steps, "learning_rate": rate})
    progress.epoch(parts.epoch, {name: float(value.mean()) for name, value in scores.items()})
    tensors, description = pack_state(parts.state())
    record.checkpoint(parts.epoch, tensors, {"state": description})


def _scores(parts: Parts) -> dict[str, torch.Tensor]:
    scores = {"test_accuracy": evaluate(parts, "test")}
    if parts.data.has_validation:
        scores["validation_accuracy"] = evaluate(parts, "validation")
    return scores


def _opened(parts: Parts, directory: Path, *, resume: bool) -> RunRecord:
    """Make the run directory, or go on with one, from its checkpoint."""
    experiment = parts.experiment
    config, files = experiment.kept(parts.data)
    if not resume:
        return RunRecord.create(directory, config, _identity(parts), files)
    said = experiment.resolved(defaults=False)
    restore = functools.partial(_restore, parts)
    return RunRecord.resume(directory, config, _identity(parts), files, said=said, restore=restore)


def _restore(parts: Parts, directory: Path, checkpoint: Checkpoint) -> None:
    """Go on from a checkpoint.

    Raises:
        DamagedError: it is not one of this run.
    """
    parts.epoch, tensors, extra = checkpoint
    path = directory / "checkpoint.safetensors"
    try:
        parts.restore(unpack_state(tensors, extra["state"]))
        weights = parts.model.weights()
        unnamed = not_finite(weights) - {int(chip) for chip in parts.watch.state}
    except NOT_OURS as error:
        said = f"{type(error).__name__}: {error}".partition("\n")[0]
        raise DamagedError(str(path), "a state of something else", "the state of this run", said) from None
    for chip in unnamed:
        raise DamagedError(f"{path}: model", f"weights of chip {chip} that are not finite", "finite weights")
    initial = directory / INITIAL
    if initial.is_symlink() or initial.exists():
        wanted = {name: value for name, value in named(weights).items() if not name.startswith("feedback.")}
        check_shapes(initial, read_tensors(initial)[0], wanted)


def _finish(parts: Parts, record: RunRecord, pace: dict[str, float], *, report: bool) -> dict[str, Any]:
    accuracy = evaluate(parts, "test")
    parts.chips.program(parts.deployed())
    return record.finish(
        {
            "test_accuracy": accuracy.tolist(),
            "diverged_chips": parts.diverged(),
            "set_back_chips": parts.set_back(),
            **pace,
        },
        named(parts.deployed()),
        oracle.flatten(oracle.reveal(parts.chips)),
        look_at_a_sample(parts),
        report=report,
    )


def _identity(parts: Parts) -> dict[str, Any]:
    """Return the first fields of ``summary.json``."""
    experiment = parts.experiment
    resolved = experiment.resolved()
    return {
        "task": experiment.task.name,
        "rule": experiment.rule.name,
        "arm": experiment.training.arm,
        "simulator": experiment.simulator.name,
        "neuron": parts.model.network.layers[0].neuron.model,
        "layers": list(parts.model.network.sizes),
        "chips": parts.chips.chips,
        "mismatch": resolved["mismatch"],
        "seed": experiment.training.seed,
        "epochs": experiment.training.epochs,
    }


def named(weights: Weights) -> dict[str, torch.Tensor]:
    """Return weights by name: ``forward.1`` …, ``bias.1`` …, ``feedback.1`` …."""
    groups = {"forward": weights.forward, "bias": weights.bias, "feedback": weights.feedback}
    return {
        f"{group}.{index}": value
        for group, values in groups.items()
        for index, value in enumerate(values, start=1)
    }
