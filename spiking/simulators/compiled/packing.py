"""A block of phases as flat arrays that a kernel can run over."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple, final

import numpy as np
import torch
from torch import Tensor

from spiking.hardware import Hardware
from spiking.network import Network
from spiking.neurons.base import State
from spiking.presentation import CurrentDrive, SpikeDrive
from spiking.simulators.blocks import Block
from spiking.simulators.bound import (
    BoundController,
    bound_controller,
    drives,
    readout_trace,
    synaptic_gain,
)
from spiking.simulators.compiled.arrays import (
    ROWS,
    Array,
    Chips,
    Recorded,
    Relays,
    Samples,
    Sums,
    Variables,
    Wires,
)
from spiking.simulators.compiled.columns import Columns, as_bytes, wires
from spiking.simulators.compiled.constants import KnownConstants
from spiking.simulators.compiled.relays import relays

__all__ = ["Packed", "Packer"]


class Packed(NamedTuple):
    """What a kernel takes."""

    wires: Wires
    chips: Chips
    samples: Samples
    start: Variables
    sums: Sums
    recorded: Recorded
    relays: Relays


@final
@dataclass(frozen=True)
class Packer:
    """Everything that is to be laid out.

    Args:
        network: the description.
        hardware: the effective parameters.
        block: what to run.
        columns: where the layers lie.
        states: the kernel's state variables.
        constants: the kernel's constants, those that a neuron model may leave out last.
        known: constants that were laid out before.
    """

    network: Network
    hardware: Hardware
    block: Block
    columns: Columns
    states: Sequence[str]
    constants: Sequence[str]
    known: KnownConstants

    def pack(self) -> Packed:
        """Return arrays of which a kernel overwrites start, sums and recorded."""
        columns, outputs = self.columns, self.network.outputs
        return Packed(
            wires(self.network, columns),
            self._chips(),
            self._samples(),
            self._variables(),
            Sums(
                self._room(columns.total),
                self._room(columns.total) if self.block.shadow else self._none(3),
                self._room(outputs),
                self._room(columns.total) if self.hardware.relay else self._none(3),
            ),
            self._recorded(),
            relays(self.network, self.hardware, columns),
        )

    def _none(self, dimensions: int) -> Array:
        return np.zeros((0,) * dimensions, self.columns.kind)

    def _room(self, *last: int) -> Array:
        return np.empty((self.hardware.chips, self.block.batch, *last), self.columns.kind)

    def _array(self, tensor: Tensor) -> Array:
        return np.ascontiguousarray(tensor.numpy(), self.columns.kind)

    def _own(self, tensor: Tensor) -> Array:
        """Return a copy: the kernel overwrites it."""
        return np.array(tensor.numpy(), self.columns.kind, order="C")

    def _chips(self) -> Chips:
        network, hardware, block = self.network, self.hardware, self.block
        own = self.known.of(network, hardware.neurons, self.columns, self.constants)
        constants, shadow_constants = own.neuron, self._none(3)
        if block.shadow:
            shadow = self.known.of(network, hardware.shadows, self.columns, self.constants).neuron
            constants, shadow_constants = _as_many(constants, shadow)
        steps_in = isinstance(block.drive, CurrentDrive) and block.drive.values.ndim == 3
        return Chips(
            constants=constants,
            shadow_constants=shadow_constants,
            shadow_bias=self._shadow_bias() if block.shadow else self._none(2),
            synapse_decay=own.synapse_decay,
            weights=self._weights(own.decays),
            input_weights=self._input_weights() if steps_in else self._none(3),
            feedback=self._feedback(),
            readout=self._readout(),
            clock=self._clock(),
        )

    def _shadow_bias(self) -> Array:
        pairs = zip(self.hardware.shadows, self.hardware.neurons, strict=True)
        return self.columns.join([shadow["bias"] - neuron["bias"] for shadow, neuron in pairs])

    def _weights(self, decays: Sequence[Array]) -> Array:
        """Scale weights so that a presynaptic rate r gives the mean current w r."""
        network, given = self.network, self.hardware.weights
        sizes = [own.count for own in network.synapses]
        flat = np.empty((self.hardware.chips, sum(sizes)), self.columns.kind)
        first = 0
        parts = zip(network.connections, network.synapses, given, sizes, strict=True)
        for connection, own, weight, size in parts:
            if not drives(connection, self.block):
                scale = synaptic_gain(network, connection, decays[connection.post - 1])
                if not own.dense:
                    scale = scale[:, 0, own.wiring.post.numpy()]
                part = flat[:, first : first + size].reshape(weight.shape)
                np.multiply(weight.numpy(), scale, out=part, casting="same_kind")
            first += size
        return flat

    def _direct(self) -> Iterator[tuple[int, int, Tensor]]:
        """Yield first and last column and the matrix of every connection that carries input currents."""
        network, columns = self.network, self.columns
        triples = zip(network.connections, network.synapses, self.hardware.weights, strict=True)
        for connection, own, weight in triples:
            if drives(connection, self.block):
                first, size = columns.first[connection.post - 1], columns.sizes[connection.post - 1]
                yield first, first + size, own.matrix(weight)

    def _input_weights(self) -> Array:
        """Return one matrix from the input to all columns that its currents reach."""
        reached = [*self._direct()]
        shape = (self.hardware.chips, self.network.inputs, max(last for _, last, _ in reached))
        joined = np.zeros(shape, self.columns.kind)
        for first, last, matrix in reached:
            joined[..., first:last] += matrix.numpy()
        return joined

    def _feedback(self) -> Array:
        if self.block.target is None or self.hardware.relay is not None:
            return np.zeros((self.hardware.chips, 0, 0), self.columns.kind)
        outputs = self.network.outputs
        rows = -(-outputs // ROWS) * ROWS
        padded = np.zeros((self.hardware.chips, rows, self.columns.total), self.columns.kind)
        self.columns.join(self.hardware.feedback, out=padded[:, :outputs])
        return padded

    def _readout(self) -> Array:
        loop = self._loop
        return self._none(3) if loop is None else self._array(torch.cat([loop.gain, loop.offset], dim=1))

    @cached_property
    def _loop(self) -> BoundController | None:
        """The controller on the chips, in the type that is computed with."""
        dtype = torch.float64 if self.columns.kind is np.float64 else torch.float32
        return bound_controller(self.network, self.hardware, self.block, lambda tensor: tensor.to(dtype))

    def _gains(self) -> Array:
        loop = self._loop
        if loop is None:
            return np.zeros((self.hardware.chips, self.block.batch, 3, 0), self.columns.kind)
        rows = (loop.kp, loop.ki, loop.leak.expand_as(loop.ki))
        return self._array(torch.stack(rows, dim=2))

    def _clock(self) -> Array:
        return np.asarray(readout_trace(self.network), self.columns.kind)

    def _samples(self) -> Samples:
        block, closed = self.block, self.block.target is not None
        spikes, values = np.zeros((0, 0), np.uint64), self._none(3)
        if isinstance(block.drive, SpikeDrive):
            spikes = as_bytes(block.drive.spikes).view(np.uint64).reshape(block.batch, -1)
        elif block.drive.values.ndim == 3:
            values = self._array(block.drive.values)
        return Samples(
            window=self._array(block.window),
            spikes=spikes,
            values=values,
            controlled=block.controlled.numpy() > 0 if closed else np.zeros(block.batch, np.bool_),
            gains=self._gains(),
            target=np.zeros((1, block.batch, 0), self.columns.kind)
            if block.target is None
            else self._array(block.target if block.course is None else block.course.flatten(1)[None]),
        )

    def _variables(self) -> Variables:
        start, block = self.block.start, self.block
        under_way = [as_bytes(history) for history in start.history]
        flat = [part.reshape(*part.shape[:2], part.shape[2] * part.shape[3]) for part in under_way]
        return Variables(
            neurons=self._states(start.neurons),
            shadows=self._states(start.shadows) if block.shadow else self._none(4),
            synapse=self.columns.join(start.synapse),
            under_way=np.ascontiguousarray(np.concatenate(flat, axis=2)).view(np.uint64),
            trace=self._own(start.trace),
            integral=self._own(start.integral),
            drive=self._drive(),
            gates=self._gates() if self.hardware.relay else self._none(3),
        )

    def _gates(self) -> Array:
        given = self.block.start.gates
        room = np.zeros((self.hardware.chips, self.block.batch, self.columns.total), self.columns.kind)
        for part, trace in zip(self.columns.split(room), given, strict=False):
            part[...] = trace.numpy()
        return room

    def _states(self, layers: Sequence[State]) -> Array:
        shape = (len(self.states), self.hardware.chips, self.block.batch, self.columns.total)
        packed = np.zeros(shape, self.columns.kind)
        for row, name in zip(packed, self.states, strict=True):
            self.columns.join([state[name] for state in layers], out=row)
        return packed

    def _drive(self) -> Array:
        block, hardware = self.block, self.hardware
        drive = self.columns.join([values["bias"].unsqueeze(1) for values in hardware.neurons])
        constant = isinstance(block.drive, CurrentDrive) and block.drive.values.ndim == 2
        if constant or block.currents:
            drive = np.repeat(drive, block.batch, axis=1)
        if isinstance(block.drive, CurrentDrive) and constant:
            for first, last, matrix in self._direct():
                drive[..., first:last] += self._input(block.drive.values, matrix)
        for part, current in zip(self.columns.split(drive), block.currents, strict=False):
            np.add(part, current.numpy(), out=part, casting="same_kind")
        return drive

    def _input(self, values: Tensor, weight: Tensor) -> Array:
        """Return what a constant input drives a layer with."""
        dtype = torch.float64 if self.columns.kind is np.float64 else torch.float32
        current: Array = torch.matmul(values.to(dtype), weight.to(dtype)).numpy()
        return current

    def _recorded(self) -> Recorded:
        def room(name: str, last: int) -> Array:
            return self._room(self.block.steps, last) if name in self.block.record else self._none(4)

        total, outputs = self.columns.total, self.network.outputs
        return Recorded(
            spikes=room("spikes", total),
            voltage=room("voltage", total),
            current=room("current", total),
            control=room("control", outputs),
            readout=room("readout", outputs),
        )


def _as_many(a: Array, b: Array) -> tuple[Array, Array]:
    """Return both with as many constants as the one that has more; those missing are zero."""
    number = max(a.shape[1], b.shape[1])

    def filled(array: Array) -> Array:
        missing = number - array.shape[1]
        return np.pad(array, ((0, 0), (0, missing), (0, 0))) if missing else array

    return filled(a), filled(b)
