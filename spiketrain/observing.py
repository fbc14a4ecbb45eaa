"""What a rule asks of the chips, what it is shown, and what is left out where chips are silent."""

from __future__ import annotations

from typing import final

import torch
from torch import Tensor

from learning.model import Model
from learning.rule import LearningRule
from root.errors import UnsupportedError
from spiking.presentation import Observation, Phase

__all__ = ["Masked", "asked", "seen"]


def asked(rule: LearningRule, phases: tuple[Phase, ...]) -> tuple[Phase, ...]:
    """Return the phases that a rule wants shown.

    Raises:
        UnsupportedError: it asks for traces that it has not declared.
    """
    if more := sorted(frozenset(name for phase in phases for name in phase.record) - rule.requests):
        allowed = f"traces that it declares (requests): {', '.join(sorted(rule.requests)) or 'none'}"
        raise UnsupportedError("rule", f"{rule.name}, which asks for {', '.join(more)}", allowed)
    return phases


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
