"""The leaky integrate-and-fire neuron whose synapse is a state of its own."""

from __future__ import annotations

from collections.abc import Container, Mapping
from dataclasses import dataclass
from typing import Annotated, ClassVar, final

import torch
from torch import Tensor

from root.ranges import GAIN, POTENTIAL, TIME_MS, TIME_OR_0_MS
from spiking.neurons.base import Neuron, Parameter, Values
from spiking.programs import Dynamics

__all__ = ["CubaLIF"]


@final
@dataclass(frozen=True)
class CubaLIF(Neuron):
    r"""A LIF behind a filter that all its currents pass, the bias and the feedback among them.

    .. math:: \tau_{syn} \dot I_s = -I_s + I, \qquad \tau_m \dot v = -v + I_s

    A spike is emitted where :math:`v > \theta`; then :math:`v \leftarrow v_{reset}`. (In `LIF` the machine
    filters what arrives through synapses, and nothing else.)

    Source: Pedersen et al. 2024, doi:10.1038/s41467-024-52259-9, ``CubaLIF``.

    Args:
        tau_syn_ms: time constant of the filter; the other parameters are those of `LIF`.
    """

    threshold: Annotated[float, GAIN] = 1.0
    reset: Annotated[float, POTENTIAL] = 0.0
    tau_m_ms: Annotated[float, TIME_MS] = 20.0
    tau_syn_ms: Annotated[float, TIME_OR_0_MS] = 10.0
    bias: Annotated[float, POTENTIAL] = 0.0

    model: ClassVar[str] = "cuba_lif"
    parameters: ClassVar[tuple[Parameter, ...]] = (
        Parameter("threshold", "threshold", minimum=0.0, exclusive=True),
        Parameter("reset", "reset", additive=True),
        Parameter("tau_m_ms", "tau_m", minimum=0.0, exclusive=True),
        Parameter("tau_syn_ms", "tau_syn", minimum=0.0, exclusive=True),
        Parameter("bias", "bias", additive=True),
    )
    dead: ClassVar[Mapping[str, float]] = {"threshold": 1e3}

    def dynamics(self, without: Container[str] = ()) -> Dynamics:
        equations = "dv/dt = (filtered - v) / tau_m; dfiltered/dt = (current - filtered) / tau_syn"
        names = (("threshold", 0), ("reset", 0), ("tau_m", 1), ("tau_syn", 1))
        start = "v = reset + uniform * (threshold - reset)"
        return Dynamics(equations, "v > threshold", "v = reset", start=start, parameters=names)

    def synapse_decay(self, values: Values, dt_ms: float) -> Tensor:
        return torch.zeros_like(values["tau_syn_ms"])
