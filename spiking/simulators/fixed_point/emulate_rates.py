r"""The bit-accurate step of rate networks, vectorised over chips and samples.

One step of a layer, in whole numbers (:math:`\lfloor\cdot\rceil` rounds towards zero,
:math:`\lfloor\cdot\rfloor` down; T is the neuron's table, e the exponent of its layer's weights):

.. math::
    V \leftarrow
    \operatorname{sat}_{24}(\lfloor V\,(4096 - d_v)/4096 \rceil + \lfloor 2^e A \rfloor + B + I_{fb}), \qquad
    y = T(V) \\
    m = y - \hat y \text{ where } |y - \hat y| > \theta, \qquad \hat y \leftarrow \hat y + m, \qquad
    A \leftarrow \operatorname{wrap}_{32}(A + \textstyle\sum_j w_j m_j)

Source: the dynamics of Lava's ``sdn`` processes (lava-nc 0.10.0), with leaky neurons and any activation.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import final

import torch
from torch import Tensor

from spiking.network import Network
from spiking.simulators.fixed_point.arithmetic import UNITY, decayed_, folded, saturated_, shifted
from spiking.simulators.fixed_point.control import Control
from spiking.simulators.fixed_point.synapse import Synapse

__all__ = ["emulate_rates"]


def emulate_rates(
    network: Network,
    arrays: Mapping[str, Tensor],
    *,
    direct: bool,
    closed: bool,
    record: frozenset[str],
) -> dict[str, Tensor]:
    """Do what `spiking.simulators.fixed_point.emulate` does, for rate networks; arguments are the same."""
    with torch.no_grad():
        run = _Run(network, arrays, direct, closed, record)
        for t in range(run.steps):
            run.step(t)
        return run.results()


@final
class _Membrane:
    """The neurons of a layer, or their shadows."""

    def __init__(self, arrays: Mapping[str, Tensor], prefix: str) -> None:
        self.kept = 1.0 - arrays[f"{prefix}.constant.dv"] / UNITY
        self.table = arrays[f"{prefix}.constant.table"]
        self.spacing = 2.0 ** arrays[f"{prefix}.constant.table_bits"]
        self.v = arrays[f"{prefix}.state.v"].clone()
        self.sum = torch.zeros_like(self.v)

    def step(self, current: Tensor) -> Tensor:
        """Advance the potentials and return the activities."""
        saturated_(decayed_(self.v, self.kept).add_(current))
        return saturated_(self._looked_up(self.v))

    def _looked_up(self, v: Tensor) -> Tensor:
        middle = self.table.shape[2] // 2
        place = torch.floor(v / self.spacing).clamp_(-middle, middle - 1)
        rest, index = v - place * self.spacing, (place + middle).long().transpose(1, 2)
        low = self.table.gather(2, index).transpose(1, 2)
        high = self.table.gather(2, index + 1).transpose(1, 2)
        return torch.floor((high - low) * rest / self.spacing).add_(low)


@final
class _Told:
    """What a layer has told the others, and how many messages that took."""

    def __init__(self, arrays: Mapping[str, Tensor], layer: int) -> None:
        self.sent = arrays[f"sent.{layer}"].double().clone()
        self.threshold = arrays[f"message_threshold.{layer}"]
        self.messages = self.sent.new_zeros(self.sent.shape[:2])

    def __call__(self, activity: Tensor) -> Tensor:
        change = activity - self.sent
        change.masked_fill_(change.abs() <= self.threshold, 0.0)
        self.sent += change
        self.messages += change.count_nonzero(-1)
        return change


@final
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
        self.record = record
        self.layers = range(network.depth)
        self.window = arrays["window"].t()[:, None, :, None]
        self.steps = self.window.shape[0]
        self.counted = (arrays["window"] != 0).any(0).tolist()
        self.membranes = [_Membrane(arrays, f"layer.{i}") for i in self.layers]
        shadowed = "shadow.0.extra_bias" in arrays
        self.shadows = [_Membrane(arrays, f"shadow.{i}") for i in self.layers] if shadowed else []
        self.told = [_Told(arrays, layer) for layer in range(network.depth + 1)]
        self.received = [arrays[f"layer.{i}.state.synapse"].clone() for i in self.layers]
        self.scales = [2.0 ** arrays[f"layer.{i}.exponent"].view(-1, 1, 1) for i in self.layers]
        self.bias = [arrays[f"layer.{i}.bias"] + arrays.get(f"layer.{i}.injected", 0.0) for i in self.layers]
        self.synapses = [
            Synapse(arrays, f"weight.{i}", arrays.get(f"history.{i}"))
            for i in range(len(network.connections))
        ]
        if direct:
            self.synapses[0].history = None
            self.held = arrays["held"].clone()
            self.held_scale = 2.0 ** arrays["held.exponent"].view(-1, 1, 1)
        self.feedback = [Synapse(arrays, f"feedback.{i}") for i in self.layers] if closed else []
        self.control = Control(arrays)
        self.heard = arrays["heard"].clone()
        self.control_sum = torch.zeros_like(self.heard)
        self.records: dict[str, list[Tensor]] = {}

    def step(self, t: int) -> None:
        signal = self.control.signal() if self.closed else None
        drive = self.arrays["drive"]
        shown = drive if drive.ndim == 2 else drive[:, t]
        messages = [self.told[0](shown.double().unsqueeze(0))]
        if self.direct:
            self._hold(messages[0], t)
        messages += [self.told[i + 1](self._advance(i, t, signal)) for i in self.layers]
        for synapse, connection in zip(self.synapses, self.network.connections, strict=True):
            if not (connection.pre == 0 and self.direct):
                self._send(synapse, messages[connection.pre], connection.post - 1, t)
        self.heard += messages[-1]
        self.control.follow(self.heard)
        self._count(t, signal)
        self._remember(signal)

    def _hold(self, message: Tensor, t: int) -> None:
        if bool(message.any()):
            self.held += self.synapses[0].product(message, t)

    def _advance(self, i: int, t: int, signal: Tensor | None) -> Tensor:
        current = torch.floor(self.received[i] * self.scales[i]) + self.bias[i]
        if i == 0 and self.direct:
            current += torch.floor(self.held * self.held_scale)
        if self.shadows:
            shadow, weight = self.shadows[i], self.window[t]
            ratio, extra = self.arrays[f"shadow.{i}.ratio"], self.arrays[f"shadow.{i}.extra_bias"]
            shadow.sum.addcmul_(shadow.step(shifted(current * ratio, 12).add_(extra)), weight)
        if signal is not None:
            current += self.feedback[i].product(signal, t)
        return self.membranes[i].step(current)

    def _send(self, synapse: Synapse, message: Tensor, post: int, t: int) -> None:
        """Add a layer's messages to what another one received; nothing is multiplied where none was sent."""
        if synapse.history is not None or bool(message.any()):
            self.received[post] = folded(self.received[post] + synapse.product(message, t))

    def _count(self, t: int, signal: Tensor | None) -> None:
        if not self.counted[t]:
            return
        for membrane, told in zip(self.membranes, self.told[1:], strict=True):
            membrane.sum.addcmul_(told.sent, self.window[t])
        if signal is not None:
            self.control_sum.addcmul_(signal, self.window[t])

    def _remember(self, signal: Tensor | None) -> None:
        if not self.record:
            return
        trace = self.control.trace
        now = {"readout": trace, "control": torch.zeros_like(trace) if signal is None else signal}
        for i in self.layers:
            now[f"spikes.{i}"], now[f"voltage.{i}"] = self.told[i + 1].sent, self.membranes[i].v
            now[f"current.{i}"] = self.received[i]
        for name, value in now.items():
            if name.split(".")[0] in self.record:
                self.records.setdefault(f"record.{name}", []).append(value.clone())

    def results(self) -> dict[str, Tensor]:
        control = self.control
        found = {"trace": control.trace, "integral": control.integral, "sum.control": self.control_sum}
        for i, membrane in enumerate(self.membranes):
            found |= {f"layer.{i}.state.v": membrane.v, f"sum.{i}": membrane.sum}
            found[f"layer.{i}.state.synapse"] = self.received[i]
        for i, shadow in enumerate(self.shadows):
            found |= {f"shadow.{i}.state.v": shadow.v, f"sum.shadow.{i}": shadow.sum}
        for i, told in enumerate(self.told):
            found |= {f"sent.{i}": told.sent, f"messages.{i}": told.messages}
        for i, synapse in enumerate(self.synapses):
            if f"history.{i}" in self.arrays:
                kept = synapse.history
                found[f"history.{i}"] = self.arrays[f"history.{i}"] if kept is None else kept
        return found | {name: torch.stack(rows, 2) for name, rows in self.records.items()}
