"""What the kernel has left in its arrays, as tensors of layers."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from spiking.neurons.base import State
from spiking.presentation import Snapshot, SpikeDrive
from spiking.simulators.cuda.layout import unpack_bits, words
from spiking.simulators.cuda.packing import Packing
from spiking.simulators.recordings import Outcome

__all__ = ["outcome"]


def outcome(packing: Packing) -> Outcome:
    """Return the results of a block, after the kernel has run."""
    block, layout, arrays = packing.block, packing.layout, packing.arrays
    traces = {}
    for name in block.record:
        trace = arrays[f"r_{name}"]
        traces[name] = (trace,) if name in {"control", "readout"} else layout.split(trace)
    closed, relayed = block.target is not None, "apical" in arrays
    return Outcome(
        sums=layout.split(arrays["emitted"]),
        basal=layout.split(arrays["basal"]) if block.shadow else (),
        control=arrays["effort"] if closed else None,
        final=_final(packing),
        traces=traces,
        correlation=_correlation(packing),
        apical=layout.split(arrays["apical"])[:-1] if closed and relayed else (),
    )


def _correlation(packing: Packing) -> tuple[Tensor, ...]:
    """Return the sums over samples and window that feedback synapses measure; see `Noise`."""
    block, arrays = packing.block, packing.arrays
    if block.noise is None or block.target is None:
        return ()
    control, fed = arrays["r_control"], arrays["r_fed"]
    fast = control
    if block.noise.highpass_ms > 0:
        keep = math.exp(-packing.network.dt_ms / block.noise.highpass_ms)
        slow, slows = control[:, :, 0], []
        for t in range(block.steps):
            slow = control[:, :, t] if t == 0 else control[:, :, t].lerp(slow, keep)
            slows.append(slow)
        fast = control - torch.stack(slows, dim=2)
    weighted = fast * arrays["window"].unsqueeze(-1)
    product = torch.matmul(weighted.flatten(1, 2).transpose(1, 2), fed.flatten(1, 2))
    return packing.layout.split(product)


def _final(packing: Packing) -> Snapshot:
    arrays, layout, depth = packing.arrays, packing.layout, packing.network.depth

    def states(name: str) -> tuple[State, ...]:
        found = []
        for layer in range(depth):
            group = packing.laid.groups[layout.groups[layer]]
            part = slice(layout.first[layer], layout.first[layer] + layout.sizes[layer])
            rows = enumerate(group.program.states)
            found.append({state: arrays[name][row, ..., part] for row, state in rows})
        return tuple(found)

    return Snapshot(
        neurons=states("neurons"),
        shadows=states("shadows") if packing.block.shadow else ({},) * depth,
        synapse=layout.split(arrays["synapse"]),
        history=tuple(_history(packing, index) for index in range(len(packing.network.connections))),
        trace=arrays["trace"],
        integral=arrays["integral"],
        gates=layout.split(arrays["gates"])[:-1] if "gates" in arrays else (),
    )


def _history(packing: Packing, index: int) -> Tensor:
    """Return what is under way on a connection, oldest first; step t used slot ``t % wait``."""
    network, layout, block = packing.network, packing.layout, packing.block
    connection = network.connections[index]
    size, wait = network.sizes[connection.pre], connection.delay_steps - 1
    if not wait:
        return packing.room(*packing.pairs, 0, size)
    if connection.pre == 0:
        before = block.start.history[index].to(packing.device, packing.dtype)
        if not isinstance(block.drive, SpikeDrive):
            return before
        shown = torch.cat([before[0], block.drive.spikes.to(before)], dim=1)[:, -wait:]
        return shown.unsqueeze(0).expand(packing.pairs[0], -1, -1, -1)
    first = layout.rings[index]
    if layout.spiking[connection.pre - 1]:
        width = words(size)
        ring = packing.arrays["ring_words"][..., first : first + wait * width]
        held = unpack_bits(ring.reshape(*packing.pairs, wait, width), size).to(packing.dtype)
    else:
        ring = packing.arrays["ring_values"][..., first : first + wait * size]
        held = ring.reshape(*packing.pairs, wait, size)
    return held.roll(-(block.steps % wait), 2)
