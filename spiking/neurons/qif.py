"""The quadratic integrate-and-fire neuron."""

from __future__ import annotations

from collections.abc import Container
from dataclasses import dataclass
from typing import Annotated, ClassVar, final

from root.ranges import GAIN, POTENTIAL, TIME_MS, TIME_OR_0_MS
from spiking.neurons.base import Neuron, Parameter
from spiking.programs import Dynamics

__all__ = ["QIF"]


@final
@dataclass(frozen=True)
class QIF(Neuron):
    r"""Quadratic integrate-and-fire, the normal form of a neuron that fires from rate 0 on.

    .. math:: \tau_m \dot v = a\,(v - v_{rest})(v - v_c) + I

    A spike is emitted where :math:`v > v_{peak}`; then :math:`v \leftarrow v_{reset}`. Not linear: it takes
    steps of the forward Euler method.

    Source: Gerstner, Kistler, Naud, Paninski, "Neuronal Dynamics" (2014), ch. 5.3, eq. 5.16.

    Args:
        curvature: a; without synaptic input it fires for :math:`I > a (v_c - v_{rest})^2 / 4`.
        rest: resting potential.
        critical: potential from where it runs away by itself.
        peak: where a spike ends.
        reset: potential after a spike.
        tau_m_ms: membrane time constant.
        tau_syn_ms: synaptic time constant; 0 means no synaptic filter.
        bias: constant current; the starting value of what a rule may program.
    """

    curvature: Annotated[float, GAIN] = 1.0
    rest: Annotated[float, POTENTIAL] = 0.0
    critical: Annotated[float, POTENTIAL] = 1.0
    peak: Annotated[float, POTENTIAL] = 2.0
    reset: Annotated[float, POTENTIAL] = 0.0
    tau_m_ms: Annotated[float, TIME_MS] = 20.0
    tau_syn_ms: Annotated[float, TIME_OR_0_MS] = 10.0
    bias: Annotated[float, POTENTIAL] = 0.0

    model: ClassVar[str] = "qif"
    parameters: ClassVar[tuple[Parameter, ...]] = (
        Parameter("curvature", "curvature", minimum=0.0, exclusive=True),
        *(Parameter(name, name, additive=True) for name in ("rest", "critical", "peak", "reset")),
        Parameter("tau_m_ms", "tau_m", minimum=0.0, exclusive=True),
        Parameter("tau_syn_ms", "tau_syn", minimum=0.0),
        Parameter("bias", "bias", additive=True),
    )

    def dynamics(self, without: Container[str] = ()) -> Dynamics:
        equations = "dv/dt = (curvature * (v - rest) * (v - critical) + current) / tau_m"
        start = "v = rest + uniform * (critical - rest)"
        return Dynamics(equations, threshold="v > peak", reset="v = reset", start=start)
