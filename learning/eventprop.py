"""EventProp: exact gradients of spike times, through the spikes that the chip emitted."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Annotated, ClassVar, final

import torch
from torch import Tensor

from learning.through_time import ThroughTime
from learning.unrolled import Advance, Through
from root.errors import UnsupportedError
from root.ranges import GAIN, check_ranges
from spiking.network import Network
from spiking.neurons.base import State, Values
from spiking.programs import Program
from spiking.programs.statements import HOLD
from spiking.programs.to_torch import margin, stepper, surrogate_stepper

__all__ = ["EventProp", "SpikeTimes"]


@final
@dataclass(frozen=True)
class SpikeTimes(Through):
    r"""A spike happens earlier or later; it neither comes nor goes.

    Where the distance m from the threshold is crossed in step t, a change of it moves the spike by

    .. math:: \tau = -\frac{\delta m}{\dot m^-}

    steps (of that size or less, see `slowest`). The states x of its neuron, which change at the rate f before
    the reset R and at another one after it, are then off by

    .. math:: \delta x^+ = R'(\delta x^- + f^- \tau) - f^+ \tau,

    and what is sent is sent with it: :math:`s_t - \tau` now and :math:`\tau` in the next step. All the
    values are those that were; only derivatives are made. Rates of change are those of one step more.

    Args:
        slowest: smallest rate per step at which a neuron is taken to have crossed its threshold, > 0.
    """

    slowest: float

    def stepper(self, program: Program) -> Advance:
        return _Timed(program, self.slowest)


@final
class _Timed:
    """The step of a layer for one presentation; it knows by how much its last spikes moved."""

    def __init__(self, program: Program, slowest: float) -> None:
        distance = margin(program) or ""
        self.flow = stepper(replace(program, spike="", reset=(), emission=distance), differentiable=True)
        self.reset = surrogate_stepper(replace(program, update=()))
        self.slowest = slowest
        self.late: Tensor | None = None

    def __call__(self, state: State, current: Tensor, constants: Values, seen: Tensor) -> Tensor:
        distance = self.flow(state, current, constants)
        further, rates = self._ahead(state, current, constants)
        rising = (further - distance.detach()).clamp(min=self.slowest)
        moved = seen * (distance.detach() - distance) / rising
        for name, rate in rates.items():
            state[name] = state[name] + rate * moved
        self.reset(state, current, constants, lambda _: seen)
        for name, rate in self._ahead(state, current, constants)[1].items():
            state[name] = state[name] - rate * moved
        sent = seen - moved if self.late is None else seen - moved + self.late
        self.late = moved
        return sent

    def _ahead(self, state: State, current: Tensor, constants: Values) -> tuple[Tensor, State]:
        """Return the distance a step later, had there been no spike, and by how much the states change."""
        with torch.no_grad():
            later = dict(state)
            distance = self.flow(later, current, constants)
            return distance, {name: later[name] - state[name] for name in state}


@final
@dataclass(frozen=True)
class EventProp(ThroughTime):
    r"""The exact gradient of a loss through the times of spikes, in discrete time.

    Between spikes the design's equations are differentiated as they are; a spike is an event whose time
    depends on the weights. For a LIF with exponential synapses the adjoint of that is Wunderlich & Pehl's:
    backwards in time

    .. math:: \tau_m \lambda_V' = -\lambda_V - \frac{\partial l}{\partial V}, \qquad
        \tau_s \lambda_I' = -\lambda_I + \lambda_V, \qquad
        \lambda_V^- = \lambda_V^+ + \frac{1}{\tau_m \dot V^-}
        \big(\theta \lambda_V^+ + W^\top (\lambda_V^+ - \lambda_I)\big) \text{ at a spike}

    with :math:`dL/dw_{ij} = -\tau_s \sum_{t_i} \lambda_{I,j}`. Here any neuron may stand that spikes where
    one comparison holds, on any graph, with delays. No derivative of a spike itself is made up, and so a
    spike that is missing is not missed: neurons must spike to learn, and the output must not, since
    numbers of spikes do not change with their times. Its rate is the mean of its potential over the window.

    Trained ``offline`` the events are the ideal chip's. In the loop they are those that were seen on the
    chip, and what happens between them the design's. A neuron that crossed its threshold on the chip may
    hardly rise in the design, or just touch it: its spike is then taken to have come at the rate `slowest`,
    and no gradient grows without bound.

    The error of discrete time is of the order of a step over the time constants
    (``tests/learning/test_eventprop.py``: against differences of a simulation in continuous time).

    Source: Wunderlich & Pehl 2021, doi:10.1038/s41598-021-91786-z; Pehle et al. 2023, arXiv 2302.07141, with
    spikes measured on a chip; jumps of derivatives at events: Müller 1995, Chaos,
    Solitons & Fractals 5, 1671.

    Args:
        loss: what is descended, of the output's mean potentials over the window.
        slowest: smallest rate at which a neuron is taken to reach its threshold, in potentials per ms, > 0.
    """

    slowest: Annotated[float, GAIN] = 0.005

    name: ClassVar[str] = "eventprop"
    kept: ClassVar[float] = 18
    """Graphs hold 7 (LIF) to 9 (ALIF), of which backpropagation through time holds 2 to 4 and needs twice."""

    def __post_init__(self) -> None:
        check_ranges(self, "rule")

    def check(self, network: Network) -> None:
        ThroughTime.check(self, network)
        output = network.layers[-1].neuron
        if output.emits_spikes:
            allowed = "one that does not spike: numbers of spikes do not change with their times"
            fix = "network.output_neuron: {model: li} reads the mean of a potential."
            raise UnsupportedError("network.output_neuron", output.model, allowed, fix)
        for layer in network.layers:
            neuron = layer.neuron
            held = neuron.constants(
                {field: torch.full((1, 1), value) for field, value in neuron.nominal.items()}, network.dt_ms
            )
            if HOLD in held:
                allowed = f"0 for the rule {self.name}: the end of a held reset would move with its spike"
                raise UnsupportedError("network.neuron.refractory_ms", "a time", allowed)

    def through(self, dt_ms: float) -> Through:
        return SpikeTimes(self.slowest * dt_ms)
