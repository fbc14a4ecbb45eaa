"""Feedback weights learnt from noise, in the same presentation as the forward weights."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Annotated, ClassVar, final

from torch import Tensor

from learning.feedback_control.noise_learning import NoiseLearning
from learning.model import Model
from learning.stimulus import Batch
from root.errors import UnsupportedError
from root.ranges import GAIN, TIME_MS
from spiking.network import Network
from spiking.neurons.rate import Rate
from spiking.presentation import Noise, Observation

__all__ = ["OnlineFeedback"]


@final
@dataclass(frozen=True)
class OnlineFeedback(NoiseLearning):
    r"""The rule's own controlled presentation is noisy; a high-pass leaves u's answer to the noise.

    The noise is an Ornstein-Uhlenbeck process with correlation time :math:`\tau_n`. The correlation of a
    layer is multiplied by :math:`(1 + \tau_v / \tau_n)^{L-l}`, to make up for what the L - l slow layers
    between it and the output take from the noise. A warm-up batch is such a presentation, of which
    only the feedback weights learn. See `NoiseLearning` for the learning rule.

    Source: Meulemans et al. 2022, arXiv 2204.07249, section 3.

    Args:
        sigma: standard deviation of the noise, > 0; strong enough to outweigh what is left, after the
            high-pass, of the controller's way to the target.
        tau_ms: correlation time of the noise, > 0.
        highpass_ms: time constant of the high-pass, > 0; short enough that it forgets, before the
            window begins, how the controller reached the target.
    """

    sigma: Annotated[float, GAIN] = 0.3
    tau_ms: Annotated[float, TIME_MS] = 40.0
    highpass_ms: Annotated[float, TIME_MS] = 60.0

    origin: ClassVar[str] = "online"

    def check(self, network: Network) -> None:
        NoiseLearning.check(self, network)
        if not all(isinstance(layer.neuron, Rate) for layer in network.layers):
            allowed = "identified, learned, weight_product, random or given, for neurons that spike"
            raise UnsupportedError("rule.feedback.name", self.origin, allowed)

    @property
    def abilities(self) -> frozenset[str]:
        return frozenset({"noise"})

    def noise(self, batch: Batch, model: Model) -> Noise:
        seed = int(model.seeds.child("feedback noise", *batch.key).generator().integers(2**62))
        return Noise(self.sigma, self.tau_ms, self.highpass_ms, seed)

    def correlations(self, batch: Batch, observation: Observation, model: Model) -> list[Tensor]:
        found = observation["controlled"].correlation
        return [self._made_up(model.network, index) * value for index, value in enumerate(found)]

    def _made_up(self, network: Network, index: int) -> float:
        between = (layer.neuron for layer in network.layers[index:-1])
        return math.prod(1.0 + n.tau_ms / self.tau_ms for n in between if isinstance(n, Rate))
