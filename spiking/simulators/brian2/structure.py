"""The shape of the program that a block of a network needs."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from spiking.blocks.block import Block
from spiking.blocks.populations import Population as Layers
from spiking.blocks.populations import populations
from spiking.hardware import Hardware
from spiking.network import Network
from spiking.neurons.base import Neuron, State, Values
from spiking.presentation import SpikeDrive
from spiking.programs.to_brian2 import code
from spiking.simulators.brian2.shape import PREFIXES, Part, Population, Shape

__all__ = ["constants", "shape_of"]


def constants(own: Layers, values: Sequence[Values], dt_ms: float) -> State:
    """Return the discrete constants of a population, each ``(chips, neurons)``, float64."""
    made = own.constants(values, dt_ms)
    return {name: value.squeeze(1).to("cpu", torch.float64) for name, value in made.items()}


def shape_of(network: Network, hardware: Hardware, block: Block) -> Shape:
    """Return the structure of a block."""
    found = []
    for own in populations(network):
        sources = [(hardware.neurons, block.start.neurons)]
        if block.shadow:
            sources.append((hardware.shadows, block.start.shadows))
        parts = tuple(
            _part(own.neuron, constants(own, values, network.dt_ms), states[own.layers[0]], prefix)
            for prefix, (values, states) in zip(PREFIXES, sources, strict=False)
        )
        sizes = tuple(network.layers[index].size for index in own.layers)
        found.append(Population(own.layers, sizes, parts, own.neuron.emits_spikes))
    return Shape(
        inputs=network.inputs,
        populations=tuple(found),
        connections=tuple((c.pre, c.post, c.delay_steps) for c in network.connections),
        drive="spikes" if isinstance(block.drive, SpikeDrive) else "currents",
        controller=block.target is not None,
        injected=bool(block.currents),
        record=tuple(sorted(block.record)),
        plastic=block.plasticity is not None,
        gate_points=0 if hardware.relay is None else hardware.relay.points,
        moves=block.course is not None,
        traced=block.plasticity is not None and block.plasticity.trace_ms is not None,
    )


def _part(neuron: Neuron, values: State, states: State, prefix: str) -> Part:
    return Part(code(neuron.program(values), prefix), tuple(sorted(values)), tuple(sorted(states)))
