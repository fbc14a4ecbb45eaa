"""A block of phases as flat arrays: what kernels are given, and what they overwrite."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import cached_property
from typing import final

import torch
from torch import Tensor

from spiking.blocks.block import Block
from spiking.blocks.bound import bound_controller, bound_relay, drives, gains
from spiking.hardware import Hardware
from spiking.network import Network
from spiking.neurons.base import State
from spiking.presentation import CurrentDrive
from spiking.simulators.flat.columns import Columns
from spiking.simulators.flat.constants import Constants

__all__ = ["Flat"]


@final
class Flat:
    """A block laid out; every array is made when it is asked for first, and None where there is none.

    Args:
        network: the description.
        hardware: the effective parameters.
        block: what to run.
        columns: where the layers lie.
        constants: of the chips.
        rows: what the number of rows of feedback weights is to be a multiple of.
    """

    def __init__(
        self,
        network: Network,
        hardware: Hardware,
        block: Block,
        columns: Columns,
        constants: Constants,
        *,
        rows: int = 1,
    ) -> None:
        self.network, self.hardware, self.block = network, hardware, block
        self.columns, self.constants, self._rows = columns, constants, rows
        self.pairs = (hardware.chips, block.batch)
        self.loop = bound_controller(network, hardware, block, columns.to)
        self.relay = bound_relay(network, hardware, block.start)

    # chips

    @cached_property
    def gains(self) -> list[Tensor]:
        """What weights are multiplied with; see `spiking.blocks.bound.gains`."""
        return gains(self.network, self.constants.decays, self.block)

    def weights(self, *, direct: bool) -> Tensor:
        """Return what an emission adds to a synaptic current, all connections, ``(chips, synapses)``.

        Args:
            direct: write those that carry currents too, which are the currents themselves.
        """
        sizes = [weight[0].numel() for weight in self.hardware.weights]
        columns = self.columns
        flat = torch.empty(self.pairs[0], sum(sizes), dtype=columns.dtype, device=columns.device)
        triples = zip(
            self.hardware.weights, self.constants.gains, torch.split(flat, sizes, dim=1), strict=True
        )
        for index, (weight, gain, part) in enumerate(triples):
            if drives(self.network.connections[index], self.block):
                if direct:
                    part.view(weight.shape).copy_(weight)
                continue
            if weight.ndim == 2:  # one for every synapse, and no matrix
                own = self.network.synapses[index]
                gain = gain.expand(-1, -1, own.outputs)[:, 0, own.wiring.post]  # noqa: PLW2901
            torch.mul(weight.to(columns.device), gain.to(columns.device), out=part.view(weight.shape))
        return flat

    @cached_property
    def shadow_bias(self) -> Tensor | None:
        """What the shadows' biases have beyond the neurons', ``(chips, columns)``."""
        if not self.block.shadow:
            return None
        pairs = zip(self.hardware.shadows, self.hardware.neurons, strict=True)
        return self.columns.join([shadow["bias"] - neuron["bias"] for shadow, neuron in pairs])

    def _direct(self) -> Iterator[tuple[slice, Tensor]]:
        """Yield the columns and the matrix of every connection that carries input currents."""
        triples = zip(self.network.connections, self.network.synapses, self.hardware.weights, strict=True)
        for connection, own, weight in triples:
            if drives(connection, self.block):
                matrix = weight if weight.ndim == 3 else own.matrix(weight)
                yield self.columns.place(connection.post), self.columns.to(matrix)

    @cached_property
    def input_weights(self) -> Tensor | None:
        """One matrix from the input to all columns up to the last that its currents reach in every step."""
        if self.values is None:
            return None
        reached = [*self._direct()]
        last = max(place.stop for place, _ in reached)
        joined = self.columns.room(self.pairs[0], self.network.inputs, last)
        for place, matrix in reached:
            joined[..., place].add_(matrix)
        return joined

    @cached_property
    def feedback(self) -> Tensor | None:
        """Direct feedback weights, ``(chips, rows, columns)``; rows beyond n_out are 0."""
        if self.loop is None or self.hardware.relay is not None:
            return None
        outputs = self.network.outputs
        padded = -(-outputs // self._rows) * self._rows
        room = self.columns.room(self.pairs[0], padded, self.columns.total)
        self.columns.join(self.hardware.feedback, room[:, :outputs])
        return room

    @cached_property
    def readout(self) -> Tensor | None:
        """Gain and offset of what the controller sees, ``(chips, 2, n_out)``."""
        loop = self.loop
        return None if loop is None else torch.cat([loop.gain, loop.offset], dim=1).contiguous()

    # samples

    @cached_property
    def window(self) -> Tensor:
        """Averaging weights, ``(batch, steps)``."""
        return self.columns.to(self.block.window)

    @cached_property
    def values(self) -> Tensor | None:
        """Input currents of every step, ``(batch, steps, inputs)``."""
        drive = self.block.drive
        steps_in = isinstance(drive, CurrentDrive) and drive.values.ndim == 3
        return self.columns.to(drive.values) if isinstance(drive, CurrentDrive) and steps_in else None

    @cached_property
    def gains_of_loop(self) -> Tensor | None:
        """kp, and ki and leak of a step, ``(chips, batch, 3, n_out)``."""
        loop = self.loop
        if loop is None:
            return None
        return torch.stack((loop.kp, loop.ki, loop.leak.expand_as(loop.ki)), dim=2).contiguous()

    @cached_property
    def target(self) -> Tensor | None:
        """``(chips or 1, batch, n_out)``, or those of all windows or steps one after the other."""
        if self.block.course is not None:
            return self.columns.to(self.block.course.flatten(1).unsqueeze(0))
        return None if self.loop is None else self.loop.target

    @cached_property
    def drive(self) -> Tensor:
        """Bias, constant input and injected current, ``(chips, batch or 1, columns)``."""
        block, drive = self.block, self.block.drive
        constant = isinstance(drive, CurrentDrive) and drive.values.ndim == 2
        joined = self.bias.unsqueeze(1)
        if constant or block.currents:
            joined = joined.repeat(1, block.batch, 1)
        if isinstance(drive, CurrentDrive) and constant:
            for place, matrix in self._direct():
                joined[..., place].add_(torch.matmul(self.columns.to(drive.values), matrix))
        for part, current in zip(self.columns.split(joined), block.currents, strict=False):
            part.add_(current)
        return joined

    @cached_property
    def bias(self) -> Tensor:
        """``(chips, columns)``."""
        return self.columns.join([values["bias"] for values in self.hardware.neurons])

    # states, which a kernel overwrites by those after the last step

    @cached_property
    def neurons(self) -> Tensor:
        """``(variables, chips, batch, columns)``."""
        return self._states(self.block.start.neurons)

    @cached_property
    def shadows(self) -> Tensor | None:
        """The same."""
        return self._states(self.block.start.shadows) if self.block.shadow else None

    def _states(self, layers: Sequence[State]) -> Tensor:
        programs = self.constants.programs
        most = max(len(program.states) for program in programs)
        room = self.columns.room(most, *self.pairs, self.columns.total)
        for own, program in zip(self.constants.groups, programs, strict=True):
            for row, name in zip(room, program.states, strict=False):
                self.columns.join([layers[index][name] for index in own.layers], row, own.layers)
        return room

    @cached_property
    def synapse(self) -> Tensor:
        """``(chips, batch, columns)``."""
        return self.columns.join(self.block.start.synapse)

    @cached_property
    def trace(self) -> Tensor:
        """``(chips, batch, n_out)``."""
        return self.columns.own(self.block.start.trace)

    @cached_property
    def integral(self) -> Tensor:
        """``(chips, batch, n_out)``."""
        return self.columns.own(self.block.start.integral)

    # layered feedback

    @cached_property
    def relay_weights(self) -> Tensor | None:
        """Feedback weights of all layers, row by row or synapse by synapse, ``(chips, total)``."""
        synapses = [weights.flatten(1) for weights in self.hardware.feedback]
        return None if self.relay is None else self.columns.to(torch.cat(synapses, dim=1))

    @cached_property
    def strength(self) -> Tensor | None:
        """κ, 0 for outputs, ``(chips, columns)``."""
        if self.relay is None:
            return None
        pairs = zip(self.relay.strength, self.columns.sizes, strict=False)
        return self.columns.join([value.squeeze(2).expand(-1, n) for value, n in pairs])

    @cached_property
    def curves(self) -> Tensor | None:
        """Values of the gates, ``(chips or 1, columns, points)``."""
        if self.relay is None:
            return None
        curves = self.relay.curves
        chips = max(curve.shape[0] for curve in curves)
        room = self.columns.room(chips, self.columns.total, self.relay.points)
        for layer, curve in enumerate(curves):
            room[:, self.columns.place(layer + 1)] = curve.to(room)
        return room

    @cached_property
    def gate_range(self) -> Tensor | None:
        """The lowest rate of every neuron's curve, and its points per unit of rate, ``(2, columns)``."""
        if self.relay is None:
            return None
        room = self.columns.room(2, self.columns.total)
        room[1] = 1.0
        for layer, ends in enumerate(zip(self.relay.low, self.relay.scale, strict=True)):
            room[:, self.columns.place(layer + 1)] = room.new_tensor(ends).unsqueeze(1)
        return room

    @cached_property
    def gates(self) -> Tensor | None:
        """The activity that gates see, ``(chips, batch, columns)``."""
        if self.relay is None:
            return None
        return self.columns.join(self.relay.seen)

    # results: room that a kernel writes to, not cleared

    def _unwritten(self, last: int) -> Tensor:
        """Return room for sums, with an axis for the windows where there are several."""
        windows = () if self.block.windows == 1 else (self.block.windows,)
        shape = (*self.pairs, *windows, last)
        return torch.empty(shape, dtype=self.columns.dtype, device=self.columns.device)

    @cached_property
    def emitted(self) -> Tensor:
        """Window sums of what was emitted, ``(chips, batch, columns)``."""
        return self._unwritten(self.columns.total)

    @cached_property
    def basal(self) -> Tensor | None:
        """The same of the shadows."""
        return self._unwritten(self.columns.total) if self.block.shadow else None

    @cached_property
    def control(self) -> Tensor:
        """Window sums of u, ``(chips, batch, n_out)``."""
        return self._unwritten(self.network.outputs)

    @cached_property
    def apical(self) -> Tensor | None:
        """Window sums of what was relayed, ``(chips, batch, columns)``."""
        return None if self.relay is None else self._unwritten(self.columns.total)

    @cached_property
    def ends(self) -> Tensor | None:
        """The read-out trace at the end of every window, where there are several."""
        return None if self.block.windows == 1 else self._unwritten(self.network.outputs)

    @cached_property
    def traces(self) -> dict[str, Tensor]:
        """What is recorded, by name, ``(chips, batch, steps, columns or n_out)``."""
        return {name: self.record(name) for name in self.block.record}

    def record(self, name: str) -> Tensor:
        """Return room for a trace."""
        last = self.network.outputs if name in {"control", "readout"} else self.columns.total
        return self.columns.room(*self.pairs, self.block.steps, last)
