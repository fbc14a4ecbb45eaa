"""The numbers of a block as the named arrays of a program, and back."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from spiking.blocks.block import Block
from spiking.blocks.bound import (
    bound_controller,
    bound_relay,
    emission_values,
    gains,
    synapse_decays,
)
from spiking.blocks.populations import Population, populations
from spiking.blocks.recordings import Outcome, input_rates
from spiking.blocks.snapshots import oldest_first
from spiking.hardware import Hardware
from spiking.network import Network
from spiking.neurons.base import State, Values
from spiking.presentation import Change, Plasticity, Snapshot, SpikeDrive
from spiking.readout import readout_trace
from spiking.simulators.brian2.layout import LOCAL
from spiking.simulators.brian2.shape import PREFIXES, Shape
from spiking.simulators.brian2.structure import constants

__all__ = ["arrays", "outcome"]

Arrays = Mapping[str, Tensor]


def arrays(network: Network, hardware: Hardware, block: Block, shape: Shape) -> dict[str, Tensor]:
    """Return the contents of all constants, states and inputs, in shapes that expand to their section's."""
    data: dict[str, Tensor] = {}
    decays = synapse_decays(network, hardware)
    for index, own in enumerate(populations(network)):
        data |= _population(network, hardware, block, f"population{index}", own)
        data[f"population{index}.synapse_decay"] = own.pick(decays)
        if shape.controller and not shape.gate_points:
            data[f"feedback{index}"] = own.pick(hardware.feedback)
    data |= _readout(network, hardware, block, shape) | _relays(network, hardware, block, shape)
    for index, gain in enumerate(gains(network, decays, block)):
        connection, weight = network.connections[index], hardware.weights[index]
        data[f"weights{index}"] = weight * gain
        if block.plasticity is not None:
            factor = hardware.synapses[index]
            unit = (gain if block.plasticity.steps else torch.zeros_like(gain)).expand_as(weight)
            data[f"effect{index}"] = unit if factor is None else unit * factor
        if connection.delay_steps > 1:
            data[f"history{index}"] = block.start.history[index]
    if isinstance(block.drive, SpikeDrive):
        data["raster"] = block.drive.spikes.to(torch.uint8)
    else:
        values = block.drive.values
        data["values"] = values.unsqueeze(1) if values.ndim == 2 else values
    data["window"] = block.window
    if block.course is not None:
        data["course"] = block.course
    if block.plasticity is not None:
        data |= _plasticity(network, block, block.plasticity, shape)
    return data


def _plasticity(network: Network, block: Block, plasticity: Plasticity, shape: Shape) -> dict[str, Tensor]:
    total = block.window[0].sum().double()
    steps = torch.tensor(plasticity.steps or [1.0] * len(network.connections), dtype=torch.float64)
    if plasticity.trace_ms is not None:
        share = 1.0 - math.exp(-network.dt_ms / plasticity.trace_ms)
        flags = (plasticity.from_first_spike, plasticity.biases, bool(plasticity.steps))
        return {
            "step_sizes": steps / total,
            "tracing": torch.tensor([share, *map(float, flags)], dtype=torch.float64),
            "emission_values": torch.tensor(emission_values(network, block), dtype=torch.float64),
        }
    values = [network.emission_value(population.layers[0] + 1) for population in shape.populations]
    return {
        "step_sizes": steps,
        "together": torch.tensor([plasticity.batch or block.batch], dtype=torch.float64),
        "scales": torch.tensor(values, dtype=torch.float64) / total,
        "input_rates": input_rates(network, block.drive, block.window[0]).double(),
    }


def _population(
    network: Network, hardware: Hardware, block: Block, group: str, own: Population
) -> dict[str, Tensor]:
    sources: list[tuple[Sequence[Values], Sequence[State]]] = [(hardware.neurons, block.start.neurons)]
    if block.shadow:
        sources.append((hardware.shadows, block.start.shadows))
    data: dict[str, Tensor] = {}
    for prefix, (values, states) in zip(PREFIXES, sources, strict=False):
        named = constants(own, values, network.dt_ms) | own.beside(states)
        data |= {f"{group}.{prefix}{name}": value for name, value in named.items()}
    bias = own.pick([values["bias"] for values in hardware.neurons])
    data[f"{group}.bias"] = bias
    if block.shadow:
        shadowed = own.pick([values["bias"] for values in hardware.shadows])
        data[f"{group}.bias_change"] = shadowed - bias
    data[f"{group}.synapse"] = own.pick(block.start.synapse)
    if block.currents:
        data[f"{group}.injected"] = own.pick(block.currents)
    return data


def _readout(network: Network, hardware: Hardware, block: Block, shape: Shape) -> dict[str, Tensor]:
    trace = readout_trace(network)
    data = {
        "readout.trace": block.start.trace,
        "readout.trace_decay": torch.tensor(trace.decay, dtype=torch.float64),
        "trace_gain": torch.tensor(trace.gain, dtype=torch.float64),
    }
    loop = bound_controller(network, hardware, block)
    if loop is None:
        return data
    return data | {
        "controller.integral": block.start.integral,
        "controller.target": loop.target,
        "controller.on": loop.on,
        "controller.kp": loop.kp,
        "controller.ki_step": loop.ki,
        "controller.leak_step": loop.leak,
        "controller.gain": loop.gain.squeeze(1),
        "controller.offset": loop.offset.squeeze(1),
    }


def _relays(network: Network, hardware: Hardware, block: Block, shape: Shape) -> dict[str, Tensor]:
    relay = bound_relay(network, hardware, block.start)
    if relay is None:
        return {}
    data: dict[str, Tensor] = {}
    for index, layer in enumerate(shape.relays):
        data[f"relay{layer}.seen"] = relay.seen[index]
        data[f"relay{layer}.seen_decay"] = torch.tensor(relay.kept, dtype=torch.float64)
        data[f"seen_gain{layer}"] = torch.tensor(relay.added[index], dtype=torch.float64)
        if not shape.controller:
            continue
        ends = relay.low[index], relay.scale[index]
        data[f"backward{layer}"] = hardware.feedback[index]
        data[f"gates{layer}"] = relay.curves[index]
        data[f"gate_range{layer}"] = torch.tensor(ends, dtype=torch.float64)
        data[f"strength{layer}"] = relay.strength[index].squeeze(2)
    if shape.controller:
        data[f"backward{shape.depth}"] = hardware.feedback[-1]
        data["refresh_steps"] = torch.tensor(relay.every, dtype=torch.float64)
    return data


def outcome(block: Block, shape: Shape, data: Arrays) -> Outcome:
    """Return what a block gave.

    Args:
        block: what was run.
        shape: its structure.
        data: states and outputs by section name, the states after the last step.
    """
    traces: dict[str, tuple[Tensor, ...]] = {}
    for name in shape.record:
        traces[name] = _layers(shape, data, name + "{}") if name in LOCAL else (data[name],)
    return Outcome(
        sums=_layers(shape, data, "sums{}"),
        basal=_layers(shape, data, "basal{}") if shape.shadow else (),
        control=data["control_sum"] if shape.controller else None,
        final=_final(block, shape, data),
        traces=traces,
        changes=tuple(
            Change(data[f"weight_change{index}"], data[f"bias_change{index}"])
            for index in range(len(shape.connections) if shape.plastic else 0)
        ),
        apical=tuple(data[f"apical{layer}"] for layer in shape.relays) if shape.controller else (),
    )


def _layers(shape: Shape, data: Arrays, pattern: str) -> tuple[Tensor, ...]:
    """Return a population-wise array layer by layer."""
    return tuple(
        part
        for index, population in enumerate(shape.populations)
        for part in torch.split(data[pattern.format(index)], list(population.sizes), dim=-1)
    )


def _final(block: Block, shape: Shape, data: Arrays) -> Snapshot:
    neurons: list[State] = []
    shadows: list[State] = []
    for index, population in enumerate(shape.populations):
        for states, prefix, part in zip((neurons, shadows), PREFIXES, population.parts, strict=False):
            split = {
                name: torch.split(data[f"population{index}.{prefix}{name}"], list(population.sizes), dim=-1)
                for name in part.states
            }
            states += [{name: rows[i] for name, rows in split.items()} for i in range(len(population.sizes))]
    if not shape.shadow:
        shadows = [{} for _ in neurons]
    return Snapshot(
        neurons=tuple(neurons),
        shadows=tuple(shadows),
        synapse=_layers(shape, data, "population{}.synapse"),
        history=tuple(_history(block, data, index) for index in range(len(shape.connections))),
        trace=data["readout.trace"],
        integral=data["controller.integral"] if shape.controller else block.start.integral,
        gates=tuple(data[f"relay{layer}.seen"] for layer in shape.relays),
    )


def _history(block: Block, data: Arrays, index: int) -> Tensor:
    """Return what is still under way; the program keeps it in a ring, whose oldest entry moves."""
    name = f"history{index}"
    start = block.start.history[index]
    if name not in data:
        return start
    return oldest_first(data[name], block.steps)
