"""Deep Feedback Control with a dynamic controller, for spiking and for rate chips."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, ClassVar, final

from learning.feedback_control.controlled import ControlledRule
from learning.feedback_control.gains import ControllerGains
from learning.stimulus import Batch
from root.ranges import SHARE, check_ranges
from spiking.presentation import Controller

__all__ = ["ControllerGains", "DeepFeedbackControl"]


@final
@dataclass(frozen=True)
class DeepFeedbackControl(ControlledRule):
    r"""Deep Feedback Control; see `ControlledRule` for how it learns.

    Without `nudge` the output is pushed to the target itself. With it, the output is pushed a small
    way down the loss from where it is without feedback, so that a free phase comes first:
    :math:`r^* = r_L^- - \lambda\,\partial L / \partial r_L^-`, which is
    :math:`r_L^- + \lambda\,(target - r_L^-)` for the squared error (``output: linear``) and
    :math:`r_L^- + \lambda\,(target - \mathrm{softmax}(r_L^-))` for the cross-entropy (``softmax``).

    Source: Meulemans et al. 2021, arXiv 2106.07887.

    Args:
        nudge: λ in (0, 1], or None.
    """

    nudge: Annotated[float, SHARE] | None = None

    name: ClassVar[str] = "dfc"

    def __post_init__(self) -> None:
        ControlledRule.__post_init__(self)
        check_ranges(self, "rule")

    @property
    def compares_softmax(self) -> bool:
        return self.output == "softmax" and self.nudge is None

    def target(self, batch: Batch) -> Controller:
        softmax = self.output == "softmax"
        if self.nudge is None:
            return self.controller.towards(batch.target, softmax=softmax)
        return self.controller.towards(batch.target, softmax=softmax, nudge_from="free", nudge=self.nudge)
