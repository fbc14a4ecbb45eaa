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
from typing import final

import torch
from torch import Tensor

from spiking.network import Network
from spiking.simulators.fixed_point.arithmetic import LIMIT, UNITY, decayed_, saturated_, wrapped_
from spiking.simulators.fixed_point.emulate_rates import RateRun
from spiking.simulators.fixed_point.fused import run_free
from spiking.simulators.fixed_point.run import Membrane, Run

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
    rates = "heard" in arrays
    if not (rates or closed or record) and _plain(network, arrays, direct):
        return run_free(network, arrays, direct=direct)
    kind = RateRun if rates else _SpikeRun
    with torch.no_grad():
        return kind(network, arrays, direct=direct, closed=closed, record=record).run()


def _plain(network: Network, arrays: Mapping[str, Tensor], direct: bool) -> bool:
    """Whether the compiled loop can run a program."""
    undelayed = all(c.delay_steps == 1 for c in network.connections)
    steady = not direct or arrays["drive"].ndim == 2
    on_cpu = arrays["trace"].device.type == "cpu"
    return undelayed and steady and on_cpu and "shadow.0.extra_bias" not in arrays


@final
class _SpikingMembrane(Membrane):
    def __init__(self, arrays: Mapping[str, Tensor], prefix: str) -> None:
        super().__init__(arrays, prefix)
        self.threshold = 64.0 * arrays[f"{prefix}.constant.vth"]
        self.held = arrays[f"{prefix}.constant.refractory_steps"]
        self.refractory = arrays[f"{prefix}.state.refractory"].clone()
        self.refracts = bool((self.held > 0).any() or (self.refractory > 0).any())
        self.emitted = torch.zeros_like(self.v, dtype=torch.float32)

    @property
    def states(self) -> dict[str, Tensor]:
        return {"v": self.v, "refractory": self.refractory}

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


@final
class _SpikeRun(Run[_SpikingMembrane]):
    membrane = _SpikingMembrane

    def prepare(self) -> None:
        self.kept = [1.0 - self.arrays[f"layer.{i}.constant.synapse_decay"] / UNITY for i in self.layers]
        self.may_wrap = [self._may_wrap(i) for i in self.layers]
        self.external: Tensor | None = None
        drive = self.arrays["drive"]
        self.raster = drive if self.direct else drive.float()
        if self.direct and drive.ndim == 2:
            self.external = self.synapses[0].product(drive, 0)

    def _may_wrap(self, layer: int) -> bool:
        """Whether any input at all could drive the current of a layer out of its range."""
        largest = torch.zeros_like(self.kept[layer])
        for synapse, _, post in self.carrying:
            if post == layer:
                largest += 64.0 * synapse.largest / (1.0 - self.kept[layer])
        return bool((largest >= LIMIT).any() or (self.u[layer].abs() >= LIMIT).any())

    def step(self, t: int, signal: Tensor | None) -> None:
        for i in self.layers:
            self._advance(i, t, signal)
        for u, kept in zip(self.u, self.kept, strict=True):
            decayed_(u, kept)
        now = self.raster if self.direct else self.raster[None, :, t]
        emitted = [now, *(membrane.emitted for membrane in self.membranes)]
        for synapse, pre, post in self.carrying:
            self.u[post].add_(synapse.product(emitted[pre], t), alpha=64.0)
        for u, may_wrap in zip(self.u, self.may_wrap, strict=True):
            if may_wrap:
                wrapped_(u)
        self.control.follow(self.membranes[-1].emitted)

    def _advance(self, i: int, t: int, signal: Tensor | None) -> None:
        current = self.u[i] + self.bias[i]
        if i == 0 and self.direct:
            known = self.external
            current += self.synapses[0].product(self.raster[:, t], t) if known is None else known
        if self.shadows:
            self.shadows[i].step(self.basal(i, current))
        if signal is not None:
            current += self.feedback[i].product(signal, t)
        self.membranes[i].step(current)

    def count(self, t: int) -> None:
        for membrane in (*self.membranes, *self.shadows):
            membrane.sum.addcmul_(membrane.emitted, self.window[t])

    def emitted(self, layer: int) -> Tensor:
        return self.membranes[layer].emitted.double()
