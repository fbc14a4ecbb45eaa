"""No prediction at all: the feedback current that a neuron receives is its error."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, final

import torch
from torch import Tensor

from learning.feedback_control.prediction import Prediction
from learning.model import Model
from rate_bridge.errors import InputError
from spiking.presentation import Observation

__all__ = ["FeedbackCurrent"]


@final
@dataclass(frozen=True)
class FeedbackCurrent(Prediction):
    r"""One presentation, nothing to compare it with.

    .. math::
        \delta_l = (\bar u\, Q_l) \odot g_l, \qquad \delta_L = \bar u\, Q_L

    with the mean control signal over the window and the feedback weights as they were programmed. The
    gate keeps silent hidden neurons, which a small current does not wake, from learning; output neurons
    have none, so that a silent one can be woken. It is cheap and has the noise of one presentation
    instead of two, but nothing subtracts what the controller must do for reasons other than an error, such
    as a loop that has not settled.

    Source: Saponati et al. 2026, arXiv 2602.13261 (plasticity by the feedback current); the slope is
    that of the closed form, Meulemans et al. 2021, arXiv 2106.07887, lemma 1.

    Args:
        gate: :math:`g_l` of hidden layers: ``active``, 1 where the neuron spiked in the window (for rate
            neurons: where its rate is not 0) and 0 elsewhere; ``slope``, the slope of its curve as the rule
            knows it, at the measured rate.
    """

    gate: str = "active"

    origin: ClassVar[str] = "none"
    predicts: ClassVar[bool] = False

    def __post_init__(self) -> None:
        if self.gate not in ("active", "slope"):
            raise InputError("rule.prediction.gate", self.gate, "active, slope")

    @property
    def uses_model(self) -> bool:  # type: ignore[override]
        return self.gate == "slope"

    def rates(self, observation: Observation, model: Model) -> tuple[Tensor, ...]:
        """Return the controlled rates: nothing else was measured."""
        return observation["controlled"].rates[1:]

    def errors(self, observation: Observation, model: Model) -> tuple[Tensor, ...]:
        controlled = observation["controlled"]
        assert controlled.control is not None
        currents = [torch.matmul(controlled.control, q.to(controlled.control)) for q in model.feedback]
        hidden = zip(currents[:-1], controlled.rates[1:-1], strict=True)
        gated = (current * self._gate(index, rate, model) for index, (current, rate) in enumerate(hidden))
        return (*gated, currents[-1])

    def _gate(self, index: int, rate: Tensor, model: Model) -> Tensor:
        return model.slope(index, rate) if self.gate == "slope" else (rate != 0).to(rate)
