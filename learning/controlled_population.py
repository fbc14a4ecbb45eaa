"""A population with itself that is read by outputs, under control: what rules that learn dynamics share."""

from __future__ import annotations

import math
from abc import abstractmethod
from dataclasses import dataclass, field, replace
from typing import Annotated, ClassVar, Self, final

import torch
from torch import Tensor

from learning.feedback_control.gains import ControllerGains
from learning.model import Model
from learning.population_code import Sums, filtered, tuning
from learning.rule import Dense, LearningRule, Update
from learning.state import RuleState
from learning.stimulus import Batch
from rate_bridge.filters import window
from root.errors import InputError, UnsupportedError
from root.ranges import BATCHES, GAIN, RATE_HZ, TIME_MS, check_ranges
from spiking.network import Network
from spiking.neurons import LIF
from spiking.presentation import Controller, CurrentDrive, Observation, Phase, Plasticity, Recording

__all__ = ["ControlledPopulation", "Fit", "ReadOutFit"]

SETTLE_MS = 500.0
"""Left out of a fit: the population starts anywhere."""

LOUDNESS = 0.7
"""Standard deviation of what is injected for the fit, over all dimensions, in radii."""

EXACT = 1e-10
"""Ridge of the fit of what the output is: a sum of the traces, without noise."""

NEAR = (0.2, 5.0)
"""Measured synapses of the read-out beyond this, times what was written, are taken for these."""


@dataclass(frozen=True)
class Fit(RuleState):
    """The sums of a fit while it is under way.

    Args:
        squares: see `Sums`; one zero per chip before and after.
        products: likewise.
        shown: presentations that are in them.
    """

    squares: Tensor
    products: Tensor
    shown: int = 0

    @classmethod
    def begun(cls, chips: int) -> Self:
        """Return sums of nothing."""
        nothing = torch.zeros(chips, 1, 1, dtype=torch.float64)
        return cls(nothing, nothing)

    def with_sums(self, new: Sums) -> Self:
        """Return the sums with those of a further presentation."""
        return replace(
            self,
            squares=self.squares + new.squares,
            products=self.products + new.products,
            shown=self.shown + 1,
        )


@final
@dataclass(frozen=True)
class ReadOutFit(Fit):
    """That of the read-out."""

    prefix: ClassVar[str] = "population.read"


@dataclass(frozen=True)
class ControlledPopulation(LearningRule):
    r"""A rule for a population with connections from the input and to itself, and outputs y that read it.

    The outputs do not spike. A controller injects their error into the population, through encoders e,

    .. math:: I_{fb,i} = g_i\, e_i \cdot u, \qquad u = k\,(x - y)

    At the beginning of a sample, before the averaging window, a stronger controller brings the population
    into the state of the system, and nothing is learned: an error that comes from where it was would bias
    the rule. After training the controller is off, and the population goes on by itself.

    The read-out comes from the chip. Before training, noise is injected through the feedback synapses, and
    the traces of the spikes are fitted to it by least squares, with their noise in them (see `Sums.solve`);
    what the read-out's synapses make of the weights they begin with is fitted to the same traces, so that
    they can be corrected. The chip is asked for spikes and its output, never for a parameter.

    Args:
        controller: its gains; kp is k.
        trace_ms: time constant of the presynaptic traces; that of the synapses.
        rates_hz: the lowest and the largest of the neurons' highest rates, by design.
        fit_batches: presentations of noise for the fit of the read-out, each as long as a sample.
        fit_correlation_ms: correlation time of that noise.
        hold: kp of the controller that brings the population into a system's state.
        radius: of the sphere that the population represents. It has to hold the current that the system
            needs, :math:`x + \tau \dot x`, which goes farther out than the states: beyond the radius rates
            saturate, and the system that is learned is flattened.
    """

    controller: ControllerGains = field(default_factory=lambda: ControllerGains(kp=1.0, ki_per_ms=0.0))
    trace_ms: Annotated[float, TIME_MS] = 20.0
    rates_hz: tuple[Annotated[float, RATE_HZ], Annotated[float, RATE_HZ]] = (200.0, 400.0)
    fit_batches: Annotated[int, BATCHES] = 12
    fit_correlation_ms: Annotated[float, TIME_MS] = 100.0
    hold: Annotated[float, GAIN] = 10.0
    radius: Annotated[float, GAIN] = 1.0

    uses_feedback: ClassVar[bool] = True
    records: ClassVar[frozenset[str]]
    """What is recorded of a presentation in every step."""

    def __post_init__(self) -> None:
        check_ranges(self, "rule")
        if self.rates_hz[0] >= self.rates_hz[1]:
            raise InputError("rule.rates_hz", list(self.rates_hz), "two rates, the lower one first")
        if self.fit_batches < 1:
            raise InputError("rule.fit_batches", self.fit_batches, "1 or more: the read-out is fitted")

    @property
    def gives_outer(self) -> bool:
        return False

    @property
    def uses_model(self) -> bool:
        return False

    @property
    def requests(self) -> frozenset[str]:
        return frozenset({"spikes", "control", "readout"})

    @property
    def warmup_batches(self) -> int:
        return self.fit_batches

    def trains_graphs(self, *, on_chip: bool) -> bool:
        """Return True: `check` says which graphs."""
        return True

    def check(self, network: Network) -> None:
        ends = sorted((c.pre, c.post) for c in network.connections)
        spiking = [layer.neuron.emits_spikes for layer in network.layers]
        if ends != [(0, 1), (1, 1), (1, 2)] or spiking != [True, False] or not network.dense:
            given = ", ".join(network.connection_names)
            allowed = "input to a population that spikes, the population to itself and to outputs that do not"
            fix = "All of them dense; configs/spiking/follow_oscillator.yaml is such a network."
            raise UnsupportedError("network.connections", given, allowed, fix)
        if not isinstance(network.layers[0].neuron, LIF):
            given = network.layers[0].neuron.model
            raise UnsupportedError("neuron.model", given, "lif, whose tuning curves are known by design")
        held = network.layers[0].neuron.refractory_ms
        fastest = 1000.0 / held if held > 0 else float("inf")
        if self.rates_hz[1] >= fastest:
            allowed = f"rates below {fastest:g} Hz, which the refractory time lets pass"
            raise UnsupportedError("rule.rates_hz", list(self.rates_hz), allowed)

    def start(self, model: Model) -> None:
        network, device = model.network, model.bias[0].device
        neuron = network.layers[0].neuron
        assert isinstance(neuron, LIF)
        drawn = tuning(
            network.layers[0].size,
            network.outputs,
            model.seeds.child("tuning"),
            rates_hz=self.rates_hz,
            threshold=neuron.threshold,
            tau_m_ms=neuron.tau_m_ms,
            refractory_ms=neuron.refractory_ms,
            radius=self.radius,
        )
        model.feedback = (
            drawn.encoders.to(device).expand(model.chips, -1, -1).clone(),
            torch.zeros(model.chips, network.outputs, network.outputs, dtype=torch.float64, device=device),
        )
        model.bias[0].data += drawn.bias.to(device)
        model.memory |= ReadOutFit.begun(model.chips).entries()

    # the read-out

    def warmup(self, batch: Batch, model: Model) -> tuple[Phase, ...]:
        return (self.injecting("noise", self._noise(batch, model), model),)

    def injecting(self, name: str, current: Tensor, model: Model) -> Phase:
        """Return a phase that injects a current, ``(1, time, n_out)``, through the feedback synapses."""
        samples, steps, _ = current.shape
        still = CurrentDrive(torch.zeros(samples, model.network.inputs, dtype=torch.float64))
        loop = Controller(current, kp=1.0, ki_per_ms=0.0, moves=True)
        return Phase(name, still, window(steps, steps, "rectangular"), loop, record=self.requests)

    def _noise(self, batch: Batch, model: Model) -> Tensor:
        """Return an Ornstein-Uhlenbeck process, as long as a sample of the batch, ``(1, time, n_out)``."""
        network, shape = model.network, (1, *batch.target.shape[1:])
        white = torch.from_numpy(model.seeds.child("noise", *batch.key).generator().standard_normal(shape))
        slow = filtered(white, self.fit_correlation_ms, network.dt_ms)
        kept = math.exp(-network.dt_ms / self.fit_correlation_ms)
        unit = math.sqrt((1.0 + kept) / (1.0 - kept))  # the filter's output has a deviation of one over it
        return slow * (unit * LOUDNESS * self.radius / math.sqrt(shape[-1]))

    def identify(self, batch: Batch, observation: Observation, model: Model) -> Update:
        """Add a presentation to the fit of the read-out; the last one ends it."""
        fit = self.fitted(observation, model)
        changes: list[Dense | None] = [None] * len(model.network.connections)
        if fit.shown == self.fit_batches:
            changes[self.index(model.network, 1, 2)] = self._read_out(fit, model)
            fit = ReadOutFit.begun(model.chips)
        return Update(tuple(changes), memory=fit.entries())

    def fitted(self, observation: Observation, model: Model) -> ReadOutFit:
        """Return the read-out's fit with a further presentation of noise."""
        r, z, y = self.seen(observation["noise"], model.network)
        return ReadOutFit.of(model.memory).with_sums(Sums.of(r, torch.cat([z, y], dim=-1)))

    def seen(self, found: Recording, network: Network) -> tuple[Tensor, Tensor, Tensor]:
        """Return traces, filtered control and output, each ``(chips, 1, time, n)``, on the host."""
        first = round(SETTLE_MS / network.dt_ms)
        spikes = found.traces["spikes"][0].double() * network.emission_value(1)
        r = filtered(spikes, self.trace_ms, network.dt_ms)[:, :, first:-1]
        z = filtered(found.traces["control"][0], self.trace_ms, network.dt_ms)[:, :, first:-1]
        return r, z, found.traces["readout"][0].cpu().double()[:, :, first + 1 :]

    def _read_out(self, fit: Fit, model: Model) -> Dense:
        """Return the change to the fitted read-out, corrected for what its synapses make of weights."""
        on_chips = model.forward_weights[self.index(model.network, 1, 2)].detach()
        written = on_chips.cpu()
        noise, said = fit.products.chunk(2, dim=-1)
        wanted = Sums(fit.squares, noise).solve()
        carried = Sums(fit.squares, said).solve(EXACT)
        share = torch.where(written != 0, carried / written, 1.0).clamp(*NEAR)
        return Dense((wanted / share - written).to(on_chips.device))

    @staticmethod
    def index(network: Network, pre: int, post: int) -> int:
        """Return the place of the connection between two layers."""
        return next(i for i, c in enumerate(network.connections) if (c.pre, c.post) == (pre, post))

    # training, and the test

    def presentation(self, batch: Batch, model: Model) -> tuple[Phase, ...]:
        whole = model.stimulus.phase("controlled", batch)
        assert isinstance(whole.drive, CurrentDrive)
        first = self.settled(model)
        counted, values = whole.window[first:], whole.drive.values
        learning = Phase(
            "controlled",
            CurrentDrive(values[:, first:]),
            counted,
            self.controller.towards(batch.target[:, first:], moves=True),
            after="held" if first else None,
            plasticity=self.plasticity(model, float(counted.sum())),
            record=self.records,
        )
        if not first:
            return (learning,)
        every = window(first, first)
        held = self.holding(batch.target[:, :first])
        before = Phase("held", CurrentDrive(values[:, :first]), every, held, record=self.records & {"spikes"})
        return (before, learning)

    @abstractmethod
    def plasticity(self, model: Model, steps: float) -> Plasticity | None:
        """Return how synapses change while a sample is shown, whose window has the sum `steps`, or None."""

    @staticmethod
    def settled(model: Model) -> int:
        """Return for how many steps a system is held before anything is learned: those before the window."""
        return model.stimulus.steps - model.stimulus.window_steps

    def check_moving(self) -> None:
        """Pass: that is what is learned from."""

    @property
    def controls(self) -> bool:
        return True

    def holding(self, target: Tensor) -> Controller:
        return Controller(target, kp=self.hold, ki_per_ms=0.0, moves=True)

    def reached(self, batch: Batch, found: Recording, model: Model) -> dict[str, Tensor]:
        """Return what of an update says how far the outputs were from their targets."""
        wanted = batch.target[:, self.settled(model) + 1 :]
        error = wanted - found.traces["readout"][0].double()[:, :, :-1]  # what was there before a step
        return {
            "residual": error.abs().mean(dim=(1, 2, 3)),
            "control_error": error.square().sum(dim=(1, 2, 3)) / wanted.square().sum(),
        }
