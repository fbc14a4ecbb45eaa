"""A block as flat arrays for the loop of `mixed`, and its arrays as an outcome."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate, groupby, pairwise
from typing import Any, NamedTuple, final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from spiking.hardware import Hardware
from spiking.network import Network
from spiking.neurons.base import Neuron, State, Values
from spiking.presentation import Change, CurrentDrive, Plasticity, Snapshot, SpikeDrive
from spiking.programs.statements import HOLD, Program
from spiking.simulators.blocks import Block
from spiking.simulators.bound import drives, readout_trace, synaptic_gain
from spiking.simulators.compiled import mixed_arrays as mixed
from spiking.simulators.compiled.learned_before import EXACT, learned_before
from spiking.simulators.recordings import Outcome

__all__ = ["Group", "Mixed", "groups_of"]

Array = NDArray[Any]


class Group(NamedTuple):
    """Consecutive layers of one neuron model.

    Args:
        layers: their indices in ``network.layers``.
        program: the model's step, with the constants that these chips need.
    """

    layers: tuple[int, ...]
    program: Program


def groups_of(network: Network, hardware: Hardware, block: Block) -> tuple[Group, ...]:
    """Return the groups of a network, first layers first.

    Args:
        network: the description.
        hardware: chips, whose values say which constants do something.
        block: says whether shadows run.
    """
    kinds = (hardware.neurons, hardware.shadows) if block.shadow else (hardware.neurons,)
    found = []
    for _, members in groupby(enumerate(network.layers), key=lambda item: item[1].neuron.options):
        layers = tuple(index for index, _ in members)
        neuron = network.layers[layers[0]].neuron
        names = {name for values in kinds for name in _constants(neuron, values, layers, network.dt_ms)}
        found.append(Group(layers, neuron.program(names)))
    return tuple(found)


def _constants(
    neuron: Neuron, values: Sequence[Values], layers: Sequence[int], dt_ms: float
) -> Mapping[str, Tensor]:
    return neuron.constants(_beside(values, layers), dt_ms)


def _beside(values: Sequence[Values], layers: Sequence[int]) -> dict[str, Tensor]:
    """Return the parameters of layers side by side."""
    return {name: torch.cat([values[index][name] for index in layers], dim=-1) for name in values[layers[0]]}


@final
@dataclass(frozen=True)
class Mixed:
    """A block to be laid out.

    Args:
        network: the description.
        hardware: the effective parameters.
        block: what to run.
        kind: the type of the numbers.
        groups: those of the network.
    """

    network: Network
    hardware: Hardware
    block: Block
    kind: type
    groups: tuple[Group, ...]

    @property
    def edges(self) -> list[int]:
        """The first column of every layer, and the one after the last."""
        return list(accumulate(self.network.sizes[1:], initial=0))

    @property
    def total(self) -> int:
        """Number of columns."""
        return self.edges[-1]

    @property
    def learns(self) -> bool:
        """Whether synapses learn in every step, for which there must be feedback currents."""
        plasticity = self.block.plasticity
        return plasticity is not None and plasticity.trace_ms is not None and self.block.target is not None

    def pack(self) -> tuple[Any, ...]:
        """Return the arrays of a kernel, in its order; those of start, sums and recorded are overwritten."""
        block, room = self.block, self._room
        zeros: Array = np.zeros((self.hardware.chips, block.batch, self.total), self.kind)
        sums = mixed.Sums(
            zeros,
            zeros.copy() if block.shadow else self._none(3),
            np.zeros((self.hardware.chips, block.batch, self.network.outputs), self.kind),
        )
        recorded = mixed.Recorded(
            *(room(name, self.total) for name in ("spikes", "voltage", "current")),
            *(room(name, self.network.outputs) for name in ("control", "readout")),
        )
        chips, learning = self._chips()
        return self._wires(), chips, self._samples(), self._variables(), sums, recorded, learning

    def _none(self, dimensions: int) -> Array:
        return np.zeros((0,) * dimensions, self.kind)

    def _room(self, name: str, last: int) -> Array:
        if name not in self.block.record:
            return self._none(4)
        return np.empty((self.hardware.chips, self.block.batch, self.block.steps, last), self.kind)

    def _array(self, tensor: Tensor) -> Array:
        return np.ascontiguousarray(tensor.numpy(), self.kind)

    def _joined(self, parts: Sequence[Tensor]) -> Array:
        return np.array(torch.cat(list(parts), dim=-1).numpy(), self.kind, order="C")

    def _wires(self) -> mixed.Network:
        network, edges = self.network, self.edges
        sizes, connections = network.sizes, network.connections
        cells = [sizes[c.pre] * sizes[c.post] for c in connections]
        rings = [(c.delay_steps - 1) * sizes[c.pre] for c in connections]
        direct = [drives(c, self.block) for c in connections]
        spread = [(edges[g.layers[0]], edges[g.layers[-1] + 1]) for g in self.groups]

        def integers(values: Sequence[Any]) -> Array:
            return np.asarray(values, dtype=np.int64)

        return mixed.Network(
            groups=integers(spread),
            edges=integers(edges),
            pre=integers([c.pre for c in connections]),
            post=integers([c.post for c in connections]),
            weights=integers([*accumulate(cells, initial=0)][:-1]),
            wait=integers([c.delay_steps - 1 for c in connections]),
            ring=integers([*accumulate(rings, initial=0)][:-1]),
            direct=np.asarray(direct, np.bool_),
            inputs=integers([network.inputs]),
        )

    def _chips(self) -> tuple[mixed.Chips, mixed.Learning]:
        network, hardware, block = self.network, self.hardware, self.block
        decays = [
            layer.neuron.synapse_decay(values, network.dt_ms)
            for layer, values in zip(network.layers, hardware.neurons, strict=True)
        ]
        gains = [
            torch.ones(1, 1, 1, dtype=torch.float64)
            if drives(connection, block)
            else synaptic_gain(network, connection, decays[connection.post - 1].unsqueeze(1))
            for connection in network.connections
        ]
        matrices = hardware.as_matrices(network).weights
        weights = [(w * gain).flatten(1) for w, gain in zip(matrices, gains, strict=True)]
        bias = self._joined([values["bias"] for values in hardware.neurons])
        shift: Array = np.zeros((hardware.chips, 0), self.kind)
        if block.shadow:
            shift = self._joined([values["bias"] for values in hardware.shadows]) - bias
        closed = block.target is not None
        outputs = network.outputs if closed else 0
        rows = [hardware.readout[name].unsqueeze(1) for name in ("gain", "offset", "kp", "ki")]
        chips = mixed.Chips(
            constants=self._constants(hardware.neurons),
            shadow_constants=self._constants(hardware.shadows)
            if block.shadow
            else np.zeros((hardware.chips, 0, 0), self.kind),
            bias=bias,
            shift=shift,
            synapse_decay=self._joined(decays),
            weights=self._joined(weights),
            feedback=self._joined(hardware.feedback)
            if closed
            else np.zeros((hardware.chips, outputs, self.total), self.kind),
            readout=self._array(torch.cat(rows, dim=1)),
            clock=np.asarray([*readout_trace(network), network.dt_ms], self.kind),
        )
        return chips, self._learning(gains, matrices)

    def _constants(self, layers: Sequence[Values]) -> Array:
        """Return the constants of all groups, each in the order of its program's `reads`.

        Those that do nothing on these chips, but on their shadows, are parameters, or the steps for which
        nobody is held.
        """
        rows = max(len(group.program.reads) for group in self.groups)
        laid_out: Array = np.zeros((self.hardware.chips, rows, self.total), self.kind)
        for group in self.groups:
            neuron = self.network.layers[group.layers[0]].neuron
            given = _beside(layers, group.layers)
            made = neuron.constants(given, self.network.dt_ms)
            own = {p.name: given[p.field] for p in neuron.parameters if p.field in given}
            place = slice(self.edges[group.layers[0]], self.edges[group.layers[-1] + 1])
            for row, name in enumerate(group.program.reads):
                if name in made:
                    laid_out[:, row, place] = made[name][:, 0].numpy()
                elif name != HOLD:
                    laid_out[:, row, place] = own[name].numpy()
        return laid_out

    def _learning(self, gains: Sequence[Tensor], matrices: Sequence[Tensor]) -> mixed.Learning:
        network, block, plasticity = self.network, self.block, self.block.plasticity
        chips = self.hardware.chips
        if not self.learns or plasticity is None or plasticity.trace_ms is None:
            empty: Array = np.zeros((chips, 0), self.kind)
            none = self._none(1)
            never, three, four = np.zeros(0, np.bool_), self._none(3), empty[..., None, None]
            return mixed.Learning(none, none, none, none, empty, never, four, three, three)
        scale = 1.0 / (float(block.window[0].sum()) * block.batch)
        steps = np.asarray(plasticity.steps or [1.0] * len(network.connections)) * scale
        if plasticity.steps:
            factors = [*self.hardware.synapses]
            effect = [
                (torch.ones_like(w) * gain * (1.0 if factor is None else factor)).flatten(1)
                for w, gain, factor in zip(matrices, gains, factors, strict=True)
            ]
        else:
            effect = [torch.zeros_like(w).flatten(1) for w in matrices]
        own = np.zeros(network.depth)
        if plasticity.steps and plasticity.biases:
            for connection, step in zip(network.connections, steps, strict=True):
                own[connection.post - 1] += step
        alone, begun = self._begun(matrices, steps, plasticity)
        first = 1.0 if isinstance(block.drive, CurrentDrive) else network.spike_value
        values = [first, *(network.emission_value(layer + 1) for layer in range(network.depth))]
        kept = np.exp(-network.dt_ms / plasticity.trace_ms)
        return mixed.Learning(
            clock=np.asarray([kept, 1.0, float(plasticity.from_first_spike)], self.kind),
            values=np.asarray(values, self.kind),
            steps=steps.astype(self.kind),
            bias_steps=own.astype(self.kind),
            effect=self._joined(effect),
            alone=alone,
            begun=begun,
            weights=np.zeros((chips, block.batch, sum(w[0].numel() for w in matrices)), self.kind),
            biases=np.zeros((chips, block.batch, self.total), self.kind),
        )

    def _begun(self, matrices: Sequence[Tensor], steps: Array, plasticity: Plasticity) -> tuple[Array, Array]:
        """Return which connections' weights are products with the feedback weights, and of what."""
        network, hardware = self.network, self.hardware
        alone = np.zeros(len(matrices), np.bool_)
        rows, columns = max(network.outputs, mixed.FUSED), network.inputs + self.total
        begun: Array = np.zeros((hardware.chips, len(matrices), rows, columns), self.kind)
        all_learn = bool(plasticity.steps) and not plasticity.from_first_spike
        for index, (c, weights) in enumerate(zip(network.connections, matrices, strict=True)):
            if not all_learn or steps[index] == 0:
                continue
            feedback, factor = hardware.feedback[c.post - 1], hardware.synapses[index]
            found = learned_before(weights, factor, feedback, EXACT[np.dtype(self.kind).name])
            if found is not None:
                first = 0 if c.pre == 0 else network.inputs + self.edges[c.pre - 1]
                alone[index] = True
                begun[:, index, : network.outputs, first : first + found.shape[1]] = found.mT.numpy()
        return alone, begun

    def _samples(self) -> mixed.Samples:
        block, dt_ms = self.block, self.network.dt_ms
        if isinstance(block.drive, SpikeDrive):
            inputs = self._array(block.drive.spikes)
        else:
            values = block.drive.values
            inputs = self._array(values.unsqueeze(1) if values.ndim == 2 else values)
        closed = block.target is not None
        if block.course is not None:
            target = self._array(block.course.unsqueeze(0))
        elif block.target is not None:
            target = self._array(block.target.unsqueeze(2))
        else:
            target = np.zeros((1, block.batch, 1, 0), self.kind)
        gains = [block.kp.numpy(), block.ki_per_ms.numpy(), block.leak_per_ms.numpy() * dt_ms]
        return mixed.Samples(
            window=self._array(block.window),
            inputs=inputs,
            injected=self._joined(block.currents) if block.currents else self._none(3),
            controlled=block.controlled.numpy() > 0 if closed else np.zeros(block.batch, np.bool_),
            gains=np.stack(gains, axis=1).astype(self.kind),
            target=target,
        )

    def _variables(self) -> mixed.Variables:
        start, block = self.block.start, self.block
        flat = [part.flatten(2) for part in start.history]
        return mixed.Variables(
            neurons=self._states(start.neurons),
            shadows=self._states(start.shadows) if block.shadow else self._none(4),
            synapse=self._joined(start.synapse),
            under_way=self._joined(flat),
            trace=self._joined([start.trace]),
            integral=self._joined([start.integral]),
        )

    def _states(self, layers: Sequence[State]) -> Array:
        rows = max(len(group.program.states) for group in self.groups)
        packed: Array = np.zeros((rows, self.hardware.chips, self.block.batch, self.total), self.kind)
        for group in self.groups:
            for row, name in enumerate(group.program.states):
                for layer in group.layers:
                    packed[row, ..., self.edges[layer] : self.edges[layer + 1]] = layers[layer][name].numpy()
        return packed

    # and back

    def unpack(self, packed: tuple[Any, ...]) -> Outcome:
        """Return the results of a block, after a kernel has run over its arrays."""
        _, _, _, last, sums, recorded, learning = packed
        traces = {}
        for name in self.block.record:
            trace = getattr(recorded, name)
            traces[name] = (
                (torch.from_numpy(trace),) if name in {"control", "readout"} else self._layers(trace)
            )
        return Outcome(
            sums=self._layers(sums.emitted),
            basal=self._layers(sums.basal) if self.block.shadow else (),
            control=None if self.block.target is None else torch.from_numpy(sums.control),
            final=self._final(last),
            traces=traces,
            changes=self._changes(learning),
        )

    def _layers(self, array: Array) -> tuple[Tensor, ...]:
        edges = self.edges
        return tuple(torch.from_numpy(array[..., a:z]) for a, z in pairwise(edges))

    def _final(self, last: mixed.Variables) -> Snapshot:
        start = self.block.start
        return Snapshot(
            neurons=self._named(last.neurons, start.neurons),
            shadows=self._named(last.shadows, start.shadows)
            if self.block.shadow
            else ({},) * self.network.depth,
            synapse=self._layers(last.synapse),
            history=self._histories(last.under_way),
            trace=torch.from_numpy(last.trace),
            integral=torch.from_numpy(last.integral),
        )

    def _named(self, variables: Array, start: Sequence[State]) -> tuple[State, ...]:
        found: list[State] = []
        for group in self.groups:
            rows = dict(zip(group.program.states, map(self._layers, variables), strict=False))
            for layer in group.layers:
                found.append(
                    {name: rows.get(name, {layer: start[layer][name]})[layer] for name in start[layer]}
                )
        return tuple(found)

    def _histories(self, under_way: Array) -> tuple[Tensor, ...]:
        """Return what is still under way, oldest first; step t used slot ``t % wait``."""
        found, first = [], 0
        for connection, start in zip(self.network.connections, self.block.start.history, strict=True):
            wait, size = connection.delay_steps - 1, self.network.sizes[connection.pre]
            part = under_way[..., first : first + wait * size]
            part = part.reshape(*part.shape[:2], wait, size)
            if wait and not drives(connection, self.block):
                part = np.roll(part, -(self.block.steps % wait), axis=2)
            found.append(torch.from_numpy(part) if wait else start)
            first += wait * size
        return tuple(found)

    def _changes(self, learning: mixed.Learning) -> tuple[Change, ...]:
        plasticity, network = self.block.plasticity, self.network
        if plasticity is None:
            return ()
        sizes, chips = network.sizes, self.hardware.chips
        if not self.learns:
            pairs = [(sizes[c.pre], sizes[c.post]) for c in network.connections]
            return tuple(Change(torch.zeros(chips, *pair), torch.zeros(chips, pair[1])) for pair in pairs)
        weights, biases = torch.from_numpy(learning.weights.sum(1)), self._layers(learning.biases.sum(1))
        found, first = [], 0
        for connection, step in zip(network.connections, learning.steps.tolist(), strict=True):
            before, behind = sizes[connection.pre], sizes[connection.post]
            part = weights[:, first : first + before * behind].view(chips, before, behind)
            share = step if plasticity.biases else 0.0
            found.append(Change(part * step, biases[connection.post - 1] * share))
            first += before * behind
        return tuple(found)
