"""A recurrent network learns the dynamics of a system under error feedback, and then runs them without."""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace
from typing import Annotated, ClassVar, Literal, Self, final

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
from root.ranges import BATCHES, FACTOR, GAIN, RATE_HZ, TIME_MS, check_ranges
from spiking.network import Network
from spiking.neurons import LIF
from spiking.presentation import Controller, CurrentDrive, Observation, Phase, Plasticity, Recording

__all__ = ["Follow"]

SETTLE_MS = 500.0
"""Left out of a fit: the population starts anywhere."""

LOUDNESS = 0.7
"""Standard deviation of what is injected for the fit, over all dimensions: within the unit sphere."""

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

    prefix: ClassVar[str] = "follow.read"


@final
@dataclass(frozen=True)
class LoopFit(Fit):
    """That of the recurrent weights and those from the input, in open loop."""

    prefix: ClassVar[str] = "follow.loop"


@final
@dataclass(frozen=True)
class Follow(LearningRule):
    r"""FOLLOW: feedback-based online local learning of weights, on chips.

    The network is a population with connections from the input and to itself, and outputs that do not spike,
    y, which read it. A controller injects the error of the output into the population, through encoders e,

    .. math:: I_{fb,i} = g_i\, e_i \cdot u, \qquad u = k\,(x - y)

    and every synapse onto the population changes by the current that its neuron receives times its own
    presynaptic trace, in every step:

    .. math:: \Delta w_{ij} = \eta\, I_{fb,i}\, r_j

    Where the feedback synapses deviate, it is the deviating current that is learned from. At the beginning of
    a sample, before the averaging window, a stronger controller brings the population into the state of the
    system, and nothing is learned: an error that comes from where it was would bias the rule. After training
    the controller is off, and the population goes on by itself.

    The read-out comes from the chip. Before training, noise is injected through the feedback synapses, and
    the traces of the spikes are fitted to it by least squares, with their noise in them (see `Sums.solve`);
    what the read-out's synapses make of the weights they begin with is fitted to the same traces, so that
    they can be corrected. The chip is asked for spikes and its output, never for a parameter.

    With ``begin: open_loop`` the rule does not begin with the weights that are drawn, but with such as
    are regressed on the chip: the system's states x are injected instead of noise, and weights are fitted
    that would give the population this current, :math:`D r + B \tilde u \approx x` with the filtered commands
    :math:`\tilde u`. On the design that is the Neural Engineering Framework's construction (Eliasmith &
    Anderson 2003). What chips do with it is what is tested before training, in epoch 0.

    Source: Gilra & Gerstner 2017, doi:10.7554/eLife.28295.

    Args:
        controller: its gains; kp is k.
        input_rate: factor on the step size of the synapses from the input, whose traces are smaller.
        trace_ms: time constant of the presynaptic traces; that of the synapses.
        rates_hz: the lowest and the largest of the neurons' highest rates, by design.
        fit_batches: presentations of noise for the fit of the read-out, each as long as a sample.
        fit_correlation_ms: correlation time of that noise.
        hold: kp of the controller that brings the population into a system's state.
        begin: ``drawn``: with the weights of the config; ``open_loop``: with regressed ones.
    """

    controller: ControllerGains = field(default_factory=lambda: ControllerGains(kp=1.0, ki_per_ms=0.0))
    input_rate: Annotated[float, FACTOR] = 100.0
    trace_ms: Annotated[float, TIME_MS] = 20.0
    rates_hz: tuple[Annotated[float, RATE_HZ], Annotated[float, RATE_HZ]] = (200.0, 400.0)
    fit_batches: Annotated[int, BATCHES] = 12
    fit_correlation_ms: Annotated[float, TIME_MS] = 100.0
    hold: Annotated[float, GAIN] = 10.0
    begin: Literal["drawn", "open_loop"] = "drawn"

    name: ClassVar[str] = "follow"
    uses_feedback: ClassVar[bool] = True

    def __post_init__(self) -> None:
        check_ranges(self, "rule")
        if self.rates_hz[0] >= self.rates_hz[1]:
            raise InputError("rule.rates_hz", list(self.rates_hz), "two rates, the lower one first")
        if self.begin not in ("drawn", "open_loop"):
            raise InputError("rule.begin", self.begin, "drawn, open_loop")
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

    def abilities(self, *, on_chip: bool) -> frozenset[str]:
        if not on_chip:
            allowed = "on_chip: synapses learn in every step of time"
            raise UnsupportedError("training.plasticity", "host", allowed)
        return frozenset({"eligibility", "tracking"})

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
        )
        model.feedback = (
            drawn.encoders.to(device).expand(model.chips, -1, -1).clone(),
            torch.zeros(model.chips, network.outputs, network.outputs, dtype=torch.float64, device=device),
        )
        model.bias[0].data += drawn.bias.to(device)
        model.memory |= ReadOutFit.begun(model.chips).entries()
        if self.begin == "open_loop":
            model.memory |= LoopFit.begun(model.chips).entries()

    # the read-out

    def warmup(self, batch: Batch, model: Model) -> tuple[Phase, ...]:
        target = self._noise(batch, model)
        samples, steps, _ = target.shape
        still = CurrentDrive(torch.zeros(samples, model.network.inputs, dtype=torch.float64))
        shown = {"noise": target}
        if self.begin == "open_loop":
            shown["system"] = batch.target[:1]
        return tuple(
            Phase(
                name,
                still,
                window(steps, steps, "rectangular"),
                Controller(drive, kp=1.0, ki_per_ms=0.0, moves=True),
                record=self.requests,
            )
            for name, drive in shown.items()
        )

    def _noise(self, batch: Batch, model: Model) -> Tensor:
        """Return an Ornstein-Uhlenbeck process, as long as a sample of the batch, ``(1, time, n_out)``."""
        network, shape = model.network, (1, *batch.target.shape[1:])
        white = torch.from_numpy(model.seeds.child("noise", *batch.key).generator().standard_normal(shape))
        slow = filtered(white, self.fit_correlation_ms, network.dt_ms)
        kept = math.exp(-network.dt_ms / self.fit_correlation_ms)
        unit = math.sqrt((1.0 + kept) / (1.0 - kept))  # the filter's output has a deviation of one over it
        return slow * (unit * LOUDNESS / math.sqrt(shape[-1]))

    def identify(self, batch: Batch, observation: Observation, model: Model) -> Update:
        """Add a presentation to the fits; the last one ends them."""
        network = model.network
        r, z, y = self._seen(observation["noise"], network)
        fits: dict[type[Fit], Fit] = {}
        fits[ReadOutFit] = ReadOutFit.of(model.memory).with_sums(Sums.of(r, torch.cat([z, y], dim=-1)))
        if self.begin == "open_loop":
            fits[LoopFit] = LoopFit.of(model.memory).with_sums(self._open_loop(batch, observation, model))
        changes: list[Dense | None] = [None] * len(network.connections)
        if fits[ReadOutFit].shown == self.fit_batches:
            changes[self._index(network, 1, 2)] = self._read_out(fits[ReadOutFit], model)
            if LoopFit in fits:
                for pre, change in self._loop(fits[LoopFit], model).items():
                    changes[self._index(network, pre, 1)] = change
            fits = {kind: kind.begun(model.chips) for kind in fits}
        memory = {name: value for fit in fits.values() for name, value in fit.entries().items()}
        return Update(tuple(changes), memory=memory)

    def _seen(self, found: Recording, network: Network) -> tuple[Tensor, Tensor, Tensor]:
        """Return traces, filtered control and output, each ``(chips, 1, time, n)``, on the host."""
        first = round(SETTLE_MS / network.dt_ms)
        spikes = found.traces["spikes"][0].double() * network.emission_value(1)
        r = filtered(spikes, self.trace_ms, network.dt_ms)[:, :, first:-1]
        z = filtered(found.traces["control"][0], self.trace_ms, network.dt_ms)[:, :, first:-1]
        return r, z, found.traces["readout"][0].cpu().double()[:, :, first + 1 :]

    def _read_out(self, fit: Fit, model: Model) -> Dense:
        """Return the change to the fitted read-out, corrected for what its synapses make of weights."""
        on_chips = model.forward_weights[self._index(model.network, 1, 2)].detach()
        written = on_chips.cpu()
        noise, said = fit.products.chunk(2, dim=-1)
        wanted = Sums(fit.squares, noise).solve()
        carried = Sums(fit.squares, said).solve(EXACT)
        share = torch.where(written != 0, carried / written, 1.0).clamp(*NEAR)
        return Dense((wanted / share - written).to(on_chips.device))

    def _open_loop(self, batch: Batch, observation: Observation, model: Model) -> Sums:
        """Return the sums of what is injected times the traces and commands of the step before."""
        found, network = observation["system"], model.network
        r, _, y = self._seen(found, network)
        drive = model.stimulus.drive(batch, "system")
        assert isinstance(drive, CurrentDrive)
        first = r.shape[2] + 1
        commands = filtered(drive.values[:1], self.trace_ms, network.dt_ms)[None, :, -first:-1]
        features = torch.cat([r, commands.expand(r.shape[0], -1, -1, -1)], dim=-1)
        return Sums.of(features, found.traces["control"][0].cpu().double()[:, :, -y.shape[2] :])

    def _loop(self, fit: Fit, model: Model) -> dict[int, Dense]:
        """Return the changes to the regressed weights, by the layer before them."""
        neurons, encoders = model.network.layers[0].size, model.feedback[0].cpu()
        found = Sums(fit.squares, fit.products).solve() @ encoders
        fitted = {1: found[:, :neurons], 0: found[:, neurons:]}
        return {
            pre: Dense(weights.to(own.device) - own)
            for pre, weights in fitted.items()
            for own in (model.forward_weights[self._index(model.network, pre, 1)].detach(),)
        }

    @staticmethod
    def _index(network: Network, pre: int, post: int) -> int:
        return next(i for i, c in enumerate(network.connections) if (c.pre, c.post) == (pre, post))

    # training, and the test

    def presentation(self, batch: Batch, model: Model) -> tuple[Phase, ...]:
        whole = model.stimulus.phase("controlled", batch)
        assert isinstance(whole.drive, CurrentDrive)
        first = self._settled(model)
        counted, values = whole.window[first:], whole.drive.values
        learning = Phase(
            "controlled",
            CurrentDrive(values[:, first:]),
            counted,
            self.controller.towards(batch.target[:, first:], moves=True),
            after="held" if first else None,
            plasticity=self._plasticity(model, float(counted.sum())),
            record=frozenset({"readout"}),
        )
        if not first:
            return (learning,)
        every = window(first, first)
        held = self.holding(batch.target[:, :first])
        return (Phase("held", CurrentDrive(values[:, :first]), every, held), learning)

    @staticmethod
    def _settled(model: Model) -> int:
        """Return for how many steps a system is held before anything is learned: those before the window."""
        return model.stimulus.steps - model.stimulus.window_steps

    def _plasticity(self, model: Model, steps: float) -> Plasticity:
        """Return how synapses onto the population learn; a learning rate is per step of time."""
        known = model.on_chip
        if known is None:
            return Plasticity(1, self.trace_ms, biases=False, from_first_spike=False)
        factors = {(0, 1): self.input_rate, (1, 1): 1.0}
        sizes = tuple(
            rate * steps * factors.get((c.pre, c.post), 0.0)
            for rate, c in zip(known.steps, model.network.connections, strict=True)
        )
        return Plasticity(known.batch, self.trace_ms, sizes, biases=False, from_first_spike=False)

    @property
    def controls(self) -> bool:
        return True

    def holding(self, target: Tensor) -> Controller:
        return Controller(target, kp=self.hold, ki_per_ms=0.0, moves=True)

    def update(self, batch: Batch, observation: Observation, model: Model) -> Update:
        found = observation["controlled"]
        connections = tuple(
            Dense(change.weight) if connection.post == 1 else None
            for change, connection in zip(found.changes, model.network.connections, strict=True)
        )
        wanted = batch.target[:, self._settled(model) + 1 :]
        error = wanted - found.traces["readout"][0].double()[:, :, :-1]  # what was there before a step
        return Update(
            connections,
            residual=error.abs().mean(dim=(1, 2, 3)),
            measures={"control_error": error.square().sum(dim=(1, 2, 3)) / wanted.square().sum()},
        )
