"""Chips are taught: a batch is shown, what is observed becomes an update, and the weights change."""

from __future__ import annotations

import json
from collections import OrderedDict

from learning.rule import Update
from learning.stimulus import Batch
from root import plugins
from spiketrain.arms.lesson import Lesson
from spiketrain.config import Experiment
from spiketrain.observing import Masked, asked, seen
from spiketrain.parts import Parts, build
from spiking.presentation import Observation, Weights

__all__ = ["identify", "learn", "taught_before"]


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


KEPT = 4
"""How many networks that were taught elsewhere are kept: trials of a search begin with the same one."""

_kept: OrderedDict[tuple[object, ...], Weights] = OrderedDict()


def taught_before(first: Experiment, parts: Parts) -> Weights:
    """Return what a network learns elsewhere, before the chips see it; see `Experiment.before`.

    What was taught a moment ago, from the same config, samples and parts, is not taught again.
    """
    said = json.dumps({**first.resolved(), "name": None}, sort_keys=True, default=str)
    key = (said, parts.data.fingerprint, plugins.registered())
    if key not in _kept:
        _kept[key] = _taught(first, parts)
    _kept.move_to_end(key)
    while len(_kept) > KEPT:
        _kept.popitem(last=False)
    return _kept[key]


def _taught(first: Experiment, parts: Parts) -> Weights:
    other = build(first, None, parts.data)
    for batch in other.warmup_batches():
        identify(other, batch)
    while other.epoch < first.training.epochs:
        for batch in other.batches(other.epoch):
            learn(other, batch, other.learning_rate)
        other.epoch += 1
    return other.average.weights()
