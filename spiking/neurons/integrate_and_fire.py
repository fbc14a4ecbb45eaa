"""The integrate-and-fire neuron, without a leak."""

from __future__ import annotations

from collections.abc import Container, Mapping
from dataclasses import dataclass
from typing import Annotated, ClassVar, final

from root.ranges import GAIN, POTENTIAL, TIME_MS, TIME_OR_0_MS
from spiking.neurons.base import Neuron, Parameter
from spiking.programs import Dynamics

__all__ = ["IF"]


@final
@dataclass(frozen=True)
class IF(Neuron):
    r"""Integrate-and-fire: a spike subtracts the threshold, so no charge is lost.

    .. math:: \tau_m \dot v = I, \qquad v \leftarrow v - \theta \text{ where } v > \theta

    Its rate is the current, rectified: :math:`I / (\tau_m \theta)` for :math:`I > 0`.

    Source: Rueckauer, Lungu, Hu, Pfeiffer, Liu 2017, doi:10.3389/fnins.2017.00682, section 2.2 (reset by
    subtraction); NIR's ``IF``.

    Args:
        threshold: firing threshold θ.
        tau_m_ms: the time in which a current of 1 raises the potential by 1.
        tau_syn_ms: synaptic time constant; 0 means no synaptic filter.
        bias: constant current; the starting value of what a rule may program.
    """

    threshold: Annotated[float, GAIN] = 1.0
    tau_m_ms: Annotated[float, TIME_MS] = 20.0
    tau_syn_ms: Annotated[float, TIME_OR_0_MS] = 10.0
    bias: Annotated[float, POTENTIAL] = 0.0

    model: ClassVar[str] = "if"
    parameters: ClassVar[tuple[Parameter, ...]] = (
        Parameter("threshold", "threshold", minimum=0.0, exclusive=True),
        Parameter("tau_m_ms", "tau_m", minimum=0.0, exclusive=True),
        Parameter("tau_syn_ms", "tau_syn", minimum=0.0),
        Parameter("bias", "bias", additive=True),
    )
    dead: ClassVar[Mapping[str, float]] = {"threshold": 1e6}

    def dynamics(self, without: Container[str] = ()) -> Dynamics:
        return Dynamics(
            "dv/dt = current / tau_m",
            threshold="v > threshold",
            reset="v -= threshold",
            start="v = uniform * threshold",
        )
