"""Where connections lie in the kernel's arrays."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import accumulate
from typing import final

import torch
from torch import Tensor

from spiking.blocks.populations import populations
from spiking.network import Network
from spiking.simulators.flat.columns import Columns

__all__ = ["WORD", "Layout", "pack_bits", "unpack_bits"]

WORD = 32
"""Neurons of a warp, whose emissions are the bits of a word."""


@final
class Layout:
    """Connections, in the order of the layers that they reach, and what is under way on them.

    Args:
        network: whose.
        columns: where the layers lie.
    """

    def __init__(self, network: Network, columns: Columns) -> None:
        self.network, self.columns = network, columns
        self.spiking = [layer.neuron.emits_spikes for layer in network.layers]
        connections, sizes = network.connections, network.sizes
        self.order = sorted(range(len(connections)), key=lambda c: connections[c].post)
        """Connections by the layer they reach, as the kernel has them."""
        self.synapses = [sizes[c.pre] * sizes[c.post] for c in connections]
        self.starts = [*accumulate(self.synapses, initial=0)][:-1]
        self.waits = [0 if c.pre == 0 else c.delay_steps - 1 for c in connections]
        self.rings = self._rings()

    def _rings(self) -> list[int]:
        """Return where what is under way starts: in words for layers that spike, in values for others."""
        self.ring_words = self.ring_values = 0
        found = []
        for connection, wait in zip(self.network.connections, self.waits, strict=True):
            size = self.network.sizes[connection.pre]
            if wait and not self.spiking[connection.pre - 1]:
                found.append(self.ring_values)
                self.ring_values += wait * size
            else:
                found.append(self.ring_words)
                self.ring_words += wait * self.columns.count(size)
        return found

    def tables(self) -> dict[str, Tensor]:
        """Return the layout as the kernel's arrays of integers."""
        connections = [self.network.connections[index] for index in self.order]
        reaching = [sum(c.post <= layer for c in connections) for layer in range(self.network.depth + 1)]
        layer_of = [layer for layer, count in enumerate(self.columns.words) for _ in range(count)]
        group = [number for number, own in enumerate(populations(self.network)) for _ in own.layers]
        # a layer's feedback weights have as many rows as there are neurons above it, or outputs
        relayed = [own.inputs * own.outputs for own in self.network.feedback_synapses]
        lists: dict[str, Sequence[int]] = {
            "layer_of": layer_of,
            "first": self.columns.first,
            "size": self.columns.sizes,
            "group": group,
            "spiking": [int(spikes) for spikes in self.spiking],
            "arrives": reaching,
            "pre": [c.pre for c in connections],
            "wait": [self.waits[index] for index in self.order],
            "start": [self.starts[index] for index in self.order],
            "ring": [self.rings[index] for index in self.order],
            "relay_start": [*accumulate(relayed, initial=0)][:-1],
        }
        return {
            name: torch.tensor(list(row), dtype=torch.int32).to(self.columns.device)
            for name, row in lists.items()
        }


def pack_bits(spikes: Tensor) -> Tensor:
    """Return booleans, or 0 and 1, ``(..., n)``, as bits in whole words, ``(..., words)``, int32."""
    size = spikes.shape[-1]
    padded = torch.nn.functional.pad((spikes != 0).to(torch.uint8), (0, -(-size // WORD) * WORD - size))
    eights = padded.view(*padded.shape[:-1], -1, 8)
    places = torch.arange(8, device=spikes.device, dtype=torch.uint8)
    return (eights << places).sum(-1, dtype=torch.uint8).view(torch.int32)


def unpack_bits(packed: Tensor, size: int) -> Tensor:
    """Return what `pack_bits` packed, as 0 and 1 of uint8."""
    eights = packed.contiguous().view(torch.uint8)
    places = torch.arange(8, device=packed.device, dtype=torch.uint8)
    bits = (eights.unsqueeze(-1) >> places) & 1
    return bits.flatten(-2)[..., :size]
