"""The leaky integrate-and-fire neuron with exponential synapses (NIR: CubaLIF)."""

from __future__ import annotations

from collections.abc import Container, Mapping
from dataclasses import dataclass
from typing import Annotated, ClassVar, final

from rate_bridge.transfer import LIFTransfer, Transfer
from root.errors import InputError
from root.ranges import GAIN, POTENTIAL, TIME_MS, TIME_OR_0_MS
from spiking.neurons.base import Neuron, Parameter
from spiking.programs import Dynamics

__all__ = ["LIF"]

SOFTNESS = 0.05
"""Width of the nominal curve's threshold, in units of the current: spiking input is never quite constant."""


@final
@dataclass(frozen=True)
class LIF(Neuron):
    r"""Leaky integrate-and-fire, current-based exponential synapse, hard reset.

    .. math::
        \tau_m \dot v = -v + I_{syn} + I_{ext} + b + I_{fb}, \qquad \tau_{syn} \dot I_{syn} = -I_{syn}

    A spike is emitted where :math:`v > \theta` (strictly); then :math:`v \leftarrow v_{reset}`, held
    for the refractory time. Discretised by exponential Euler with per-neuron factors
    :math:`a = e^{-dt/\tau}`, as :math:`v \leftarrow I + (v - I) a`: this form cannot overshoot its
    target by rounding, so a neuron that settles exactly at its threshold stays silent everywhere.

    Source: Gerstner, Kistler, Naud, Paninski, "Neuronal Dynamics" (2014), ch. 1; NIR's ``CubaLIF``
    (Pedersen et al. 2024, doi:10.1038/s41467-024-52259-9).

    Args:
        threshold: firing threshold, in units of the membrane potential.
        reset: potential after a spike, below the threshold.
        tau_m_ms: membrane time constant.
        tau_syn_ms: synaptic time constant; 0 means no synaptic filter.
        refractory_ms: how long the potential is held after a spike, rounded to steps.
        bias: constant current; the starting value of what a rule may program.
    """

    threshold: Annotated[float, GAIN] = 1.0
    reset: Annotated[float, POTENTIAL] = 0.0
    tau_m_ms: Annotated[float, TIME_MS] = 20.0
    tau_syn_ms: Annotated[float, TIME_OR_0_MS] = 10.0
    refractory_ms: Annotated[float, TIME_OR_0_MS] = 0.0
    bias: Annotated[float, POTENTIAL] = 0.0

    model: ClassVar[str] = "lif"
    parameters: ClassVar[tuple[Parameter, ...]] = (
        Parameter("threshold", "threshold", minimum=0.0, exclusive=True),
        Parameter("reset", "reset", additive=True),
        Parameter("tau_m_ms", "tau_m", minimum=0.0, exclusive=True),
        Parameter("tau_syn_ms", "tau_syn", minimum=0.0),
        Parameter("refractory_ms", "refractory", minimum=0.0, stepped=True),
        Parameter("bias", "bias", additive=True),
    )

    dead: ClassVar[Mapping[str, float]] = {"threshold": 1e3}

    def __post_init__(self) -> None:
        Neuron.__post_init__(self)
        if self.reset >= self.threshold:
            raise InputError("neuron.reset", self.reset, f"a number below the threshold ({self.threshold:g})")

    def dynamics(self, without: Container[str] = ()) -> Dynamics:
        return Dynamics(
            "dv/dt = (current - v) / tau_m",
            threshold="v > threshold",
            reset="v = reset",
            refractory="refractory",
            start="v = reset + uniform * (threshold - reset)",
        )

    def transfer(self, max_rate_hz: float, dt_ms: float) -> Transfer:
        return LIFTransfer(
            self.threshold, self.reset, self.tau_m_ms, self.refractory_ms, max_rate_hz, dt_ms, SOFTNESS
        )
