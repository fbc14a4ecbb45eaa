"""The adaptive leaky integrate-and-fire neuron."""

from __future__ import annotations

from collections.abc import Container, Mapping
from dataclasses import dataclass
from typing import Annotated, ClassVar, final

from root.ranges import FACTOR, GAIN, POTENTIAL, TIME_MS, TIME_OR_0_MS
from spiking.neurons.base import Neuron, Parameter
from spiking.programs import Dynamics

__all__ = ["ALIF"]


@final
@dataclass(frozen=True)
class ALIF(Neuron):
    r"""A LIF whose threshold rises with every spike.

    .. math:: \tau_m \dot v = -v + I, \qquad \tau_a \dot a = -a, \qquad \text{spike where } v > \theta + a

    then :math:`v \leftarrow v_{reset}`, held for the refractory time, and :math:`a \leftarrow a + \beta`.

    Source: Bellec, Salaj, Subramoney, Legenstein, Maass 2018, arXiv 1803.09574, eq. 2-4.

    Args:
        jump: β, what a spike adds to the threshold; the other parameters are those of `LIF`.
        tau_a_ms: time constant of the adaptation.
    """

    threshold: Annotated[float, GAIN] = 1.0
    reset: Annotated[float, POTENTIAL] = 0.0
    tau_m_ms: Annotated[float, TIME_MS] = 20.0
    tau_a_ms: Annotated[float, TIME_MS] = 100.0
    jump: Annotated[float, FACTOR] = 0.1
    tau_syn_ms: Annotated[float, TIME_OR_0_MS] = 10.0
    refractory_ms: Annotated[float, TIME_OR_0_MS] = 0.0
    bias: Annotated[float, POTENTIAL] = 0.0

    model: ClassVar[str] = "alif"
    parameters: ClassVar[tuple[Parameter, ...]] = (
        Parameter("threshold", "threshold", minimum=0.0, exclusive=True),
        Parameter("reset", "reset", additive=True),
        Parameter("tau_m_ms", "tau_m", minimum=0.0, exclusive=True),
        Parameter("tau_a_ms", "tau_a", minimum=0.0, exclusive=True),
        Parameter("jump", "jump", minimum=0.0),
        Parameter("tau_syn_ms", "tau_syn", minimum=0.0),
        Parameter("refractory_ms", "refractory", minimum=0.0, stepped=True),
        Parameter("bias", "bias", additive=True),
    )
    dead: ClassVar[Mapping[str, float]] = {"threshold": 1e3}

    def dynamics(self, without: Container[str] = ()) -> Dynamics:
        return Dynamics(
            "dv/dt = (current - v) / tau_m; da/dt = -a / tau_a",
            threshold="v > threshold + a",
            reset="v = reset; a += jump",
            refractory="refractory",
            start="v = reset + uniform * (threshold - reset)",
        )
