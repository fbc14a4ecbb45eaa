"""The wall: a population of chips owns its true parameters and lets only observations out."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import replace
from typing import Any, final

import torch
from torch import Tensor

from chips.base import Chips
from chips.card import ABILITIES, Card, design_of
from mismatch.draw import Draw
from mismatch.imperfections.base import Die, Moment
from mismatch.memory import Memory
from mismatch.spec import MismatchSpec
from mismatch.streams import Streams
from root.errors import UnsupportedError
from root.seeds import SeedTree
from spiking.blocks.snapshots import initial_snapshot
from spiking.hardware import Hardware
from spiking.network import Network
from spiking.presentation import Observation, Phase, Weights
from spiking.shapes import check_weights
from spiking.simulators.base import Simulator

__all__ = ["ChipPopulation", "bench_of"]

MACHINES = frozenset({"noise", "softmax", "tracking", "plasticity", "eligibility", "relay"})
"""Abilities that not every simulator has; the others any simulation has."""


@final
class ChipPopulation(Chips):
    """Simulated chips of one design, each with its own hidden mismatch.

    A chip is a slice: what chip k is made of is a function of ``(spec.seed, k)``, and its initial
    states, writes and noise are functions of ``(seeds, k)`` and the presentation alone, so its history does
    not depend on its neighbours.

    The chips have a clock: a presentation takes as long as its samples one after the other.

    Args:
        network: the design, with nominal values.
        spec: which parameters deviate and how, and what else is wrong with the chips.
        simulator: the machine that stands for the chips.
        seeds: where the random initial states, and the noise of writes and presentations, come from.

    Raises:
        InputError: `spec` does not fit the network.
        UnsupportedError: the simulator cannot express the network or an imperfection.
    """

    def __init__(self, network: Network, spec: MismatchSpec, simulator: Simulator, seeds: SeedTree) -> None:
        spec.check(network)
        spec.check_machine(simulator)
        simulator.check(network)
        self._network, self.spec = network, spec
        self._simulator, self._seeds = simulator, seeds
        self._streams = Streams(seeds.child("chip"), spec.numbers, device=simulator.device)
        self._draw = Draw(network, spec, simulator.device)
        for layers in (self._draw.neurons, self._draw.shadows):
            simulator.check_neurons(network, layers)
        shared = spec.shadow == "shared"
        self._effects = [
            kind.on(Die(network, self._draw.streams.child(name), shared)) for name, kind in spec.kinds
        ]
        self._memory: Memory | None = None
        if any(kind.remembers for _, kind in spec.kinds):
            self._memory = Memory(
                self._effects, Streams(seeds.child("write"), spec.numbers, device=simulator.device)
            )
        self._now_ms = 0.0
        self._settled: Hardware | None = None

    @property
    def card(self) -> Card:
        able = frozenset(ABILITIES) - MACHINES - {"memory"} | (MACHINES & self._simulator.abilities)
        return Card(
            name=f"simulated chips ({self._simulator.name})",
            sizes=tuple(self.network.sizes),
            chips=self.spec.chips,
            abilities=able | ({"memory"} if self._memory else set()),
            dt_ms=self.network.dt_ms,
            max_rate_hz=self.network.max_rate_hz,
            design=design_of(self.network),
        )

    @property
    def chips(self) -> int:
        return self.spec.chips

    @property
    def device(self) -> torch.device:
        """Where their values live, and what is observed."""
        return self._simulator.device

    @property
    def now_ms(self) -> float:
        return self._now_ms

    @property
    def bench(self) -> ChipPopulation:
        return self

    def sibling(self, spec: MismatchSpec) -> ChipPopulation:
        """Return other chips of the same design on the same machine."""
        return ChipPopulation(self.network, spec, self._simulator, self._seeds)

    def trial(self) -> ChipPopulation:
        """Return the same chips as they are now, for measurements that leave no trace.

        What is written to them and the time that passes for them are forgotten with them: testing more
        often changes nothing about training.
        """
        other = copy.copy(self)
        other._memory = self._memory.copy() if self._memory else None
        return other

    def program(self, weights: Weights) -> None:
        """Write weights; what the chips make of them stays inside.

        Raises:
            InputError: they are not those of this network on so many chips.
        """
        check_weights(self.network, self.chips, weights)
        written = self._draw.physical(_moved(weights, self.device))
        if self._memory:
            written = self._memory.write(written, self._now_ms)
        hardware = self._draw.hardware(written)
        for effect in self._effects:
            hardware = effect.settle(hardware)
        self._settled = hardware

    def advance(self, milliseconds: float) -> None:
        """Let time pass while nothing is presented."""
        self._now_ms += milliseconds

    def present(self, phases: Sequence[Phase], *presentation: str | int) -> Observation:
        """Show phases to every chip and return what can be measured from outside.

        Args:
            phases: what to run, each on all chips.
            presentation: names this presentation, so that its initial states and its noise are its own.

        Raises:
            RuntimeError: nothing was programmed yet.
        """
        moment = self._moment(presentation)
        hardware = self._aged(moment)
        for effect in self._effects:
            hardware = effect.read(hardware, moment)
        starts = {}
        for phase in phases:
            if phase.after is None:
                uniform = self._uniform(phase, presentation)
                starts[phase.name] = initial_snapshot(self.network, hardware, uniform, phase.shadow)
        observation = self._simulator.run(self.network, hardware, phases, starts)
        self._now_ms += sum(phase.steps * phase.batch for phase in phases) * self.network.dt_ms
        return observation

    def _moment(self, presentation: tuple[str | int, ...]) -> Moment:
        written = self._memory.written_ms if self._memory else {}
        return Moment(self._now_ms, written, self._streams.child(*presentation, "noise"))

    def _aged(self, moment: Moment) -> Hardware:
        """Return the effective values at `moment`, without what is random in every presentation."""
        if self._settled is None:
            raise RuntimeError("program the chips before presenting anything to them")
        hardware = self._settled
        for effect in self._effects:
            hardware = effect.age(hardware, moment)
        return hardware

    def _uniform(self, phase: Phase, presentation: tuple[str | int, ...]) -> list[Tensor]:
        """Draw the initial states chip by chip: every chip has a stream of its own."""
        sizes = self.network.sizes[1:]
        name = phase.start or phase.name
        drawn = self._streams.uniform(*presentation, name, shape=(phase.batch, sum(sizes)))
        return list(torch.split(drawn, list(sizes), dim=-1))

    def state(self) -> dict[str, Any]:
        """Return what programming and time have changed, for a checkpoint."""
        return {"now_ms": self._now_ms, "memory": self._memory.state() if self._memory else None}

    def restore(self, state: dict[str, Any]) -> None:
        """Go on from what `state` returned; the chips must be programmed again before a presentation."""
        self._now_ms, self._settled = float(state["now_ms"]), None
        if self._memory is not None:
            self._memory.restore(state["memory"])


def bench_of(chips: Chips) -> ChipPopulation:
    """Return simulated chips of the same design, from which the design itself and other chips can be had.

    Raises:
        UnsupportedError: the chips are not simulated.
    """
    if not isinstance(chips.bench, ChipPopulation):
        allowed = "simulated chips: of others neither the design itself nor more of them can be had"
        raise UnsupportedError("chips", chips.card.name, allowed)
    return chips.bench


def _moved(weights: Weights, device: torch.device) -> Weights:
    """Return weights where the chips are; those of a rule that learns elsewhere are sent there."""

    def there(tensors: Sequence[Tensor]) -> tuple[Tensor, ...]:
        return tuple(tensor.to(device) for tensor in tensors)

    return replace(
        weights,
        forward=there(weights.forward),
        bias=there(weights.bias),
        feedback=there(weights.feedback),
    )
