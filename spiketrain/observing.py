"""What a rule asks of the chips, what it is shown, and what is left out where chips are silent."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple, final

import torch
from torch import Tensor

from chips.base import Chips
from learning.model import Model
from learning.rule import LearningRule
from learning.stimulus import Batch
from root.errors import UnsupportedError
from spiking.presentation import Observation, Phase, Recording

__all__ = ["Masked", "Shown", "asked", "seen", "shown"]


def asked(rule: LearningRule, phases: tuple[Phase, ...]) -> tuple[Phase, ...]:
    """Return the phases that a rule wants shown.

    Raises:
        UnsupportedError: it asks for traces that it has not declared.
    """
    if more := sorted(frozenset(name for phase in phases for name in phase.record) - rule.requests):
        allowed = f"traces that it declares (requests): {', '.join(sorted(rule.requests)) or 'none'}"
        raise UnsupportedError("rule", f"{rule.name}, which asks for {', '.join(more)}", allowed)
    return phases


class Shown(NamedTuple):
    """What came of showing a batch.

    Args:
        observation: the recordings by the name of their phase.
        answers: which chips answered every time, ``(chips,)``.
        presentations: how often a chip was shown a sample.
    """

    observation: Mapping[str, Recording]
    answers: Tensor
    presentations: int


def shown(rule: LearningRule, chips: Chips, batch: Batch, model: Model) -> Shown:
    """Program the chips and show them what the rule wants to learn from, after `LearningRule.prepare`.

    Every further program is a presentation of its own, and so is every answer to what was seen: its noise and
    its initial states are others.

    Raises:
        UnsupportedError: the rule asks for traces that it has not declared.
    """
    found: dict[str, Recording] = {}
    answers, count = torch.ones(chips.chips, dtype=torch.bool), 0

    def present(phases: tuple[Phase, ...], *key: str | int) -> None:
        nonlocal answers, count
        found.update(chips.present(asked(rule, phases), *batch.key, *key))
        answers = answers & chips.answers
        count += sum(phase.batch for phase in phases)

    for number, program in enumerate(rule.programs(batch, model)):
        chips.program(program.of(model))
        present(program.phases, *(("program", number) if number else ()))
    asking = 0
    while phases := rule.further(batch, found, model):
        present(phases, "further", asking)
        asking += 1
    return Shown(found, answers, count)


def seen(observation: Observation) -> set[str]:
    """Return in words what an observation shows."""
    words = set()
    for recording in observation.values():
        shown = {
            "rates": recording.rates,
            "rates of shadows": recording.basal,
            "control signal": recording.control is not None,
            "correlation with noise": recording.correlation,
            "what synapses changed by themselves": recording.changes,
            "relayed feedback": recording.apical,
        }
        words |= {name for name, there in shown.items() if there}
        words |= {f"{name} in every step" for name in recording.traces}
    return words


@final
class Masked:
    """The models of chips that did not answer, as they were before an update that knows nothing of them.

    Args:
        model: before the update.
        answers: which chips answered, ``(chips,)``.
    """

    def __init__(self, model: Model, answers: Tensor) -> None:
        self._model, self._silent = model, ~answers
        self._idle = bool(answers.all()) or model.chips != len(answers)
        if not self._idle:
            self._weights = [p.detach().clone() for p in model.parameters()]
            self._feedback, self._memory = model.feedback, dict(model.memory)

    def undo(self) -> None:
        """Set the models of silent chips back to what they were."""
        if self._idle:
            return
        model = self._model
        with torch.no_grad():
            for value, before in zip(model.parameters(), self._weights, strict=True):
                value[self._silent] = before[self._silent]
        pairs = zip(model.feedback, self._feedback, strict=True)
        model.feedback = tuple(self._kept(now, before) for now, before in pairs)
        for name, before in self._memory.items():
            model.memory[name] = self._kept(model.memory[name], before)

    def _kept(self, now: Tensor, before: Tensor) -> Tensor:
        """Return a tensor with the rows of silent chips as before; what has none per chip stays new."""
        if now.shape != before.shape or not now.ndim or len(now) != len(self._silent):
            return now
        rows = self._silent.to(now.device).reshape(-1, *([1] * (now.ndim - 1)))
        return torch.where(rows, before, now)
