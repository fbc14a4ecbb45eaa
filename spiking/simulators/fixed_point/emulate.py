r"""The bit-accurate step, vectorised over chips and samples: a third way to run what Loihi runs.

One step of a layer, in whole numbers (:math:`\lfloor\cdot\rceil` rounds towards zero; a is the input sum,
b the bias and injected currents, r the steps that the membrane is still held, f the feedback current):

.. math::
    v \leftarrow \operatorname{sat}_{24}(\lfloor v\,(4096 - d_v)/4096 \rceil + u + b + f), \qquad
    v \leftarrow 0 \text{ where } r > 0 \\
    s = v > 64\,v_{th}, \qquad v \leftarrow 0 \text{ where } s, \qquad
    r \leftarrow r_{ref} \text{ where } s, \text{ else } \max(r - 1, 0) \\
    u \leftarrow \operatorname{wrap}_{24}(\lfloor u\,(4096 - d_u - 1)/4096 \rceil + 64\,a), \qquad
    a = \operatorname{shift}\Big(\textstyle\sum_j w_j s_j\Big)

Source: Lava's bit-accurate LIF and Dense (lava-nc 0.10.0), with a threshold, decays and a refractory
time of each neuron's own.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from spiking.network import Network
from spiking.simulators.fixed_point.arithmetic import LIMIT, UNITY, decayed_, saturated_, shifted, wrapped_
from spiking.simulators.fixed_point.control import Control
from spiking.simulators.fixed_point.emulate_rates import emulate_rates
from spiking.simulators.fixed_point.fused import run_free
from spiking.simulators.fixed_point.synapse import Synapse

__all__ = ["emulate"]


def emulate(
    network: Network,
    arrays: Mapping[str, Tensor],
    *,
    direct: bool,
    closed: bool,
    record: frozenset[str] = frozenset(),
) -> dict[str, Tensor]:
    """Run a program and return final state, sums and records by name, as the Lava runtime does.

    Args:
        network: for its connections.
        arrays: whole numbers in float64 tensors; see `spiking.simulators.fixed_point.program.Program`.
        direct: whether the input acts at once, through the first connection, as graded spikes.
        closed: whether the controller is connected.
        record: names from `spiking.presentation.TRACES`.
    """
    if "heard" in arrays:
        return emulate_rates(network, arrays, direct=direct, closed=closed, record=record)
    if not (closed or record) and _plain(network, arrays, direct):
        return run_free(network, arrays, direct=direct)
    with torch.no_grad():
        run = _Run(network, arrays, direct, closed, record)
        for t in range(run.steps):
            run.step(t)
        return run.results()


def _plain(network: Network, arrays: Mapping[str, Tensor], direct: bool) -> bool:
    """Whether the compiled loop can run a program."""
    undelayed = all(c.delay_steps == 1 for c in network.connections)
    steady = not direct or arrays["drive"].ndim == 2
    on_cpu = arrays["trace"].device.type == "cpu"
    return undelayed and steady and on_cpu and "shadow.0.extra_bias" not in arrays


class _Membrane:
    """The neurons of a layer, or their shadows."""

    def __init__(self, arrays: Mapping[str, Tensor], prefix: str) -> None:
        self.kept = 1.0 - arrays[f"{prefix}.constant.dv"] / UNITY
        self.threshold = 64.0 * arrays[f"{prefix}.constant.vth"]
        self.held = arrays[f"{prefix}.constant.refractory_steps"]
        self.v = arrays[f"{prefix}.state.v"].clone()
        self.refractory = arrays[f"{prefix}.state.refractory"].clone()
        self.refracts = bool((self.held > 0).any() or (self.refractory > 0).any())
        self.emitted = torch.zeros_like(self.v, dtype=torch.float32)
        self.sum = torch.zeros_like(self.v)

    def step(self, current: Tensor) -> Tensor:
        v = saturated_(decayed_(self.v, self.kept).add_(current))
        if self.refracts:
            v.masked_fill_(self.refractory > 0, 0.0)
        spikes = v > self.threshold
        v.masked_fill_(spikes, 0.0)
        if self.refracts:
            waiting = self.refractory.sub_(1).clamp_(min=0)
            torch.where(spikes, self.held, waiting, out=waiting)
        return self.emitted.copy_(spikes)


class _Run:
    def __init__(
        self,
        network: Network,
        arrays: Mapping[str, Tensor],
        direct: bool,
        closed: bool,
        record: frozenset[str],
    ) -> None:
        self.network, self.arrays, self.direct, self.closed = network, arrays, direct, closed
        self.layers = range(network.depth)
        self.window = arrays["window"].t()[:, None, :, None]
        self.steps = self.window.shape[0]
        self.counted = (arrays["window"] != 0).any(0).tolist()
        self._populations()
        self._connections()
        self.control = Control(arrays)
        self.control_sum = torch.zeros_like(self.control.trace)
        self.records: dict[str, list[Tensor]] = {}
        self.record = record

    def _populations(self) -> None:
        arrays = self.arrays
        self.membranes = [_Membrane(arrays, f"layer.{i}") for i in self.layers]
        shadowed = "shadow.0.extra_bias" in arrays
        self.shadows = [_Membrane(arrays, f"shadow.{i}") for i in self.layers] if shadowed else []
        self.u = [arrays[f"layer.{i}.state.synapse"].clone() for i in self.layers]
        self.kept = [1.0 - arrays[f"layer.{i}.constant.synapse_decay"] / UNITY for i in self.layers]
        self.bias = [arrays[f"layer.{i}.bias"] for i in self.layers]
        for i in self.layers:
            if f"layer.{i}.injected" in arrays:
                self.bias[i] = self.bias[i] + arrays[f"layer.{i}.injected"]

    def _connections(self) -> None:
        arrays = self.arrays
        self.synapses = [
            Synapse(arrays, f"weight.{i}", arrays.get(f"history.{i}"))
            for i in range(len(self.network.connections))
        ]
        self.feedback = [Synapse(arrays, f"feedback.{i}") for i in self.layers] if self.closed else []
        self.may_wrap = [self._may_wrap(i) for i in self.layers]
        self.raster = self.drive if self.direct else self.drive.float()
        self.external: Tensor | None = None
        if self.direct:
            self.synapses[0].history = None
            if self.drive.ndim == 2:
                self.external = self.synapses[0].product(self.drive, 0)

    @property
    def drive(self) -> Tensor:
        return self.arrays["drive"]

    def _may_wrap(self, layer: int) -> bool:
        """Whether any input at all could drive the current of a layer out of its range."""
        largest = torch.zeros_like(self.kept[layer])
        for synapse, connection in zip(self.synapses, self.network.connections, strict=True):
            if connection.post == layer + 1 and not (connection.pre == 0 and self.direct):
                largest += 64.0 * synapse.largest / (1.0 - self.kept[layer])
        return bool((largest >= LIMIT).any() or (self.u[layer].abs() >= LIMIT).any())

    # one step

    def step(self, t: int) -> None:
        signal = self.control.signal() if self.closed else None
        for i in self.layers:
            self._advance(i, t, signal)
        for i in self.layers:
            self._receive(i, t)
        self.control.follow(self.membranes[-1].emitted)
        self._count(t, signal)
        self._remember(signal)

    def _advance(self, i: int, t: int, signal: Tensor | None) -> None:
        current = self.u[i] + self.bias[i]
        if i == 0 and self.direct:
            current += self._direct(t)
        if self.shadows:
            ratio, extra = self.arrays[f"shadow.{i}.ratio"], self.arrays[f"shadow.{i}.extra_bias"]
            self.shadows[i].step(shifted(current * ratio, 12).add_(extra))
        if signal is not None:
            current += self.feedback[i].product(signal, t)
        self.membranes[i].step(current)

    def _direct(self, t: int) -> Tensor:
        return self.external if self.external is not None else self.synapses[0].product(self.drive[:, t], t)

    def _receive(self, i: int, t: int) -> None:
        u = decayed_(self.u[i], self.kept[i])
        for synapse, connection in zip(self.synapses, self.network.connections, strict=True):
            if connection.post != i + 1 or (connection.pre == 0 and self.direct):
                continue
            emitted = (
                self.membranes[connection.pre - 1].emitted if connection.pre else self.raster[None, :, t]
            )
            u.add_(synapse.product(emitted, t), alpha=64.0)
        if self.may_wrap[i]:
            wrapped_(u)

    def _count(self, t: int, signal: Tensor | None) -> None:
        if not self.counted[t]:
            return
        for membrane in (*self.membranes, *self.shadows):
            membrane.sum.addcmul_(membrane.emitted, self.window[t])
        if signal is not None:
            self.control_sum.addcmul_(signal, self.window[t])

    def _remember(self, signal: Tensor | None) -> None:
        if not self.record:
            return
        trace = self.control.trace
        now = {"readout": trace, "control": torch.zeros_like(trace) if signal is None else signal}
        for i in self.layers:
            now[f"spikes.{i}"], now[f"voltage.{i}"] = self.membranes[i].emitted.double(), self.membranes[i].v
            now[f"current.{i}"] = self.u[i]
        for name, value in now.items():
            if name.split(".")[0] in self.record:
                self.records.setdefault(f"record.{name}", []).append(value.clone())

    def results(self) -> dict[str, Tensor]:
        control = self.control
        found = {"trace": control.trace, "integral": control.integral, "sum.control": self.control_sum}
        for i in self.layers:
            membrane = self.membranes[i]
            found[f"layer.{i}.state.v"], found[f"layer.{i}.state.refractory"] = (
                membrane.v,
                membrane.refractory,
            )
            found[f"layer.{i}.state.synapse"], found[f"sum.{i}"] = self.u[i], membrane.sum
            if self.shadows:
                shadow = self.shadows[i]
                found[f"shadow.{i}.state.v"] = shadow.v
                found[f"shadow.{i}.state.refractory"] = shadow.refractory
                found[f"sum.shadow.{i}"] = shadow.sum
        for i, synapse in enumerate(self.synapses):
            if f"history.{i}" in self.arrays:
                kept = synapse.history
                found[f"history.{i}"] = self.arrays[f"history.{i}"] if kept is None else kept
        return found | {name: torch.stack(rows, 2) for name, rows in self.records.items()}
