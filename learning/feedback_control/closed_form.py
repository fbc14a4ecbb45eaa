"""Deep Feedback Control where the controlled steady state is computed instead of simulated."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import ClassVar, final

import torch
from torch import Tensor

from learning.feedback_control.feedback_weights import FeedbackWeights, WeightProduct
from learning.feedback_control.gains import ControllerGains
from learning.feedback_control.jacobian import graph_jacobian, jacobian, solve_control
from learning.feedback_control.with_feedback import RuleWithFeedback
from learning.model import Model
from learning.rule import Update, local
from learning.stimulus import Batch
from spiking.presentation import Observation, Phase

__all__ = ["ClosedFormDFC"]


@final
@dataclass(frozen=True)
class ClosedFormDFC(RuleWithFeedback):
    r"""The linear closed form of DFC (there: SSA), the limit of small nudges.

    .. math::
        u = (J Q + \alpha I)^{-1} (r^* - r_L), \qquad
        \Delta W_l \propto r_{l-1}^\top (u\, Q_l \odot \phi'_l)

    or, with `linear` off, what such a change of the potentials makes of the rates,
    :math:`\phi(v_l + u\, Q_l) - \phi(v_l)`. A free presentation gives the rates. J is that of the network
    as the rule knows it, along all connections, and at rest where some lead back; only with the true one is
    this what a controller on the chip would do, so it belongs to the arm ``oracle``, and otherwise to chips
    without mismatch and to tests.

    Source: Meulemans et al. 2021, arXiv 2106.07887, lemma 1 and section 4.

    Args:
        controller: its gains; only α counts, see `ControllerGains.alpha`.
        feedback: where the feedback weights come from.
        linear: take the slope of the curve instead of the curve, the limit of small nudges.
    """

    controller: ControllerGains = field(default_factory=ControllerGains)
    feedback: FeedbackWeights = field(default_factory=lambda: WeightProduct(None))
    linear: bool = True

    name: ClassVar[str] = "dfc_closed_form"
    needs_truth: ClassVar[bool] = True

    def trains_graphs(self, *, on_chip: bool) -> bool:
        return True

    def presentation(self, batch: Batch, model: Model) -> tuple[Phase, ...]:
        free = model.stimulus.phase("free", batch)
        return (free, *self.feedback.phases(batch, model))

    def update(self, batch: Batch, observation: Observation, model: Model) -> Update:
        rates = [rate.to(model.dtype) for rate in observation["free"].rates]
        slopes = [model.slope(index, rate) for index, rate in enumerate(rates[1:])]
        wanted = batch.target.to(rates[-1]) - rates[-1]
        control = solve_control(_response(model, slopes), model.feedback, self.controller.alpha, wanted)
        errors = [
            self._error(model, index, rates[index + 1], torch.matmul(control, q.to(control)))
            for index, q in enumerate(model.feedback)
        ]
        learned = self.feedback.estimate(batch, observation, model)
        return Update(
            connections=local(model.network, rates, errors, late=model.stimulus.late(batch, "free")),
            feedback=learned.feedback,
            memory=learned.memory,
            residual=wanted.abs().mean(dim=(1, 2)),
            measures={"control_effort": control.square().mean(dim=(1, 2)).sqrt()},
        )

    def _error(self, model: Model, index: int, rate: Tensor, current: Tensor) -> Tensor:
        """Return what the feedback current changes in the rates of layer ``index + 1``."""
        if self.linear:
            return current * model.slope(index, rate)
        transfer = model.transfer(index)
        return transfer.rate(transfer.inverse(rate) + current).to(rate) - rate


def _response(model: Model, slopes: Sequence[Tensor]) -> tuple[Tensor, ...]:
    network = model.network
    if network.dense and len(network.connections) == network.depth:
        return jacobian(model.chain_weights, slopes)
    return graph_jacobian(model, slopes)
