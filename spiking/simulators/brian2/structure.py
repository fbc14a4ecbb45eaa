"""The shape of the program that a block of a network needs."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby

import torch

from spiking.hardware import Hardware
from spiking.network import Network
from spiking.neurons.base import Neuron, State, Values
from spiking.presentation import SpikeDrive
from spiking.programs.to_brian2 import code
from spiking.simulators.blocks import Block
from spiking.simulators.brian2.shape import PREFIXES, Part, Population, Shape

__all__ = ["constants", "shape_of"]


def constants(neuron: Neuron, values: Sequence[Values], dt_ms: float) -> State:
    """Return the discrete constants of layers side by side, each ``(chips, neurons)``, float64."""
    joined = {name: torch.cat([v[name] for v in values], dim=-1) for name in values[0]}
    made = neuron.constants(joined, dt_ms)
    return {name: value.squeeze(1).to("cpu", torch.float64) for name, value in made.items()}


def shape_of(network: Network, hardware: Hardware, block: Block) -> Shape:
    """Return the structure of a block."""
    populations = []
    numbered = enumerate(network.layers)
    for _, group in groupby(numbered, key=lambda item: item[1].neuron.options):
        members = list(group)
        layers, neuron = [index for index, _ in members], members[0][1].neuron
        sources = [(hardware.neurons, block.start.neurons)]
        if block.shadow:
            sources.append((hardware.shadows, block.start.shadows))
        parts = tuple(
            _part(neuron, constants(neuron, [values[i] for i in layers], network.dt_ms), states[layers[0]], p)
            for p, (values, states) in zip(PREFIXES, sources, strict=False)
        )
        sizes = tuple(layer.size for _, layer in members)
        populations.append(Population(tuple(layers), sizes, parts, neuron.emits_spikes))
    return Shape(
        inputs=network.inputs,
        populations=tuple(populations),
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
