"""What only the kernel leaves: what is under way, in words, and how noise and control go together."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from spiking.blocks.recordings import Outcome
from spiking.blocks.snapshots import oldest_first
from spiking.presentation import SpikeDrive
from spiking.simulators.cuda.layout import unpack_bits
from spiking.simulators.cuda.packing import Packing
from spiking.simulators.flat.outcome import outcome as flat_outcome

__all__ = ["outcome"]


def outcome(packing: Packing) -> Outcome:
    """Return the results of a block, after the kernel has run."""
    history = tuple(_history(packing, index) for index in range(len(packing.flat.network.connections)))
    return flat_outcome(packing.flat, history, correlation=_correlation(packing))


def _correlation(packing: Packing) -> tuple[Tensor, ...]:
    """Return the sums over samples and window that feedback synapses measure; see `Noise`."""
    block, arrays = packing.flat.block, packing.arrays
    if block.noise is None or block.target is None:
        return ()
    control, fed = arrays["r_control"], arrays["r_fed"]
    fast = control
    if block.noise.highpass_ms > 0:
        keep = math.exp(-packing.flat.network.dt_ms / block.noise.highpass_ms)
        slow, slows = control[:, :, 0], []
        for t in range(block.steps):
            slow = control[:, :, t] if t == 0 else control[:, :, t].lerp(slow, keep)
            slows.append(slow)
        fast = control - torch.stack(slows, dim=2)
    weighted = fast * arrays["window"].unsqueeze(-1)
    product = torch.matmul(weighted.flatten(1, 2).transpose(1, 2), fed.flatten(1, 2))
    return packing.flat.columns.split(product)


def _history(packing: Packing, index: int) -> Tensor:
    """Return what is under way on a connection, oldest first; step t used slot ``t % wait``."""
    flat, layout = packing.flat, packing.layout
    connection, block, columns = flat.network.connections[index], flat.block, flat.columns
    size, wait = flat.network.sizes[connection.pre], connection.delay_steps - 1
    if not wait:
        return columns.room(*flat.pairs, 0, size)
    if connection.pre == 0:
        before = columns.to(block.start.history[index])
        if not isinstance(block.drive, SpikeDrive):
            return before
        shown = torch.cat([before[0], block.drive.spikes.to(before)], dim=1)[:, -wait:]
        return shown.unsqueeze(0).expand(flat.pairs[0], -1, -1, -1)
    first = layout.rings[index]
    if layout.spiking[connection.pre - 1]:
        width = columns.count(size)
        ring = packing.arrays["ring_words"][..., first : first + wait * width]
        held = unpack_bits(ring.reshape(*flat.pairs, wait, width), size).to(columns.dtype)
    else:
        ring = packing.arrays["ring_values"][..., first : first + wait * size]
        held = ring.reshape(*flat.pairs, wait, size)
    return oldest_first(held, block.steps)
