"""Feedback weights identified on the chip by open-loop current steps."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Annotated, ClassVar, final

import torch
from torch import Tensor

from learning.feedback_control.feedback_weights import (
    Estimate,
    FeedbackWeights,
    identity,
    random_weights,
    scaled,
)
from learning.feedback_control.probing import Probe
from learning.model import Model
from learning.state import RuleState
from learning.stimulus import Batch
from root.errors import InputError
from root.ranges import BATCHES, GAIN, SHARE
from spiking.presentation import Observation, Phase

__all__ = ["IdentifiedFeedback"]


@final
@dataclass(frozen=True)
class Responses(RuleState):
    """What currents into a layer's neurons did to the output, per layer measured, running means.

    Args:
        shown: batches so far.
        measured: those that were measured on.
        jacobian: ``(chips, n_out, n_l)``.
    """

    shown: int
    measured: int
    jacobian: tuple[Tensor, ...]

    prefix: ClassVar[str] = "feedback"


@final
@dataclass(frozen=True)
class IdentifiedFeedback(FeedbackWeights):
    r"""The chip's own response of its output to a current into each hidden neuron, measured.

    Two presentations without a controller, from one state and with the same input, get the constant
    currents :math:`+n` and :math:`-n` with random signs :math:`n = \pm\sigma`:

    .. math::
        \hat J_l = \frac{1}{\sigma^2} \left\langle n_l^\top \frac{r_L^+ - r_L^-}{2} \right\rangle, \qquad
        \bar J_l \leftarrow \bar J_l + \eta_k (\hat J_l - \bar J_l), \quad \eta_k = \max(\eta, 1/k), \qquad
        Q_l \propto \bar J_l^\top

    All neurons are measured at once, since their signs are independent. What is learnt is the response
    of the true chip, mismatch included, for spiking as for rate neurons. It cannot see the deviation
    of the feedback weights themselves, which carry no current here.

    Source: simultaneous perturbation, Spall 1992 (doi:10.1109/9.119632); the use of noise to learn
    the controller's feedback is that of Meulemans et al. 2021, arXiv 2106.07887, section 4.

    A chip that answers more strongly than the design can make a loop unstable whose gains were chosen on
    others. With `loop_gain` the output layer gets currents too, and all weights of a chip are multiplied by

    .. math:: \min\left(1, \frac{g}{\max_i |\lambda_i(\sum_l \bar J_l Q_l)|}\right)

    so that the proportional gain times g bounds what goes around its loop.

    Args:
        warmup: batches shown before training, to measure on; the weights start at random.
        every: one in how many training batches is also measured on; 0 for none.
        eta: weight of a new measurement in the running mean, in (0, 1].
        sigma: size of the currents, > 0.
        loop_gain: g > 0, or None for no bound.
    """

    warmup: Annotated[int, BATCHES] = 20
    every: Annotated[int, BATCHES] = 4
    eta: Annotated[float, SHARE] = 0.02
    sigma: Annotated[float, GAIN] = 0.5
    loop_gain: Annotated[float, GAIN] | None = None

    origin: ClassVar[str] = "identified"

    def __post_init__(self) -> None:
        FeedbackWeights.__post_init__(self)
        if self.warmup == self.every == 0:
            raise InputError("rule.feedback.every", 0, "1 or more, or a warmup", "nothing is ever measured")

    @property
    def warmup_batches(self) -> int:
        return self.warmup

    def start(self, model: Model) -> tuple[Tensor, ...]:
        responses = random_weights(model, self.scale)
        if self.loop_gain is not None:
            responses.append(identity(model))
        model.memory |= Responses(0, 0, tuple(responses)).entries()
        return self.current(model)

    def current(self, model: Model) -> tuple[Tensor, ...]:
        known = Responses.of(model.memory)
        hidden = known.jacobian[: model.network.depth - 1]
        own = (*(scaled(response, self.scale) for response in hidden), identity(model))
        if self.loop_gain is None or not known.measured:
            return own
        bounded = self._bound(own, known)
        return tuple(bounded * weights for weights in own)

    def _bound(self, feedback: tuple[Tensor, ...], known: Responses) -> Tensor:
        """Return what the weights of every chip are multiplied by, ``(chips, 1, 1)``."""
        assert self.loop_gain is not None
        loop = torch.stack(
            [
                torch.matmul(response, weights.transpose(1, 2))
                for response, weights in zip(known.jacobian, feedback, strict=True)
            ]
        ).sum(0)
        largest: Tensor = torch.linalg.eigvals(loop).abs().amax(-1)
        return (self.loop_gain / largest.clamp(min=1e-9)).clamp(max=1.0).view(-1, 1, 1)

    @property
    def probe(self) -> Probe:
        """The presentations with known currents into the layers that are measured."""
        return Probe("identify", self.sigma, outputs=self.loop_gain is not None)

    def warmup_phases(self, batch: Batch, model: Model) -> tuple[Phase, ...]:
        return self.probe.phases(batch, model)

    def phases(self, batch: Batch, model: Model) -> tuple[Phase, ...]:
        shown = Responses.of(model.memory).shown
        return self.warmup_phases(batch, model) if self.every and shown % self.every == 0 else ()

    def estimate(self, batch: Batch, observation: Observation, model: Model) -> Estimate:
        known = Responses.of(model.memory)
        known = replace(known, shown=known.shown + 1)
        if not self.probe.was_shown(observation):
            return Estimate(memory=known.entries())
        keep = 1.0 - max(self.eta, 1.0 / (known.measured + 1))
        pairs = zip(self._jacobian(batch, observation, model), known.jacobian, strict=True)
        jacobian = tuple(found.lerp(before, keep) for found, before in pairs)
        return Estimate(memory=replace(known, measured=known.measured + 1, jacobian=jacobian).entries())

    def _jacobian(self, batch: Batch, observation: Observation, model: Model) -> list[Tensor]:
        response = self.probe.answers(observation, model.network.depth - 1)[1].double()
        scale = 1.0 / (self.sigma**2 * response.shape[1])
        return [
            scale * torch.matmul(response.transpose(1, 2), noise.to(response.device))
            for noise in self.probe.currents(batch, model)
        ]
