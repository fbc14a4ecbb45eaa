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

from spiking.simulators.fixed_point.arithmetic import decayed_, folded, saturated_
from spiking.simulators.fixed_point.run import Membrane, Run
from spiking.simulators.fixed_point.synapse import Synapse

__all__ = ["RateRun"]


@final
class _RateMembrane(Membrane):
    def __init__(self, arrays: Mapping[str, Tensor], prefix: str) -> None:
        super().__init__(arrays, prefix)
        self.table = arrays[f"{prefix}.constant.table"]
        self.spacing = 2.0 ** arrays[f"{prefix}.constant.table_bits"]

    def step(self, current: Tensor) -> Tensor:
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
class RateRun(Run[_RateMembrane]):
    """Does what `spiking.simulators.fixed_point.emulate` does, for rate networks."""

    membrane = _RateMembrane

    def prepare(self) -> None:
        arrays = self.arrays
        self.told = [_Told(arrays, layer) for layer in range(len(self.layers) + 1)]
        self.scales = [2.0 ** arrays[f"layer.{i}.exponent"].view(-1, 1, 1) for i in self.layers]
        if self.direct:
            self.held = arrays["held"].clone()
            self.held_scale = 2.0 ** arrays["held.exponent"].view(-1, 1, 1)
        self.heard = arrays["heard"].clone()

    def step(self, t: int, signal: Tensor | None) -> None:
        drive = self.arrays["drive"]
        shown = drive if drive.ndim == 2 else drive[:, t]
        messages = [self.told[0](shown.double().unsqueeze(0))]
        if self.direct:
            self._hold(messages[0], t)
        messages += [self.told[i + 1](self._advance(i, t, signal)) for i in self.layers]
        for synapse, pre, post in self.carrying:
            self._send(synapse, messages[pre], post, t)
        self.heard += messages[-1]
        self.control.follow(self.heard)

    def _hold(self, message: Tensor, t: int) -> None:
        if bool(message.any()):
            self.held += self.synapses[0].product(message, t)

    def _advance(self, i: int, t: int, signal: Tensor | None) -> Tensor:
        current = torch.floor(self.u[i] * self.scales[i]) + self.bias[i]
        if i == 0 and self.direct:
            current += torch.floor(self.held * self.held_scale)
        if self.shadows:
            shadow = self.shadows[i]
            shadow.sum.addcmul_(shadow.step(self.basal(i, current)), self.window[t])
        if signal is not None:
            current += self.feedback[i].product(signal, t)
        return self.membranes[i].step(current)

    def _send(self, synapse: Synapse, message: Tensor, post: int, t: int) -> None:
        """Add a layer's messages to what another one received; nothing is multiplied where none was sent."""
        if synapse.history is not None or bool(message.any()):
            self.u[post] = folded(self.u[post] + synapse.product(message, t))

    def count(self, t: int) -> None:
        for membrane, told in zip(self.membranes, self.told[1:], strict=True):
            membrane.sum.addcmul_(told.sent, self.window[t])

    def emitted(self, layer: int) -> Tensor:
        return self.told[layer + 1].sent

    def results(self) -> dict[str, Tensor]:
        found = super().results()
        for i, told in enumerate(self.told):
            found |= {f"sent.{i}": told.sent, f"messages.{i}": told.messages}
        return found
