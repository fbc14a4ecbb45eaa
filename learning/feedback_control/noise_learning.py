"""How feedback weights learn from noise in their own compartments: what both ways to do it share."""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass
from typing import Annotated

import torch
from torch import Tensor

from learning.feedback_control.feedback_weights import (
    Estimate,
    FeedbackWeights,
    identity,
    random_weights,
)
from learning.model import Model
from learning.stimulus import Batch
from root.errors import InputError
from root.ranges import BATCHES, FACTOR, GAIN
from spiking.presentation import Observation

__all__ = ["NoiseLearning"]


@dataclass(frozen=True)
class NoiseLearning(FeedbackWeights):
    r"""Correlates the controller's answer to known noise with that noise, in a closed loop.

    .. math::
        \Delta Q_l = -\eta \left[\frac{1}{\sigma^2} \langle u^\top (u\, Q_l + \xi_l) \rangle
        + \lambda Q_l\right]

    with the noise ξ in the feedback compartments. The sign is negative since u counters what the noise
    does to the output: at rest :math:`u = -(JQ + \alpha I)^{-1} J \xi`, so that the fixed point has the
    row space of the mean Jacobian of the chip itself, mismatch of the feedback weights included. The
    output's own Q_L starts as the identity and learns too.

    Source: Meulemans et al. 2021, arXiv 2106.07887, section 4.

    Args:
        scale: root mean square of every hidden layer's random initial weights.
        eta: learning rate η, > 0.
        decay: λ, 0 or more.
        clip: largest norm of the bracket in each layer, > 0.
        sigma: standard deviation of the noise, > 0.
        warmup: batches shown before training, to learn the feedback weights alone.
    """

    eta: Annotated[float, GAIN] = 0.1
    decay: Annotated[float, FACTOR] = 0.025
    clip: Annotated[float, GAIN] = 1.0
    sigma: Annotated[float, GAIN] = 0.1
    warmup: Annotated[int, BATCHES] = 100

    def __post_init__(self) -> None:
        FeedbackWeights.__post_init__(self)
        if self.scale is None:
            raise InputError("rule.feedback.scale", None, "a number > 0", "the weights start at random")

    @property
    def warmup_batches(self) -> int:
        return self.warmup

    def start(self, model: Model) -> tuple[Tensor, ...]:
        assert self.scale is not None
        return (*random_weights(model, self.scale), identity(model))

    def current(self, model: Model) -> tuple[Tensor, ...]:
        return model.feedback

    @abstractmethod
    def correlations(self, batch: Batch, observation: Observation, model: Model) -> list[Tensor]:
        """Return the mean in the brackets per layer, ``(chips, n_out, n)``; none where nothing was shown."""

    def estimate(self, batch: Batch, observation: Observation, model: Model) -> Estimate:
        found = self.correlations(batch, observation, model)
        pairs = zip(model.feedback, found, strict=False)
        return Estimate(tuple(self._stepped(*pair) for pair in pairs) or None)

    def _stepped(self, weight: Tensor, correlation: Tensor) -> Tensor:
        step = correlation.to(weight) / self.sigma**2 + self.decay * weight
        norm = torch.linalg.vector_norm(step, dim=(1, 2), keepdim=True)
        stepped: Tensor = weight - self.eta * step * (self.clip / norm.clamp(min=self.clip))
        return stepped
