"""No prediction at all: the feedback current that a neuron receives is its error."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, final

import torch
from torch import Tensor

from learning.feedback_control.gates import Gate
from learning.feedback_control.prediction import Prediction
from learning.model import Model
from spiking.presentation import Observation

__all__ = ["FeedbackCurrent"]


@final
@dataclass(frozen=True)
class FeedbackCurrent(Prediction):
    r"""One presentation, nothing to compare it with.

    .. math::
        \delta_l = g_l \odot (\bar u\, Q_l), \qquad \delta_L = \bar u\, Q_L

    with the mean control signal over the window and the feedback weights as they were programmed. Where
    layers relay the feedback (`network.feedback`), it is what they received, measured: :math:`\delta_l = g_l
    \odot \bar a_l`, :math:`\delta_L = \bar u`. The gates are `rule.gate`'s, at the mean rates; output
    neurons have none, so that a silent one can be woken. It is cheap and has the noise of one presentation
    instead of two, but nothing subtracts what the controller must do for reasons other than an error, such
    as a loop that has not settled.

    Source: Saponati et al. 2026, arXiv 2602.13261 (plasticity by the feedback current); Meulemans et al.
    2021, arXiv 2106.07887, lemma 1 (the slope).
    """

    origin: ClassVar[str] = "none"
    predicts: ClassVar[bool] = False
    uses_gate: ClassVar[bool] = True

    def rates(self, observation: Observation, model: Model) -> tuple[Tensor, ...]:
        """Return the controlled rates: nothing else was measured."""
        return observation["controlled"].rates[1:]

    def errors(self, observation: Observation, model: Model, gate: Gate) -> tuple[Tensor, ...]:
        controlled = observation["controlled"]
        assert controlled.control is not None
        received = controlled.apical or tuple(
            torch.matmul(controlled.control, q.to(controlled.control)) for q in model.feedback
        )
        hidden = zip(received[:-1], controlled.rates[1:-1], strict=True)
        gated = (gate.values(index, rate, model) * current for index, (current, rate) in enumerate(hidden))
        return (*gated, received[-1])
