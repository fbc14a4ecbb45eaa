"""How feedback weights learn from noise in their own compartments: what both ways to do it share."""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass
from typing import ClassVar

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
from rate_bridge.errors import InputError, UnsupportedError
from spiking.network import Network
from spiking.presentation import Noise, Observation

__all__ = ["NoiseLearning"]


@dataclass(frozen=True)
class NoiseLearning(FeedbackWeights):
    r"""Correlates the controller's answer to known noise with that noise, in a closed loop.

    .. math::
        \Delta Q_l = -\eta \left[\frac{(1 + \tau_v/\tau_n)^{L-l}}{\sigma^2} C_l + \lambda Q_l\right]

    with the correlation C of `Noise`. The sign is negative since u counters what the noise does to the
    output; the fixed point has the row space of the mean Jacobian of the chip itself. The factor makes
    up for what L - l slow layers between the noise and the output take from it. The output's own Q_L
    starts as the identity and learns too.

    Source: Meulemans et al. 2021, arXiv 2106.07887, section 4; 2022, arXiv 2204.07249, section 3.

    Args:
        scale: root mean square of every hidden layer's random initial weights.
        eta: learning rate η, > 0.
        decay: λ, 0 or more.
        clip: largest norm of the bracket in each layer, > 0.
        sigma: standard deviation of the noise, > 0.
        tau_ms: its correlation time, > 0.
        warmup: batches shown before training, to learn the feedback weights alone.
    """

    eta: float = 0.1
    decay: float = 0.025
    clip: float = 1.0
    sigma: float = 0.1
    tau_ms: float = 20.0
    warmup: int = 100

    phase_name: ClassVar[str]

    def __post_init__(self) -> None:
        FeedbackWeights.__post_init__(self)
        if self.scale is None:
            raise InputError("rule.feedback.scale", None, "a number > 0", "the weights start at random")
        for key in ("eta", "clip", "sigma", "tau_ms"):
            if not getattr(self, key) > 0:
                raise InputError(f"rule.feedback.{key}", getattr(self, key), "a number > 0")
        for key in ("decay", "warmup"):
            if getattr(self, key) < 0:
                raise InputError(f"rule.feedback.{key}", getattr(self, key), "0 or more")

    @property
    def warmup_batches(self) -> int:
        return self.warmup

    def check(self, network: Network) -> None:
        if any(not hasattr(layer.neuron, "tau_ms") for layer in network.layers):
            allowed = "identified, weight_product, random or given, for neurons that spike"
            raise UnsupportedError("rule.feedback", self.origin, allowed)

    def start(self, model: Model) -> tuple[Tensor, ...]:
        assert self.scale is not None
        return (*random_weights(model, self.scale), identity(model))

    def current(self, model: Model) -> tuple[Tensor, ...]:
        return model.feedback

    @abstractmethod
    def highpass_ms(self) -> float:
        """Return the time constant that separates the answer to the noise from the rest of u."""

    def make_noise(self, batch: Batch, model: Model) -> Noise:
        """Return the noise of a batch."""
        seed = int(model.seeds.child("feedback noise", *batch.key).generator().integers(2**62))
        return Noise(self.sigma, self.tau_ms, self.highpass_ms(), seed)

    def estimate(self, batch: Batch, observation: Observation, model: Model) -> Estimate:
        if self.phase_name not in observation:
            return Estimate()
        found = observation[self.phase_name].correlation
        layers = []
        for index, (weight, correlation) in enumerate(zip(model.feedback, found, strict=True)):
            factor = self._attenuation(model.network, index) / self.sigma**2
            step = factor * correlation.to(weight) + self.decay * weight
            norm = torch.linalg.vector_norm(step, dim=(1, 2), keepdim=True)
            layers.append(weight - self.eta * step * (self.clip / norm.clamp(min=self.clip)))
        return Estimate(tuple(layers))

    def _attenuation(self, network: Network, index: int) -> float:
        layers = network.layers[index:-1]
        return float(torch.prod(torch.tensor([1.0 + _tau_ms(x.neuron) / self.tau_ms for x in layers])))


def _tau_ms(neuron: object) -> float:
    return float(getattr(neuron, "tau_ms"))  # noqa: B009 (checked in `check`; not every neuron has it)
