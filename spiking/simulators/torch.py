"""The tensor simulator: vectorised over chips, batch and neurons, float32 or float64, CPU or GPU.

Consecutive layers of the same neuron model are one tensor, so a step costs a fixed number of
operations whatever the number of layers; what does not change within a phase is computed before it.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from itertools import groupby, pairwise
from typing import ClassVar, final

import torch
from torch import Tensor

from spiking.hardware import Hardware
from spiking.network import Network
from spiking.neurons.base import Neuron, State, Values
from spiking.presentation import Change, CurrentDrive, Snapshot, SpikeDrive
from spiking.programs.to_torch import Step
from spiking.simulators.apical import ApicalNoise
from spiking.simulators.base import Simulator
from spiking.simulators.blocks import Block
from spiking.simulators.bound import bound_controller, drives, readout_trace, synaptic_gain
from spiking.simulators.delays import DelayLine
from spiking.simulators.lines import InputLine, Line, NeuronLine, StillLine
from spiking.simulators.membrane_noise import Tremble
from spiking.simulators.plasticity import Traces, difference, in_batches
from spiking.simulators.rate_loop import RateLoop
from spiking.simulators.recordings import Outcome
from spiking.simulators.relay import RelayLoop

__all__ = ["TorchSimulator"]


@final
class TorchSimulator(Simulator):
    """Runs every network; the reference that the others are compared with (in float64, on the CPU)."""

    name: ClassVar[str] = "torch"
    moves: ClassVar[bool] = True
    abilities: ClassVar[frozenset[str]] = frozenset(
        {"noise", "softmax", "tracking", "delays", "membrane_noise"}
        | {"plasticity", "eligibility", "shared_synapses", "relay", "input_skips"}
    )

    def run_block(self, network: Network, hardware: Hardware, block: Block) -> Outcome:
        with torch.no_grad():
            if RateLoop.applies(network, hardware, block):
                return RateLoop(network, hardware, block, self.device, self.dtype).run()
            if block.plasticity is not None and block.plasticity.batch:
                return in_batches(partial(self.run_block, network), network, hardware, block)
            run = _Run(network, hardware, block, self.device, self.dtype)
            for t in range(block.steps):
                run.step(t)
            return run.outcome()


class _Population:
    """Consecutive layers of one neuron model, side by side along the neuron axis."""

    def __init__(self, neuron: Neuron, layers: list[int], columns: slice) -> None:
        self.neuron, self.layers, self.columns = neuron, layers, columns
        self.state: State = {}
        self.shadow: State = {}
        self.constants: State = {}
        self.shadow_constants: State = {}
        self.advance: Step
        self.advance_shadow: Step


class _Run:
    """One block under way."""

    def __init__(
        self, network: Network, hardware: Hardware, block: Block, device: torch.device, dtype: torch.dtype
    ) -> None:
        self.network, self.block = network, block
        self.device, self.dtype = device, dtype
        self.chips, self.batch = hardware.chips, block.batch
        sizes = network.sizes[1:]
        edges = [sum(sizes[:index]) for index in range(len(sizes) + 1)]
        self.columns = [slice(a, b) for a, b in pairwise(edges)]
        self.output = self.columns[-1]
        self._membranes(network, hardware, block)
        self._synapses(network, hardware, block)
        self._controller(network, hardware, block)
        self.apical = None
        if block.noise is not None:
            shape = (block.batch, sum(sizes))
            self.apical = ApicalNoise(block.noise, shape, network.dt_ms, device, dtype)
        self.learning: Traces | None = None
        if block.plasticity is not None and block.plasticity.trace_ms is not None:
            self.learning = Traces(network, block, self.bias)
        self.tremble = self.shadow_tremble = None
        if hardware.noise is not None:
            self.tremble = Tremble(hardware.noise, "neuron", block.batch, self.bias)
            if block.shadow:
                self.shadow_tremble = Tremble(hardware.noise, "shadow", block.batch, self.bias)
        self.window = self.to(block.window).t().reshape(block.steps, 1, self.batch, 1)
        self.counted = (block.window != 0).any(0).tolist()
        self.sums = torch.zeros_like(self.synapse)
        self.basal = torch.zeros_like(self.synapse) if block.shadow else None
        self.emitted = torch.zeros_like(self.synapse)
        self.lines = [self._line(index, hardware) for index in range(len(network.connections))]
        self.shadow_emitted = torch.zeros_like(self.synapse)
        self.traces: dict[str, list[Tensor]] = {name: [] for name in block.record}

    def to(self, tensor: Tensor) -> Tensor:
        return tensor.to(self.device, self.dtype)

    def _cat(self, tensors: Sequence[Tensor]) -> Tensor:
        return self.to(torch.cat(list(tensors), dim=-1))

    def _membranes(self, network: Network, hardware: Hardware, block: Block) -> None:
        self.populations: list[_Population] = []
        numbered = enumerate(network.layers)
        for _, group in groupby(numbered, key=lambda item: item[1].neuron.options):
            members = list(group)
            layers = [index for index, _ in members]
            columns = slice(self.columns[layers[0]].start, self.columns[layers[-1]].stop)
            part = _Population(members[0][1].neuron, layers, columns)
            part.state = self._states([block.start.neurons[i] for i in layers])
            part.constants = self._constants(part, [hardware.neurons[i] for i in layers])
            part.advance = part.neuron.stepper(part.constants)
            if block.shadow:
                part.shadow = self._states([block.start.shadows[i] for i in layers])
                part.shadow_constants = self._constants(part, [hardware.shadows[i] for i in layers])
                part.advance_shadow = part.neuron.stepper(part.shadow_constants)
            self.populations.append(part)
        self.bias = self._cat([values["bias"] for values in hardware.neurons]).unsqueeze(1)
        self.shadow_bias = self.bias
        if block.shadow:
            self.shadow_bias = self._cat([values["bias"] for values in hardware.shadows]).unsqueeze(1)
        if block.currents:
            self.injected: Tensor | None = self._cat(block.currents)
        else:
            self.injected = None

    def _states(self, states: list[State]) -> State:
        return {name: self._cat([state[name] for state in states]).clone() for name in states[0]}

    def _constants(self, part: _Population, values: list[Values]) -> State:
        joined = {name: torch.cat([v[name] for v in values], dim=-1) for name in values[0]}
        constants = part.neuron.constants(joined, self.network.dt_ms)
        return {name: self.to(value) for name, value in constants.items()}

    def _synapses(self, network: Network, hardware: Hardware, block: Block) -> None:
        decays = [
            layer.neuron.synapse_decay(values, network.dt_ms)
            for layer, values in zip(network.layers, hardware.neurons, strict=True)
        ]
        self.synapse_decay = self._cat(decays).unsqueeze(1)
        self.synapse = self._cat(block.start.synapse).clone()
        self.weights: list[Tensor] = []
        self.plastic: list[Tensor] = []
        for connection, weight in zip(network.connections, hardware.weights, strict=True):
            gain = synaptic_gain(network, connection, decays[connection.post - 1].unsqueeze(1))
            self.weights.append(self.to(weight * gain))
            direct = drives(connection, block)
            factor = None if not hardware.synapses else hardware.synapses[len(self.plastic)]
            unit = torch.ones_like(gain) if direct else gain
            self.plastic.append(self.to(unit if factor is None else unit * factor))
        self.direct: dict[int, Tensor] = {}
        self.external: dict[int, Tensor] = {}
        if isinstance(block.drive, CurrentDrive):
            self.constant_drive = block.drive.values.ndim == 2
            self.values = self.to(block.drive.values)
            for index, connection in enumerate(network.connections):
                if drives(connection, block):
                    self._drive(index, self.to(hardware.weights[index]))

    def _line(self, index: int, hardware: Hardware) -> Line:
        """Return what carries emissions along a connection."""
        connection, start = self.network.connections[index], self.to(self.block.start.history[index])
        if drives(connection, self.block):
            return StillLine(start)
        delays = DelayLine(hardware.delays[index], start) if hardware.delays else None
        if connection.pre > 0:
            return NeuronLine(self.emitted[..., self.columns[connection.pre - 1]], start, delays)
        assert isinstance(self.block.drive, SpikeDrive)
        spikes, changing = (
            self.block.drive.spikes,
            self.learning is not None and self.learning.plasticity.steps,
        )
        return InputLine(spikes, start, delays, chips=self.chips, to=self.to, changing=bool(changing))

    def _drive(self, index: int, weight: Tensor) -> None:
        """Let input currents reach a layer through `weight`; constant ones are multiplied once."""
        self.direct[index] = weight
        if self.constant_drive:
            self.external[index] = torch.matmul(self.values, weight)

    def _controller(self, network: Network, hardware: Hardware, block: Block) -> None:
        self.trace_decay, self.trace_gain = readout_trace(network)
        self.trace = self.to(block.start.trace).clone()
        self.integral = self.to(block.start.integral).clone()
        self.control: Tensor | None = None
        self.relay: RelayLoop | None = None
        if hardware.relay is not None:
            self.relay = RelayLoop(network, hardware, block.start, self.to)
        loop = bound_controller(network, hardware, block, self.to)
        if loop is None:
            return
        self.loop, self.compares_softmax = loop, bool(loop.softmax.any())
        self.course = None if block.course is None else self.to(block.course)
        if self.relay is None:
            self.feedback = self._cat(hardware.feedback)
        self.control = torch.zeros_like(self.trace)

    # one step, in the order of docs/model.md

    def step(self, t: int) -> None:
        signal = self._control(t) if self.control is not None else None
        self._advance(t, signal)
        self.synapse.mul_(self.synapse_decay)
        self.trace.mul_(self.trace_decay)
        self._deliver(t)
        if self.learning is not None:
            self.learning.emit(t, self._split(self.emitted))
        if self.relay is not None:
            self.relay.emit(self._split(self.emitted))
        self.trace.add_(self.emitted[..., self.output], alpha=self.trace_gain)
        self._count(t, signal)
        self._record(signal)

    def _control(self, t: int) -> Tensor:
        loop = self.loop
        target = loop.target if self.course is None else self.course[:, t]
        seen = loop.gain * self.trace + loop.offset
        if self.compares_softmax:
            seen = torch.where(loop.softmax, torch.softmax(seen, -1), seen)
        error = target - seen
        self.integral += loop.ki * error - loop.leak * self.integral
        return (loop.kp * error + self.integral) * loop.on

    def _advance(self, t: int, signal: Tensor | None) -> None:
        """Advance the membranes and their shadows, which see all currents but the feedback."""
        current = self.synapse + self.bias
        for index in self.direct:
            column = self.columns[self.network.connections[index].post - 1]
            current[..., column] += self._external(index, t)
        if self.injected is not None:
            current += self.injected
        if self.basal is not None:
            basal = current if self.shadow_bias is self.bias else current + (self.shadow_bias - self.bias)
            if self.shadow_tremble is not None:
                basal = basal + self.shadow_tremble.step()
            for part in self.populations:
                emitted = part.advance_shadow(part.shadow, basal[..., part.columns], part.shadow_constants)
                self.shadow_emitted[..., part.columns] = emitted
        apical = self._feed_back(t, signal) if signal is not None else None
        if self.apical is not None:
            apical = self.apical.step(apical, signal, self.window[t] if self.counted[t] else None)
        if self.learning is not None and apical is not None and self.counted[t]:
            added = self.learning.step(self._split(apical), self.window[t])
            if self.learning.plasticity.steps:
                self._learn(added)
        if apical is not None:
            current = current + apical
        if self.tremble is not None:
            current = current + self.tremble.step()
        for part in self.populations:
            emitted = part.advance(part.state, current[..., part.columns], part.constants)
            self.emitted[..., part.columns] = emitted

    def _feed_back(self, t: int, signal: Tensor) -> Tensor:
        if self.relay is not None:
            return self.relay.step(t, signal)
        return torch.matmul(signal, self.feedback)

    def _learn(self, changes: Sequence[Change]) -> None:
        """Change synapses and biases; membranes feel it from the next step on."""
        for index, (change, connection) in enumerate(zip(changes, self.network.connections, strict=True)):
            weight = change.weight * self.plastic[index]
            if index in self.direct:
                self._drive(index, self.direct[index] + weight)
            else:
                self.weights[index] += weight
            column = self.columns[connection.post - 1]
            for bias in {id(b): b for b in (self.bias, self.shadow_bias)}.values():
                bias[..., column] += change.bias.unsqueeze(1)

    def _external(self, index: int, t: int) -> Tensor:
        known = self.external.get(index)
        return torch.matmul(self.values[:, t], self.direct[index]) if known is None else known

    def _deliver(self, t: int) -> None:
        """Add what arrives now to the synaptic currents; the membranes see it in the next step."""
        for index, (connection, line) in enumerate(zip(self.network.connections, self.lines, strict=True)):
            if index not in self.direct:
                column = self.columns[connection.post - 1]
                self.synapse[..., column] += line.current(t, self.weights[index])

    def _count(self, t: int, signal: Tensor | None) -> None:
        if not self.counted[t]:
            return
        weight = self.window[t]
        self.sums.addcmul_(self.emitted, weight)
        if self.basal is not None:
            self.basal.addcmul_(self.shadow_emitted, weight)
        if signal is not None and self.control is not None:
            self.control.addcmul_(signal, weight)
            if self.relay is not None:
                self.relay.count(weight)

    def _record(self, signal: Tensor | None) -> None:
        if not self.traces:
            return
        voltage = torch.cat([part.state["v"] for part in self.populations], dim=-1)
        now = {"spikes": self.emitted, "voltage": voltage, "current": self.synapse, "readout": self.trace}
        now["control"] = torch.zeros_like(self.trace) if signal is None else signal
        for name, rows in self.traces.items():
            rows.append(now[name].clone())

    # what comes out

    def _split(self, tensor: Tensor) -> tuple[Tensor, ...]:
        return tuple(tensor[..., column] for column in self.columns)

    def outcome(self) -> Outcome:
        traces: dict[str, tuple[Tensor, ...]] = {}
        for name, rows in self.traces.items():
            stacked = torch.stack(rows, dim=2)
            traces[name] = (stacked,) if name in {"control", "readout"} else self._split(stacked)
        return Outcome(
            sums=self._split(self.sums),
            basal=self._split(self.basal) if self.basal is not None else (),
            control=self.control,
            final=self._final(),
            traces=traces,
            correlation=self._correlation(),
            changes=self._changes(),
            apical=tuple(self.relay.sums) if self.relay is not None and self.control is not None else (),
        )

    def _changes(self) -> tuple[Change, ...]:
        if self.block.plasticity is None:
            return ()
        if self.learning is not None:
            return tuple(self.learning.changes)
        assert self.basal is not None
        return difference(self.network, self.block, self._split(self.sums), self._split(self.basal))

    def _correlation(self) -> tuple[Tensor, ...]:
        if self.apical is None or self.apical.correlation is None:
            return ()
        return self._split(self.apical.correlation)

    def _final(self) -> Snapshot:
        neurons: list[State] = []
        shadows: list[State] = []
        for part in self.populations:
            for layer in part.layers:
                column = self.columns[layer]
                local = slice(column.start - part.columns.start, column.stop - part.columns.start)
                neurons.append({name: value[..., local] for name, value in part.state.items()})
                shadows.append({name: value[..., local] for name, value in part.shadow.items()})
        return Snapshot(
            neurons=tuple(neurons),
            shadows=tuple(shadows),
            synapse=self._split(self.synapse),
            history=tuple(line.history() for line in self.lines),
            trace=self.trace,
            integral=self.integral,
            gates=() if self.relay is None else tuple(self.relay.traces),
        )
