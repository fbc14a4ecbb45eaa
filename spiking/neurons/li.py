"""The leaky integrator: a read-out that does not spike."""

from __future__ import annotations

from collections.abc import Container
from dataclasses import dataclass
from typing import Annotated, ClassVar, final

from root.ranges import POTENTIAL, TIME_MS, TIME_OR_0_MS
from spiking.neurons.base import Neuron, Parameter
from spiking.programs import Dynamics

__all__ = ["LI"]


@final
@dataclass(frozen=True)
class LI(Neuron):
    r"""Leaky integrator: it emits its potential, in every step.

    .. math:: \tau_m \dot v = -v + I, \qquad r = v

    Source: NIR's ``LI`` (Pedersen et al. 2024, doi:10.1038/s41467-024-52259-9).

    Args:
        tau_m_ms: membrane time constant.
        tau_syn_ms: synaptic time constant; 0 means no synaptic filter.
        bias: constant current; the starting value of what a rule may program.
    """

    tau_m_ms: Annotated[float, TIME_MS] = 20.0
    tau_syn_ms: Annotated[float, TIME_OR_0_MS] = 10.0
    bias: Annotated[float, POTENTIAL] = 0.0

    model: ClassVar[str] = "li"
    parameters: ClassVar[tuple[Parameter, ...]] = (
        Parameter("tau_m_ms", "tau_m", minimum=0.0, exclusive=True),
        Parameter("tau_syn_ms", "tau_syn", minimum=0.0),
        Parameter("bias", "bias", additive=True),
    )

    def dynamics(self, without: Container[str] = ()) -> Dynamics:
        return Dynamics("dv/dt = (current - v) / tau_m", emission="v")
