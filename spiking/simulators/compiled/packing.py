"""A block as flat arrays, and its results back as tensors: the part that no neuron model changes.

Layers lie side by side along the last axis, each padded to a multiple of eight neurons.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple, final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from rate_bridge.filters import decay
from spiking.hardware import Hardware
from spiking.network import Network
from spiking.neurons.base import State, Values
from spiking.presentation import CurrentDrive, Snapshot, SpikeDrive
from spiking.simulators.base import Block, Outcome

__all__ = ["Chips", "Columns", "Packed", "Recorded", "Samples", "Sums", "Variables", "Wires"]

Array = NDArray[Any]

WORD = 8
"""Neurons whose emissions, a byte each, are looked at together."""

ROWS = 5
"""Rows of feedback weights that a kernel adds up at a time; their number is a multiple of it."""


class Wires(NamedTuple):
    """Layers and connections as integers.

    Args:
        layers: per layer 1 to L, its first word.
        layer_words: per layer 1 to L, its words.
        pre: per connection, the index of the presynaptic layer.
        words: its words.
        post: the first column of the postsynaptic layer.
        width: the size of the postsynaptic layer.
        weights: where the weights start.
        wait: for how many steps emissions are held back.
        ring: where those under way start, in words; step t uses slot ``t % wait``.
    """

    layers: Array
    layer_words: Array
    pre: Array
    words: Array
    post: Array
    width: Array
    weights: Array
    wait: Array
    ring: Array


class Chips(NamedTuple):
    """What differs between chips; the axis of the chips is the first.

    Args:
        constants: constants of the neuron model, ``(chips, constants, columns)``.
        shadow_constants: the same for the shadows, or empty.
        shadow_bias: what the shadows' biases have beyond the neurons', ``(chips, columns)``, or empty.
        synapse_decay: decay of the synaptic currents, ``(chips, columns)``.
        weights: increments of the synaptic current per spike, all connections, ``(chips, total)``.
        input_weights: currents per unit of input, ``(chips, inputs, n)``, for values in every step.
        feedback: ``(chips, rows, columns)``, those beyond n_out zero.
        readout: gain, offset and the factors of kp and ki, ``(chips, 4, n_out)``, or empty.
        clock: decay and increment of the read-out trace and the time step, the same for all chips.
    """

    constants: Array
    shadow_constants: Array
    shadow_bias: Array
    synapse_decay: Array
    weights: Array
    input_weights: Array
    feedback: Array
    readout: Array
    clock: Array


class Samples(NamedTuple):
    """What differs between samples.

    Args:
        window: averaging weights, ``(batch, steps)``.
        spikes: input spikes, eight in a word, ``(batch, steps * words)``, or empty.
        values: inputs of every step, ``(batch, steps, inputs)``, or empty.
        controlled: whether the loop is closed, ``(batch,)``.
        gains: kp, ki per ms and leak per step, ``(batch, 3)``.
        target: ``(chips or 1, batch, n_out)``.
    """

    window: Array
    spikes: Array
    values: Array
    controlled: Array
    gains: Array
    target: Array


class Variables(NamedTuple):
    """The dynamic state, overwritten by that after the last step, and the currents that never change.

    Args:
        neurons: ``(variables, chips, batch, columns)``.
        shadows: the same, or empty.
        synapse: ``(chips, batch, columns)``.
        under_way: emissions held back, ``(chips, batch, words)``.
        trace: ``(chips, batch, n_out)``.
        integral: ``(chips, batch, n_out)``.
        drive: bias, constant input and injected current, ``(chips, batch or 1, columns)``.
    """

    neurons: Array
    shadows: Array
    synapse: Array
    under_way: Array
    trace: Array
    integral: Array
    drive: Array


class Sums(NamedTuple):
    """Window sums of what was emitted and of u; `basal` is empty where no shadows run."""

    emitted: Array
    basal: Array
    control: Array


class Recorded(NamedTuple):
    """Traces, ``(chips, batch, steps, columns or n_out)``; empty where not asked for."""

    spikes: Array
    voltage: Array
    current: Array
    control: Array
    readout: Array


@final
class Columns:
    """Where the layers 1 to L lie.

    Args:
        network: whose layers.
        dtype: the type of the arrays.
    """

    def __init__(self, network: Network, dtype: torch.dtype) -> None:
        self.dtype = dtype
        self.sizes = network.sizes[1:]
        self.words = [words(size) for size in self.sizes]
        self.first = [WORD * sum(self.words[:layer]) for layer in range(len(self.sizes))]
        self.total = WORD * sum(self.words)

    def join(self, tensors: Sequence[Tensor], out: Tensor | None = None) -> Tensor:
        """Put one tensor per layer side by side, zeros between them."""
        joined = out
        if joined is None:
            joined = torch.zeros((*tensors[0].shape[:-1], self.total), dtype=self.dtype)
        for tensor, first in zip(tensors, self.first, strict=True):
            joined[..., first : first + tensor.shape[-1]] = tensor
        return joined

    def spread(self, tensor: Tensor) -> Tensor:
        """Put zeros between the layers of a tensor that has them side by side without."""
        return self.join(torch.split(tensor, list(self.sizes), dim=-1))

    def split(self, tensor: Tensor) -> tuple[Tensor, ...]:
        """Return the part of every layer."""
        places = zip(self.first, self.sizes, strict=True)
        return tuple(tensor[..., first : first + size] for first, size in places)


def words(size: int) -> int:
    """Return how many words `size` neurons fill."""
    return -(-size // WORD)


@final
class Packed:
    """One block, ready to run and to be read afterwards.

    Args:
        network: the description.
        hardware: the effective parameters.
        block: what to run.
        dtype: the type to compute with.
        states: the kernel's state variables.
        constants: the kernel's constants, those that a neuron model may leave out last.
    """

    def __init__(
        self,
        network: Network,
        hardware: Hardware,
        block: Block,
        dtype: torch.dtype,
        *,
        states: Sequence[str],
        constants: Sequence[str],
    ) -> None:
        self.network, self.block, self.dtype = network, block, dtype
        self.chip_count, self.names = hardware.chips, tuple(states)
        self.columns = Columns(network, dtype)
        self.wires = _wires(network, self.columns)
        self._constants = tuple(constants)
        self.chips = self._chips(hardware)
        self.samples = self._samples()
        self.start = self._variables(hardware)
        self.sums = Sums(
            self._zeros(self.columns.total),
            self._zeros(self.columns.total) if block.shadow else self._none(3),
            self._zeros(network.outputs),
        )
        self.recorded = self._traces()

    @property
    def arguments(self) -> tuple[Wires, Chips, Samples, Variables, Sums, Recorded]:
        """What a kernel takes."""
        return (self.wires, self.chips, self.samples, self.start, self.sums, self.recorded)

    def _none(self, dimensions: int) -> Array:
        return torch.zeros((0,) * dimensions, dtype=self.dtype).numpy()

    def _zeros(self, last: int) -> Array:
        return torch.zeros(self.chip_count, self.block.batch, last, dtype=self.dtype).numpy()

    def _array(self, tensor: Tensor) -> Array:
        return tensor.to(self.dtype).contiguous().numpy()

    def _chips(self, hardware: Hardware) -> Chips:
        network, block = self.network, self.block
        layers = zip(network.layers, hardware.neurons, strict=True)
        decays = [layer.neuron.synapse_decay(values, network.dt_ms) for layer, values in layers]
        shift = shadow_constants = None
        if block.shadow:
            shadow_constants = self._model_constants(hardware.shadows)
            pairs = zip(hardware.shadows, hardware.neurons, strict=True)
            shift = self.columns.join([shadow["bias"] - neuron["bias"] for shadow, neuron in pairs]).numpy()
        steps_in = isinstance(block.drive, CurrentDrive) and block.drive.values.ndim == 3
        return Chips(
            constants=self._model_constants(hardware.neurons),
            shadow_constants=self._none(3) if shadow_constants is None else shadow_constants,
            shadow_bias=self._none(2) if shift is None else shift,
            synapse_decay=self.columns.join(decays).numpy(),
            weights=self._weights(hardware, decays),
            input_weights=self._array(hardware.weights[0]) if steps_in else self._none(3),
            feedback=self._feedback(hardware),
            readout=self._readout(hardware),
            clock=self._clock(),
        )

    def _model_constants(self, layers: Sequence[Values]) -> Array:
        joined = {name: torch.cat([values[name] for values in layers], dim=-1) for name in layers[0]}
        found = self.network.layers[0].neuron.constants(joined, self.network.dt_ms)
        given = [found[name] for name in self._constants if name in found]
        return self.columns.spread(torch.cat(given, dim=1)).numpy()

    def _weights(self, hardware: Hardware, decays: Sequence[Tensor]) -> Array:
        """Scale weights so that a presynaptic rate r gives the mean current w r."""
        network = self.network
        sizes = [w.shape[1] * w.shape[2] for w in hardware.weights]
        flat = torch.empty(hardware.chips, sum(sizes), dtype=self.dtype)
        spiking_input = isinstance(self.block.drive, SpikeDrive)
        for connection, weight, part in zip(
            network.connections, hardware.weights, torch.split(flat, sizes, dim=1), strict=True
        ):
            if connection.pre > 0 or spiking_input:
                gain = (1.0 - decays[connection.post - 1]).unsqueeze(1)
                part.view(weight.shape).copy_(weight * (gain * network.emission_value(connection.pre)))
        return flat.numpy()

    def _feedback(self, hardware: Hardware) -> Array:
        if self.block.target is None:
            return torch.zeros(hardware.chips, 0, 0, dtype=self.dtype).numpy()
        rows = -(-self.network.outputs // ROWS) * ROWS
        padded = torch.zeros(hardware.chips, rows, self.columns.total, dtype=self.dtype)
        self.columns.join(hardware.feedback, out=padded[:, : self.network.outputs])
        return padded.numpy()

    def _readout(self, hardware: Hardware) -> Array:
        if self.block.target is None:
            return self._none(3)
        values = [hardware.readout[name] for name in ("gain", "offset", "kp", "ki")]
        return self._array(torch.stack(values, dim=1))

    def _clock(self) -> Array:
        network = self.network
        factor = decay(torch.tensor(network.readout_tau_ms, dtype=torch.float64), network.dt_ms)
        step = (1.0 - factor) * network.emission_value(network.depth)
        return self._array(torch.stack([factor, step, torch.tensor(network.dt_ms, dtype=torch.float64)]))

    def _samples(self) -> Samples:
        block, dt_ms = self.block, self.network.dt_ms
        spikes, values = np.zeros((0, 0), np.uint64), self._none(3)
        if isinstance(block.drive, SpikeDrive):
            spikes = _bytes(block.drive.spikes).view(np.uint64).reshape(block.batch, -1)
        elif block.drive.values.ndim == 3:
            values = self._array(block.drive.values)
        target = torch.zeros(1, block.batch, 0) if block.target is None else block.target
        on = block.controlled > 0 if block.target is not None else torch.zeros(block.batch, dtype=torch.bool)
        return Samples(
            window=self._array(block.window),
            spikes=spikes,
            values=values,
            controlled=on.numpy(),
            gains=self._array(torch.stack([block.kp, block.ki_per_ms, block.leak_per_ms * dt_ms], dim=1)),
            target=self._array(target),
        )

    def _variables(self, hardware: Hardware) -> Variables:
        start, block = self.block.start, self.block
        under_way = [_bytes(history) for history in start.history]
        flat = [part.reshape(self.chip_count, block.batch, -1) for part in under_way]
        return Variables(
            neurons=self._states(start.neurons),
            shadows=self._states(start.shadows) if block.shadow else self._none(4),
            synapse=self.columns.join(start.synapse).numpy(),
            under_way=np.ascontiguousarray(np.concatenate(flat, axis=2)).view(np.uint64),
            trace=self._array(start.trace.clone()),
            integral=self._array(start.integral.clone()),
            drive=self._drive(hardware),
        )

    def _states(self, layers: Sequence[State]) -> Array:
        shape = (len(self.names), self.chip_count, self.block.batch, self.columns.total)
        packed = torch.zeros(shape, dtype=self.dtype)
        for row, name in zip(packed, self.names, strict=True):
            self.columns.join([state[name] for state in layers], out=row)
        return packed.numpy()

    def _drive(self, hardware: Hardware) -> Array:
        block = self.block
        drive = self.columns.join([values["bias"].unsqueeze(1) for values in hardware.neurons])
        constant = isinstance(block.drive, CurrentDrive) and block.drive.values.ndim == 2
        if constant or block.currents:
            drive = drive.repeat(1, block.batch, 1)
        if isinstance(block.drive, CurrentDrive) and constant:
            weight = hardware.weights[0].to(self.dtype)
            drive[..., : weight.shape[2]] += torch.matmul(block.drive.values.to(self.dtype), weight)
        if block.currents:
            for part, current in zip(self.columns.split(drive), block.currents, strict=True):
                part.add_(current)
        return drive.numpy()

    def _traces(self) -> Recorded:
        def room(name: str, last: int) -> Array:
            if name not in self.block.record:
                return self._none(4)
            shape = (self.chip_count, self.block.batch, self.block.steps, last)
            return torch.empty(shape, dtype=self.dtype).numpy()

        total, outputs = self.columns.total, self.network.outputs
        return Recorded(
            spikes=room("spikes", total),
            voltage=room("voltage", total),
            current=room("current", total),
            control=room("control", outputs),
            readout=room("readout", outputs),
        )

    # what comes out

    def outcome(self) -> Outcome:
        """Return the results, after a kernel has run over the arrays."""
        traces: dict[str, tuple[Tensor, ...]] = {}
        for name in self.block.record:
            trace = torch.from_numpy(getattr(self.recorded, name))
            traces[name] = (trace,) if name in {"control", "readout"} else self.columns.split(trace)
        return Outcome(
            sums=self._layers(self.sums.emitted),
            basal=self._layers(self.sums.basal) if self.block.shadow else (),
            control=None if self.block.target is None else torch.from_numpy(self.sums.control),
            final=self._final(),
            traces=traces,
        )

    def _layers(self, array: Array) -> tuple[Tensor, ...]:
        return self.columns.split(torch.from_numpy(array))

    def _final(self) -> Snapshot:
        count = len(self.columns.sizes)
        shadows = self._by_layer(self.start.shadows) if self.block.shadow else ({},) * count
        return Snapshot(
            neurons=self._by_layer(self.start.neurons),
            shadows=shadows,
            synapse=self._layers(self.start.synapse),
            history=self._histories(),
            trace=torch.from_numpy(self.start.trace),
            integral=torch.from_numpy(self.start.integral),
        )

    def _by_layer(self, array: Array) -> tuple[State, ...]:
        named: Mapping[str, tuple[Tensor, ...]] = {
            name: self._layers(row) for name, row in zip(self.names, array, strict=True)
        }
        count = len(self.columns.sizes)
        return tuple({name: parts[layer] for name, parts in named.items()} for layer in range(count))

    def _histories(self) -> tuple[Tensor, ...]:
        """Return what is still under way, oldest first; step t used slot ``t % wait``."""
        histories, network = [], self.network
        under_way = torch.from_numpy(self.start.under_way.view(np.uint8))
        for index, connection in enumerate(network.connections):
            wait, size = connection.delay_steps - 1, network.sizes[connection.pre]
            width = WORD * words(size)
            first = WORD * int(self.wires.ring[index])
            rows = under_way[..., first : first + wait * width]
            part = rows.reshape(*rows.shape[:2], wait, width)[..., :size]
            moved = connection.pre > 0 or isinstance(self.block.drive, SpikeDrive)
            oldest = self.block.steps % wait if wait and moved else 0
            histories.append(part.roll(-oldest, dims=2).to(self.dtype))
        return tuple(histories)


def _wires(network: Network, columns: Columns) -> Wires:
    sizes, connections = network.sizes, network.connections
    count = [words(sizes[c.pre]) for c in connections]
    wait = [c.delay_steps - 1 for c in connections]
    synapses = [sizes[c.pre] * sizes[c.post] for c in connections]
    rings = [n * w for n, w in zip(count, wait, strict=True)]

    def integers(values: Sequence[int]) -> Array:
        return np.asarray(values, dtype=np.int64)

    return Wires(
        layers=integers([first // WORD for first in columns.first]),
        layer_words=integers(columns.words),
        pre=integers([c.pre for c in connections]),
        words=integers(count),
        post=integers([columns.first[c.post - 1] for c in connections]),
        width=integers([sizes[c.post] for c in connections]),
        weights=integers([sum(synapses[:n]) for n in range(len(connections))]),
        wait=integers(wait),
        ring=integers([sum(rings[:n]) for n in range(len(connections))]),
    )


def _bytes(emissions: Tensor) -> Array:
    """Return emissions of 0 and 1 as bytes, the last axis padded to whole words."""
    size = emissions.shape[-1]
    if size % WORD == 0 and emissions.dtype == torch.bool and emissions.is_contiguous():
        return emissions.view(torch.uint8).numpy()
    padded = torch.zeros((*emissions.shape[:-1], WORD * words(size)), dtype=torch.uint8)
    padded[..., :size] = emissions
    return padded.numpy()
