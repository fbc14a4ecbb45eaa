"""A block of phases as the kernel's arrays, on the device."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import cached_property
from typing import final

import torch
from torch import Tensor

from spiking.feedback import Layered
from spiking.hardware import Hardware
from spiking.network import Network
from spiking.neurons.base import State
from spiking.presentation import CurrentDrive, SpikeDrive
from spiking.simulators.apical import ApicalNoise
from spiking.simulators.blocks import Block
from spiking.simulators.bound import bound_controller, drives, readout_trace, synaptic_gain
from spiking.simulators.cuda.constants import Laid
from spiking.simulators.cuda.layout import pack_bits
from spiking.simulators.cuda.source import Shape
from spiking.simulators.relay import gate_trace

__all__ = ["Packing"]

Arrays = dict[str, Tensor]


@final
class Packing:
    """What the kernel is given and what it leaves.

    Args:
        network: the description.
        hardware: the effective parameters.
        block: what to run.
        laid: the constants of the chips, where all else is to be.
    """

    def __init__(self, network: Network, hardware: Hardware, block: Block, laid: Laid) -> None:
        self.network, self.hardware, self.block, self.laid = network, hardware, block, laid
        self.layout, self.dtype, self.device = laid.layout, laid.decay.dtype, laid.decay.device
        self.pairs = (hardware.chips, block.batch)
        self.loop = bound_controller(network, hardware, block, self.to)
        self.arrays: Arrays = {
            **laid.tables,
            **self._chips(),
            **self._samples(),
            **self._state(),
            **self._relay(),
            **self._results(),
        }

    @cached_property
    def shape(self) -> Shape:
        """What the kernel is compiled for."""
        block, layout = self.block, self.layout
        flags = {
            "SHADOW": block.shadow,
            "RELAY": self.hardware.relay is not None,
            "VALUES": not all(layout.spiking),
            "NOISE": block.noise is not None,
            "CLOSED": block.target is not None,
            "DELAYS": any(layout.waits),
        }
        double = self.dtype == torch.float64
        return Shape(layout.columns, self.laid.groups, tuple(flags.items()), double)

    @property
    def numbers(self) -> dict[str, float]:
        """The counts and numbers of the kernel."""
        network, block, layout, path = self.network, self.block, self.layout, self.network.feedback
        spikes = isinstance(block.drive, SpikeDrive)
        trace = readout_trace(network)
        relayed = self.hardware.relay is not None and isinstance(path, Layered)
        return {
            "chips": self.pairs[0],
            "batch": self.pairs[1],
            "steps": block.steps,
            "columns": layout.columns,
            "outputs": network.outputs,
            "inputs": network.inputs,
            "layers": network.depth,
            "connections": len(network.connections),
            "input_words": self.arrays["spikes"].shape[-1] if spikes else 0,
            "target_chips": self.arrays["target"].shape[0] if "target" in self.arrays else 1,
            "drive_batch": self.arrays["drive"].shape[1],
            "curve_chips": self.arrays["curves"].shape[0] if relayed else 1,
            "every": path.refresh_steps(network.dt_ms) if isinstance(path, Layered) else 1,
            "points": self.hardware.relay.points if self.hardware.relay is not None else 0,
            "spikes_in": int(spikes),
            "driven": self.arrays["input_weights"].shape[2] if "values" in self.arrays else 0,
            "weights_total": sum(layout.synapses),
            "relay_total": self.arrays["relay_weights"].shape[1] if relayed else 0,
            "ring_words_total": layout.ring_words,
            "ring_values_total": layout.ring_values,
            "trace_keep": trace.decay,
            "trace_gain": trace.gain,
            "gate_keep": gate_trace(network, path)[0] if isinstance(path, Layered) else 0.0,
        }

    def to(self, tensor: Tensor) -> Tensor:
        """Return a tensor as the kernel reads it."""
        return tensor.to(self.device, self.dtype).contiguous()

    def own(self, tensor: Tensor) -> Tensor:
        """Return a copy: the kernel overwrites it."""
        return torch.empty(tensor.shape, dtype=self.dtype, device=self.device).copy_(tensor)

    def room(self, *shape: int) -> Tensor:
        """Return zeros."""
        return torch.zeros(shape, dtype=self.dtype, device=self.device)

    def joined(self, parts: Sequence[Tensor]) -> Tensor:
        """Return one tensor per layer side by side."""
        return self.layout.join(parts, self.room(*parts[0].shape[:-1], self.layout.columns))

    def _chips(self) -> Arrays:
        hardware, block = self.hardware, self.block
        arrays = {"constants": self.laid.neurons, "decay": self.laid.decay, "weights": self._weights()}
        if block.shadow:
            pairs = zip(hardware.shadows, hardware.neurons, strict=True)
            shifts = [shadow["bias"] - neuron["bias"] for shadow, neuron in pairs]
            arrays |= {"shadow_constants": self.laid.shadows, "shadow_bias": self.joined(shifts)}
        if isinstance(block.drive, CurrentDrive) and block.drive.values.ndim == 3:
            arrays |= {"input_weights": self._input_weights(), "values": self.to(block.drive.values)}
        if self.loop is None:
            return arrays
        arrays["readout"] = torch.cat([self.loop.gain, self.loop.offset], dim=1).contiguous()
        if hardware.relay is None:
            arrays["feedback"] = self.joined(hardware.feedback)
        return arrays

    def _weights(self) -> Tensor:
        """Scale weights so that a presynaptic rate r gives the mean current w r."""
        network, first = self.network, 0
        flat = torch.empty(self.pairs[0], sum(self.layout.synapses), dtype=self.dtype, device=self.device)
        for connection, weight in zip(network.connections, self.hardware.weights, strict=True):
            size = weight.shape[1] * weight.shape[2]
            if not drives(connection, self.block):
                scale = synaptic_gain(network, connection, self.laid.decays[connection.post - 1])
                flat[:, first : first + size].view(weight.shape).copy_(weight * scale)
            first += size
        return flat

    def _samples(self) -> Arrays:
        block, loop = self.block, self.loop
        arrays = {"window": self.to(block.window), "drive": self._drive()}
        if isinstance(block.drive, SpikeDrive):
            arrays["spikes"] = pack_bits(self._arriving(block.drive.spikes.to(self.device))).contiguous()
        if block.noise is not None:
            arrays["noise"] = self._noise()
        if loop is None:
            return arrays
        return arrays | {
            "gains": torch.stack((loop.kp, loop.ki, loop.leak.expand_as(loop.ki)), dim=2).contiguous(),
            "target": loop.target,
            "controlled": self.to(block.controlled),
            "softmax": self.to(block.softmax),
        }

    def _arriving(self, spikes: Tensor) -> Tensor:
        """Return the input spikes of every step's arrival; a delay brings those of earlier steps first.

        All connections from the input have the same; see the simulator's `check`.
        """
        wait = self.network.connections[0].delay_steps - 1
        if not wait:
            return spikes
        earlier = self.block.start.history[0][0].to(self.device) != 0
        return torch.cat([earlier, spikes], dim=1)[:, : self.block.steps]

    def _drive(self) -> Tensor:
        """Return bias, constant input and injected currents, ``(chips, batch or 1, columns)``."""
        block, hardware = self.block, self.hardware
        bias = self.joined([values["bias"].unsqueeze(1) for values in hardware.neurons])
        constant = isinstance(block.drive, CurrentDrive) and block.drive.values.ndim == 2
        if not (constant or block.currents):
            return bias
        drive = bias.repeat(1, block.batch, 1)
        if isinstance(block.drive, CurrentDrive) and constant:
            for columns, weight in self._direct():
                drive[..., columns] += torch.matmul(self.to(block.drive.values), self.to(weight))
        for part, current in zip(self.layout.split(drive), block.currents, strict=False):
            part.add_(current)
        return drive

    def _direct(self) -> Iterator[tuple[slice, Tensor]]:
        """Yield the columns and the weights of every connection that carries input currents."""
        for connection, weight in zip(self.network.connections, self.hardware.weights, strict=True):
            if drives(connection, self.block):
                first = self.layout.first[connection.post - 1]
                yield slice(first, first + self.layout.sizes[connection.post - 1]), weight

    def _input_weights(self) -> Tensor:
        """Return one matrix from the input to all columns up to the last that its currents reach."""
        reached = [*self._direct()]
        last = max(columns.stop for columns, _ in reached)
        joined = self.room(self.pairs[0], self.network.inputs, last)
        for columns, weight in reached:
            joined[..., columns] += self.to(weight)
        return joined

    def _noise(self) -> Tensor:
        """Return the noise of every step, ``(steps, batch, columns)``, as the tensor simulator draws it."""
        assert self.block.noise is not None
        sizes = list(self.layout.sizes)
        place = torch.device("cpu")
        process = ApicalNoise(
            self.block.noise, (self.block.batch, sum(sizes)), self.network.dt_ms, place, self.dtype
        )
        steps = torch.stack([process.step(None, None, None) for _ in range(self.block.steps)])
        return self.joined(torch.split(steps.to(self.device), sizes, dim=-1))

    def _state(self) -> Arrays:
        start, block = self.block.start, self.block
        arrays = {
            "neurons": self._states(start.neurons),
            "synapse": self.joined(start.synapse),
            "trace": self.own(start.trace),
            "integral": self.own(start.integral),
        }
        if block.shadow:
            arrays["shadows"] = self._states(start.shadows)
        words, values = [], []
        for index, history in enumerate(start.history):
            pre = self.network.connections[index].pre
            if not self.layout.waits[index]:
                continue
            held = history.to(self.device).expand(*self.pairs, -1, -1)
            if self.layout.spiking[pre - 1]:
                words.append(pack_bits(held).flatten(2))
            else:
                values.append(self.to(held).flatten(2))
        for name, rings in (("ring_words", words), ("ring_values", values)):
            if rings:
                arrays[name] = torch.cat(rings, dim=2).contiguous()
        return arrays

    def _states(self, layers: Sequence[State]) -> Tensor:
        """Return the states of all layers, of which each has its model's."""
        room = self.room(self.shape.states, *self.pairs, self.layout.columns)
        for layer, state in enumerate(layers):
            first, size = self.layout.first[layer], self.layout.sizes[layer]
            for row, name in enumerate(self.laid.groups[self.layout.groups[layer]].program.states):
                room[row, ..., first : first + size] = state[name]
        return room

    def _relay(self) -> Arrays:
        relay, path = self.hardware.relay, self.network.feedback
        if relay is None or not isinstance(path, Layered):
            return {}
        layout, hidden = self.layout, self.network.depth - 1
        chips = max(curve.shape[0] for curve in relay.gates)
        curves = self.room(chips, layout.columns, relay.points)
        strength, low = self.room(self.pairs[0], layout.columns), self.room(layout.columns)
        scale = torch.ones_like(low)
        for layer in range(hidden):
            part = slice(layout.first[layer], layout.first[layer] + layout.sizes[layer])
            curves[:, part] = relay.gates[layer].to(curves)
            strength[:, part] = relay.strength[layer].to(strength).unsqueeze(1)
            low[part] = relay.low[layer]
            scale[part] = (relay.points - 1) / (relay.high[layer] - relay.low[layer])
        synapses = [weights.reshape(weights.shape[0], -1) for weights in self.hardware.feedback]
        gates = self.room(*self.pairs, layout.columns)
        added = torch.tensor(gate_trace(self.network, path)[1], dtype=self.dtype).to(self.device)
        return {
            "relay_weights": self.to(torch.cat(synapses, dim=1)),
            "strength": strength,
            "curves": curves,
            "low": low,
            "scale": scale,
            "added": added,
            "gates": layout.join(self.block.start.gates, gates),
        }

    def _results(self) -> Arrays:
        block, columns, outputs = self.block, self.layout.columns, self.network.outputs
        arrays = {"emitted": self.room(*self.pairs, columns), "effort": self.room(*self.pairs, outputs)}
        if block.shadow:
            arrays["basal"] = self.room(*self.pairs, columns)
        if self.hardware.relay is not None:
            arrays["apical"] = self.room(*self.pairs, columns)
        asked = set(block.record)
        if block.noise is not None and block.target is not None:
            asked |= {"fed", "control"}  # what the correlation is made of
        for name in asked:
            last = outputs if name in {"control", "readout"} else columns
            arrays[f"r_{name}"] = self.room(*self.pairs, block.steps, last)
        return arrays
