"""The steady simulator: rate networks go straight to where their dynamics would settle."""

from __future__ import annotations

import math
from collections import defaultdict
from functools import partial
from typing import Annotated, ClassVar, final

import torch
from torch import Tensor

from root.errors import UnsupportedError
from root.ranges import SHARE, TOLERANCE, check_values, of
from spiking.blocks.block import Block
from spiking.blocks.bound import bound_controller
from spiking.blocks.recordings import Outcome
from spiking.hardware import Hardware
from spiking.network import Network
from spiking.neurons.base import State
from spiking.presentation import CurrentDrive, Snapshot
from spiking.simulators.base import Simulator

__all__ = ["SteadySimulator"]


@final
class SteadySimulator(Simulator):
    r"""Steady states of rate networks, without the time it takes to get there.

    At rest the potential is the current, :math:`v_l = \sum W r + b + u Q_l`. Layers are visited in turn, each
    going a fraction η (the relaxation) of the way to what the others now ask for,

    .. math:: I_l \leftarrow I_l + \eta \left( \sum W r + b + u Q_l - I_l \right), \qquad r_l = r(I_l)

    A feedforward network without a controller is exact after one sweep, whatever η. With symmetric
    backward connections and η = 1 every visit lowers the energy of the network (no layer is connected to
    itself), so the sweeps converge. The controller takes one explicit step of the network's dt in a sweep,
    :math:`u_{int} \leftarrow u_{int} + dt\,(k_i e - \alpha u_{int})`, and u relaxes like the currents, so
    that it rests where the dynamic one does: the neurons are taken as infinitely fast.

    A phase takes at most as many sweeps as it has steps; a chip stops when no rate and no control signal
    of it changes by more than the tolerance. Time constants, delays and windows have no effect.

    Source: the energy and its convergence: Hopfield 1984, doi:10.1073/pnas.81.10.3088.

    Args:
        device: where tensors live.
        dtype: the type it computes with.
        relaxation: η in (0, 1]; below 1 where a strong loop would oscillate.
        tolerance: largest change in the last sweep.
    """

    name: ClassVar[str] = "steady"
    moves: ClassVar[bool] = True
    abilities: ClassVar[frozenset[str]] = frozenset({"softmax", "input_skips"})
    encodings: ClassVar[frozenset[str]] = frozenset({"current"})
    ignores: ClassVar[frozenset[str]] = frozenset({"tau", "delay"})

    def __init__(
        self,
        device: str = "cpu",
        dtype: torch.dtype = torch.float64,
        relaxation: Annotated[float, SHARE] = 1.0,
        tolerance: Annotated[float, TOLERANCE] = 1e-6,
    ) -> None:
        super().__init__(device, dtype)
        check_values(of(type(self).__init__), {"relaxation": relaxation, "tolerance": tolerance}, "simulator")
        self.relaxation, self.tolerance = relaxation, tolerance
        self.inputs_seen: defaultdict[int, _Inputs] = defaultdict(partial(_Inputs, self.device, self.dtype))

    def check(self, network: Network) -> None:
        Simulator.check(self, network)
        for layer in network.layers:
            if not layer.neuron.settles:
                allowed = "a neuron without spikes whose potential settles at the current"
                raise UnsupportedError("network.neuron.model", layer.neuron.model, allowed)

    def run_block(self, network: Network, hardware: Hardware, block: Block) -> Outcome:
        if not isinstance(block.drive, CurrentDrive) or block.drive.values.ndim != 2:
            raise UnsupportedError("bridge.encoding", "an input that changes in time", "current")
        with torch.no_grad():
            return _Relaxation(self, network, hardware, block).outcome()


@final
class _Inputs:
    """The current of the input seen last: phases that go on with the same one need not multiply again."""

    def __init__(self, device: torch.device, dtype: torch.dtype) -> None:
        self._device, self._dtype = device, dtype
        self._last: tuple[Tensor, int, Tensor, int, Tensor] | None = None

    def current(self, values: Tensor, weight: Tensor) -> Tensor:
        """Return ``values @ weight``, ``(chips, batch, n)``.

        Args:
            values: ``(batch, inputs)``; several phases of one input have it one below the other.
            weight: of a connection from the input, ``(chips, inputs, n)``.
        """
        known = self._known(values, weight)
        if known is not None:
            return known.repeat(1, len(values) // known.shape[1], 1)
        product = torch.matmul(values.to(self._device, self._dtype), weight.to(self._device, self._dtype))
        self._last = (values, values._version, weight, weight._version, product)
        return product

    def _known(self, values: Tensor, weight: Tensor) -> Tensor | None:
        if self._last is None:
            return None
        seen, its_version, through, weight_version, product = self._last
        if through is not weight or (seen._version, weight._version) != (its_version, weight_version):
            return None
        times, rest = divmod(len(values), len(seen))
        same = (
            times > 0
            and rest == 0
            and all(torch.equal(part, seen) for part in torch.split(values, len(seen)))
        )
        return product if same else None


class _Relaxation:
    """One block under way."""

    def __init__(
        self, simulator: SteadySimulator, network: Network, hardware: Hardware, block: Block
    ) -> None:
        self.simulator, self.network, self.hardware, self.block = simulator, network, hardware, block
        self.constants = [self._constants(index, hardware.neurons[index]) for index in range(network.depth)]
        self.recurrent = [
            (network.connections[k], self.to(hardware.weights[k])) for k in network.between_neurons
        ]
        self.currents = [self.to(state["v"]).clone() for state in block.start.neurons]
        self.rates = [self._rate(index, current) for index, current in enumerate(self.currents)]
        self.constant = [self._constant(index) for index in range(network.depth)]
        self.integral = self.to(block.start.integral).clone()
        self.control: Tensor | None = None
        self.traces: dict[str, list[tuple[Tensor, ...]]] = {name: [] for name in block.record}
        self._controller()
        self._settle()

    def to(self, tensor: Tensor) -> Tensor:
        return tensor.to(self.simulator.device, self.simulator.dtype)

    def _constants(self, index: int, values: State | object) -> State:
        """Return the neurons' constants for an infinite step: it takes the potential to the current."""
        neuron = self.network.layers[index].neuron
        return {k: self.to(v) for k, v in neuron.constants(values, math.inf).items()}  # type: ignore[arg-type]

    def _rate(self, index: int, current: Tensor) -> Tensor:
        return self.network.layers[index].neuron.settled(current, self.constants[index])

    def _constant(self, index: int) -> Tensor:
        """Return the currents that do not change, ``(chips, batch or 1, n)``."""
        current = self.to(self.hardware.neurons[index]["bias"]).unsqueeze(1)
        if self.block.currents:
            current = current + self.to(self.block.currents[index])
        assert isinstance(self.block.drive, CurrentDrive)
        for k in self.network.from_input:
            if self.network.connections[k].post == index + 1:
                seen = self.simulator.inputs_seen[index + 1]
                current = seen.current(self.block.drive.values, self.hardware.weights[k]) + current
        return current

    def _controller(self) -> None:
        loop = bound_controller(self.network, self.hardware, self.block, self.to)
        if loop is None:
            return
        self.loop = loop
        self.feedback = [self.to(q) for q in self.hardware.feedback]
        self.fed_back = [bool(q.any()) for q in self.feedback]
        self.control = torch.zeros_like(self.rates[-1])

    # sweeps

    def _settle(self) -> None:
        chips = self.hardware.chips
        active = torch.ones(chips, 1, 1, dtype=self.simulator.dtype, device=self.simulator.device)
        feedforward = self.control is None and self.network.feedforward
        for _ in range(self.block.steps):
            change = self._sweep(active if feedforward else active * self.simulator.relaxation)
            self._record()
            if feedforward:
                break
            active = active * (change > self.simulator.tolerance).to(active).view(-1, 1, 1)
            if not bool(active.any()):
                break

    def _sweep(self, step: Tensor) -> Tensor:
        """Visit the controller and all layers once; return the largest change of every chip."""
        changes = [self._advance_control(step)] if self.control is not None else []
        for index in range(self.network.depth):
            current = self.currents[index]
            current += self._wanted(index).sub_(current).mul_(step)
            before, self.rates[index] = self.rates[index], self._rate(index, current)
            changes.append(before.sub_(self.rates[index]).abs_().amax((1, 2)))
        return torch.stack(changes).amax(0)

    def _advance_control(self, step: Tensor) -> Tensor:
        assert self.control is not None
        loop = self.loop
        seen = loop.gain * self.rates[-1] + loop.offset
        error = loop.target - torch.where(loop.softmax, torch.softmax(seen, -1), seen)
        going = (step > 0).to(step)
        self.integral += going * (loop.ki * error - loop.leak * self.integral)
        change = step * ((loop.kp * error + self.integral) * loop.on - self.control)
        self.control += change
        return change.abs().amax((1, 2))

    def _wanted(self, index: int) -> Tensor:
        """Return the current that the rest of the network now asks for in a layer."""
        current = self.constant[index].expand_as(self.rates[index]).clone()
        for connection, weight in self.recurrent:
            if connection.post == index + 1:
                current.baddbmm_(self.rates[connection.pre - 1], weight)
        if self.control is not None and self.fed_back[index]:
            current.baddbmm_(self.control, self.feedback[index])
        return current

    def _record(self) -> None:
        control = torch.zeros_like(self.rates[-1]) if self.control is None else self.control
        now = {
            "spikes": self.rates,
            "voltage": self.currents,
            "current": self.currents,
            "readout": [self.rates[-1]],
            "control": [control],
        }
        for name, rows in self.traces.items():
            rows.append(tuple(tensor.clone() for tensor in now[name]))

    # what comes out

    def _basal(self) -> tuple[Tensor, ...]:
        """Return the rates that the settled feedforward currents alone would give the shadows."""
        control, self.control = self.control, None
        rates = []
        for index, shadow in enumerate(self.hardware.shadows):
            constants = self._constants(index, shadow)
            own = self.to(shadow["bias"] - self.hardware.neurons[index]["bias"]).unsqueeze(1)
            current = self._wanted(index) + own
            rates.append(self.network.layers[index].neuron.settled(current, constants))
        self.control = control
        return tuple(rates)

    def outcome(self) -> Outcome:
        total = self.to(self.block.window.sum(1)).view(1, -1, 1)
        return Outcome(
            sums=tuple(rate * total for rate in self.rates),
            basal=tuple(rate * total for rate in self._basal()) if self.block.shadow else (),
            control=None if self.control is None else self.control * total,
            final=self._final(),
            traces={name: self._over_time(rows) for name, rows in self.traces.items()},
        )

    def _over_time(self, rows: list[tuple[Tensor, ...]]) -> tuple[Tensor, ...]:
        """Stack the sweeps; what has settled stays."""
        rows = rows + [rows[-1]] * (self.block.steps - len(rows))
        return tuple(torch.stack(tensors, dim=2) for tensors in zip(*rows, strict=True))

    def _final(self) -> Snapshot:
        start = self.block.start
        states = tuple({"v": current} for current in self.currents)
        return Snapshot(
            neurons=states,
            shadows=states if self.block.shadow else start.shadows,
            synapse=start.synapse,
            history=start.history,
            trace=self.rates[-1],
            integral=self.integral,
        )
