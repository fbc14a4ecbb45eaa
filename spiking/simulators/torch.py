"""The tensor simulator: vectorised over chips, batch and neurons, float32 or float64, CPU or GPU.

Consecutive layers of the same neuron model are one tensor, so a step costs a fixed number of
operations whatever the number of layers; what does not change within a phase is computed before it.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from itertools import pairwise
from typing import ClassVar, final

import torch
from torch import Tensor

from spiking.blocks.block import Block
from spiking.blocks.bound import (
    bound_controller,
    bound_relay,
    drives,
    gains,
    synapse_decays,
)
from spiking.blocks.populations import Population, populations
from spiking.blocks.recordings import Outcome
from spiking.hardware import Hardware
from spiking.network import Network
from spiking.neurons.base import State, Values
from spiking.presentation import Change, CurrentDrive, Snapshot, SpikeDrive
from spiking.readout import readout_trace
from spiking.simulators.apical import ApicalNoise
from spiking.simulators.base import Simulator
from spiking.simulators.delays import DelayLine
from spiking.simulators.lines import InputLine, Line, NeuronLine, StillLine
from spiking.simulators.membrane_noise import Tremble
from spiking.simulators.plasticity import Traces, difference, in_batches
from spiking.simulators.rate_loop import RateLoop
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


class _Side:
    """A population's neurons or their shadows, side by side along the neuron axis."""

    def __init__(self, own: Population, columns: slice, state: State, constants: State) -> None:
        self.columns, self.state, self.constants = columns, state, constants
        self._advance = own.neuron.stepper(constants)

    def step(self, current: Tensor) -> Tensor:
        """Advance the state and return what is emitted."""
        return self._advance(self.state, current[..., self.columns], self.constants)


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
        self.populations = populations(network)
        self.neurons = self._sides(hardware.neurons, block.start.neurons)
        self.shadows = self._sides(hardware.shadows, block.start.shadows) if block.shadow else []
        self.bias = self._cat([values["bias"] for values in hardware.neurons]).unsqueeze(1)
        self.shadow_bias = self.bias
        if block.shadow:
            self.shadow_bias = self._cat([values["bias"] for values in hardware.shadows]).unsqueeze(1)
        if block.currents:
            self.injected: Tensor | None = self._cat(block.currents)
        else:
            self.injected = None

    def _sides(self, values: Sequence[Values], states: Sequence[State]) -> list[_Side]:
        sides = []
        for own in self.populations:
            columns = slice(self.columns[own.layers[0]].start, self.columns[own.layers[-1]].stop)
            state = {name: self.to(value).clone() for name, value in own.beside(states).items()}
            constants = own.constants(values, self.network.dt_ms)
            made = {name: self.to(value) for name, value in constants.items()}
            sides.append(_Side(own, columns, state, made))
        return sides

    def _synapses(self, network: Network, hardware: Hardware, block: Block) -> None:
        decays = synapse_decays(network, hardware)
        self.synapse_decay = self._cat(decays).unsqueeze(1)
        self.synapse = self._cat(block.start.synapse).clone()
        self.weights: list[Tensor] = []
        self.plastic: list[Tensor] = []
        factors = hardware.synapses or (None,) * len(hardware.weights)
        for weight, gain, factor in zip(
            hardware.weights, gains(network, decays, block), factors, strict=True
        ):
            self.weights.append(self.to(weight * gain))
            self.plastic.append(self.to(gain if factor is None else gain * factor))
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
        relay = bound_relay(network, hardware, block.start)
        self.relay = None if relay is None else RelayLoop(relay, hardware.feedback, self.to)
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
            for side in self.shadows:
                self.shadow_emitted[..., side.columns] = side.step(basal)
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
        for side in self.neurons:
            self.emitted[..., side.columns] = side.step(current)

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
        voltage = torch.cat([side.state["v"] for side in self.neurons], dim=-1)
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
        return Snapshot(
            neurons=self._states(self.neurons),
            shadows=self._states(self.shadows) or ({},) * self.network.depth,
            synapse=self._split(self.synapse),
            history=tuple(line.history() for line in self.lines),
            trace=self.trace,
            integral=self.integral,
            gates=() if self.relay is None else tuple(self.relay.traces),
        )

    def _states(self, sides: Sequence[_Side]) -> tuple[State, ...]:
        """Return the states of all layers."""
        found: list[State] = []
        for own, side in zip(self.populations, sides, strict=False):
            for layer in own.layers:
                column, first = self.columns[layer], side.columns.start
                local = slice(column.start - first, column.stop - first)
                found.append({name: value[..., local] for name, value in side.state.items()})
        return tuple(found)
