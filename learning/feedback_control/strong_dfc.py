"""Strong Deep Feedback Control: least control, weights and feedback learnt at once."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import ClassVar, final

from learning.feedback_control.controlled import ControlledRule
from learning.feedback_control.feedback_weights import FeedbackWeights
from learning.feedback_control.online import OnlineFeedback
from learning.feedback_control.prediction import Basal, Prediction
from learning.stimulus import Batch
from spiking.presentation import Controller

__all__ = ["StrongDFC"]


@final
@dataclass(frozen=True)
class StrongDFC(ControlledRule):
    r"""The output is held at a soft label; learning descends the control effort :math:`\frac12 |u Q|^2`.

    With ``feedback: online`` one noisy presentation trains forward and feedback weights (one phase),
    with ``feedback: learned`` the feedback weights have presentations of their own (two phases). The
    plasticity is that of `ControlledRule`.

    Source: Meulemans et al. 2022, arXiv 2204.07249.
    """

    prediction: Prediction = field(default_factory=Basal)
    feedback: FeedbackWeights = field(default_factory=OnlineFeedback)

    name: ClassVar[str] = "strong_dfc"

    def target(self, batch: Batch) -> Controller:
        return self.controller.towards(batch.target, softmax=self.output == "softmax")
