"""Random problems: mismatched chips, what they are shown, the states they begin in."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import torch
from torch import Tensor

from rate_bridge.filters import window
from spiking.blocks.snapshots import initial_snapshot
from spiking.feedback import Layered
from spiking.hardware import Hardware
from spiking.network import Network
from spiking.presentation import Controller, CurrentDrive, Phase, Recording, Relay, Snapshot, SpikeDrive
from spiking.simulators.base import Simulator

__all__ = [
    "EVERYTHING",
    "Problem",
    "layered",
    "pair",
    "random_currents",
    "random_hardware",
    "random_relay",
    "random_spikes",
    "random_start",
    "random_target",
    "relayed",
]

EVERYTHING = frozenset({"spikes", "voltage", "current", "readout", "control"})


@dataclass
class Problem:
    """A network on mismatched chips and what they are shown."""

    network: Network
    hardware: Hardware
    phases: Sequence[Phase]
    starts: Mapping[str, Snapshot] = field(default_factory=dict)

    def run(self, simulator: Simulator) -> dict[str, Recording]:
        """Return what a machine makes of it."""
        return simulator.run(self.network, self.hardware, self.phases, self.starts)


def random_hardware(network: Network, chips: int, seed: int, *, spread: float = 0.2) -> Hardware:
    """Return chips whose every parameter deviates, the shadows' by draws of their own."""
    g = torch.Generator().manual_seed(seed)

    def normal(*shape: int) -> Tensor:
        return torch.randn(*shape, generator=g, dtype=torch.float64)

    def parameters() -> tuple[dict[str, Tensor], ...]:
        layers = []
        for layer in network.layers:
            values = {}
            for p in layer.neuron.parameters:
                nominal = torch.full((chips, layer.size), layer.neuron.nominal[p.field], dtype=torch.float64)
                noise = spread * normal(chips, layer.size)
                values[p.field] = nominal + noise if p.additive else nominal * (1 + noise).clamp(0.3, 3)
            layers.append(values)
        return tuple(layers)

    return Hardware(
        neurons=parameters(),
        shadows=parameters(),
        weights=tuple(2 * normal(chips, *s.shape) / math.sqrt(s.fan_in) for s in network.synapses),
        feedback=tuple(0.3 * normal(chips, *shape) for shape in network.feedback_shapes),
        readout={
            "gain": 1 + 0.1 * normal(chips, network.outputs),
            "offset": 0.02 * normal(chips, network.outputs),
            "kp": 1 + 0.1 * normal(chips, network.outputs),
            "ki": 1 + 0.1 * normal(chips, network.outputs),
        },
    )


def random_relay(network: Network, chips: int, seed: int) -> Relay:
    """Return gates that differ between neurons and chips, below 0 too, over narrow and wide ranges."""
    g = torch.Generator().manual_seed(seed)
    hidden = network.layers[:-1]
    return Relay(
        strength=tuple(0.2 + torch.rand(chips, generator=g, dtype=torch.float64) for _ in hidden),
        gates=tuple(torch.randn(chips, layer.size, 7, generator=g, dtype=torch.float64) for layer in hidden),
        low=tuple(0.1 * index for index, _ in enumerate(hidden)),
        high=tuple(0.6 + index for index, _ in enumerate(hidden)),
    )


def relayed(problem: Problem) -> Problem:
    """Return the problem, whose network has layered feedback, with gates programmed."""
    relay = random_relay(problem.network, problem.hardware.chips, 11)
    problem.hardware = replace(problem.hardware, relay=relay)
    return problem


def layered(network: Network, **options: float) -> Network:
    """Return the network with feedback that is relayed from layer to layer."""
    return replace(network, feedback=Layered(**options))


def random_start(network: Network, hardware: Hardware, batch: int, seed: int, *, shadow: bool) -> Snapshot:
    """Return random initial states, the same for all phases that are given them."""
    g = torch.Generator().manual_seed(seed)
    uniform = [
        torch.rand(hardware.chips, batch, layer.size, generator=g, dtype=torch.float64)
        for layer in network.layers
    ]
    return initial_snapshot(network, hardware, uniform, shadow)


def random_spikes(network: Network, batch: int, steps: int, seed: int) -> SpikeDrive:
    """Return spikes of inputs that have rates of their own."""
    g = torch.Generator().manual_seed(seed)
    rates = 0.2 * torch.rand(batch, 1, network.inputs, generator=g)
    return SpikeDrive(torch.rand(batch, steps, network.inputs, generator=g) < rates * network.dt_ms)


def random_currents(network: Network, batch: int, steps: int, seed: int) -> CurrentDrive:
    """Return constant currents, or one per step where `steps` is not 0."""
    g = torch.Generator().manual_seed(seed)
    shape = (batch, steps, network.inputs) if steps else (batch, network.inputs)
    return CurrentDrive(torch.rand(*shape, generator=g, dtype=torch.float64))


def random_target(network: Network, batch: int, seed: int) -> Tensor:
    """Return what a controller is to reach."""
    g = torch.Generator().manual_seed(seed)
    return torch.rand(batch, network.outputs, generator=g, dtype=torch.float64)


def pair(
    network: Network,
    chips: int,
    batch: int,
    steps: int,
    *,
    currents: int | None = None,
    shadow: bool = True,
    seed: int = 1,
) -> Problem:
    """A free and a controlled phase side by side, and a third one that goes on from the second."""
    hardware = random_hardware(network, chips, seed)

    def drive(n: int) -> SpikeDrive | CurrentDrive:
        if currents is None:
            return random_spikes(network, batch, steps, seed + n)
        return random_currents(network, batch, currents and steps, seed + n)

    controller = Controller(random_target(network, batch, seed), kp=0.5, ki_per_ms=0.01, leak_per_ms=0.005)
    preset = Controller(random_target(network, batch, seed + 5), kp=1.0, ki_per_ms=0.02, trace_at_target=True)
    half = window(steps, steps // 2)
    phases = [
        Phase("free", drive(1), half, shadow=shadow, start="one", record=EVERYTHING),
        Phase(
            "controlled",
            drive(2),
            window(steps, steps // 3, "hann"),
            controller,
            shadow,
            start="two",
            record=EVERYTHING,
        ),
        Phase("after", drive(3), half, preset, shadow, after="controlled", record=EVERYTHING),
    ]
    starts = {
        phase.name: random_start(network, hardware, batch, seed + 10 + n, shadow=shadow)
        for n, phase in enumerate(phases[:2])
    }
    return Problem(network, hardware, phases, starts)
