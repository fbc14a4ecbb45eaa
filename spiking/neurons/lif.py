"""The leaky integrate-and-fire neuron with exponential synapses (NIR: CubaLIF)."""

from __future__ import annotations

from collections.abc import Container, Mapping
from dataclasses import dataclass
from typing import ClassVar, final

import torch
from torch import Tensor

from rate_bridge.errors import InputError
from rate_bridge.filters import decay, steps
from rate_bridge.transfer import LIFTransfer, Transfer
from spiking.neurons.base import Neuron, Parameter, State, Values
from spiking.neurons.equations import Equations

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

    threshold: float = 1.0
    reset: float = 0.0
    tau_m_ms: float = 20.0
    tau_syn_ms: float = 10.0
    refractory_ms: float = 0.0
    bias: float = 0.0

    model: ClassVar[str] = "lif"
    emits_spikes: ClassVar[bool] = True
    parameters: ClassVar[tuple[Parameter, ...]] = (
        Parameter("threshold", "threshold", minimum=0.0, exclusive=True),
        Parameter("reset", "reset", additive=True),
        Parameter("tau_m_ms", "tau_m", minimum=0.0, exclusive=True),
        Parameter("tau_syn_ms", "tau_syn", minimum=0.0),
        Parameter("refractory_ms", "refractory", minimum=0.0),
        Parameter("bias", "bias", additive=True),
    )

    dead: ClassVar[Mapping[str, float]] = {"threshold": 1e3}

    def __post_init__(self) -> None:
        Neuron.__post_init__(self)
        if self.reset >= self.threshold:
            raise InputError("neuron.reset", self.reset, f"a number below the threshold ({self.threshold:g})")

    def constants(self, values: Values, dt_ms: float) -> State:
        held = steps(values["refractory_ms"], dt_ms)
        constants = {
            "decay": decay(values["tau_m_ms"], dt_ms),
            "threshold": values["threshold"],
            "reset": values["reset"],
        }
        if bool((held > 0).any()):
            constants["refractory_steps"] = held.to(values["threshold"].dtype)
        return {name: value.unsqueeze(1) for name, value in constants.items()}

    def synapse_decay(self, values: Values, dt_ms: float) -> Tensor:
        return decay(values["tau_syn_ms"], dt_ms)

    def initial_state(self, values: Values, uniform: Tensor) -> State:
        reset, threshold = values["reset"].unsqueeze(1), values["threshold"].unsqueeze(1)
        return {"v": reset + uniform * (threshold - reset), "refractory": torch.zeros_like(uniform)}

    def transfer(self, max_rate_hz: float, dt_ms: float) -> Transfer:
        return LIFTransfer(
            self.threshold, self.reset, self.tau_m_ms, self.refractory_ms, max_rate_hz, dt_ms, SOFTNESS
        )

    def step(self, state: State, current: Tensor, constants: Values) -> Tensor:
        v = state["v"]
        v.sub_(current).mul_(constants["decay"]).add_(current)
        held = constants.get("refractory_steps")
        if held is not None:
            torch.where(state["refractory"] > 0, constants["reset"], v, out=v)
        spikes = v > constants["threshold"]
        torch.where(spikes, constants["reset"], v, out=v)
        if held is not None:
            waiting = state["refractory"].sub_(1).clamp_(min=0)
            torch.where(spikes, held, waiting, out=waiting)
        return spikes.to(v.dtype)

    def equations(self, constants: Container[str]) -> Equations:
        held = "refractory_steps" in constants
        return Equations(
            dynamics="""
                dv/dt = (current - v)/tau_m : 1
                tau_m = -dt/log(decay) : second
                refractory : 1
            """,
            after="""
                v = int(refractory > 0)*reset + int(refractory <= 0)*v
                refractory = clip(refractory - 1, 0, inf)
            """
            if held
            else "",
            threshold="v > threshold",
            reset="v = reset; refractory = refractory_steps" if held else "v = reset",
        )
