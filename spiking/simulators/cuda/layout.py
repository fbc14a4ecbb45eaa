"""Where layers and connections lie in the kernel's arrays."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import accumulate
from typing import final

import torch
from torch import Tensor

from spiking.network import Network

__all__ = ["WORD", "Layout", "pack_bits", "unpack_bits", "words"]

WORD = 32
"""Neurons of a warp, whose emissions are the bits of a word."""


@final
class Layout:
    """Layers 1 to L side by side, each padded to whole words.

    Args:
        network: whose layers.
        groups: per layer 1 to L, which of the kernel's models it is of.
    """

    def __init__(self, network: Network, groups: Sequence[int]) -> None:
        self.network, self.sizes = network, network.sizes[1:]
        self.words = [words(size) for size in self.sizes]
        self.first = [WORD * start for start in accumulate(self.words, initial=0)][:-1]
        self.columns = WORD * sum(self.words)
        self.spiking = [layer.neuron.emits_spikes for layer in network.layers]
        self.groups = list(groups)
        connections = network.connections
        self.order = sorted(range(len(connections)), key=lambda c: connections[c].post)
        """Connections by the layer they reach, as the kernel has them."""
        sizes = network.sizes
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
            if connection.pre > 0 and not self.spiking[connection.pre - 1]:
                found.append(self.ring_values)
                self.ring_values += wait * size
            else:
                found.append(self.ring_words)
                self.ring_words += wait * words(size)
        return found

    def tables(self, device: torch.device) -> dict[str, Tensor]:
        """Return the layout as the kernel's arrays of integers."""
        connections = [self.network.connections[index] for index in self.order]
        reaching = [sum(c.post <= layer for c in connections) for layer in range(self.network.depth + 1)]
        layer_of = [layer for layer, count in enumerate(self.words) for _ in range(count)]
        # a layer's feedback weights have as many rows as there are neurons above it, or outputs
        relayed = [own.inputs * own.outputs for own in self.network.feedback_synapses]
        lists: dict[str, Sequence[int]] = {
            "layer_of": layer_of,
            "first": self.first,
            "size": self.sizes,
            "group": self.groups,
            "spiking": [int(spikes) for spikes in self.spiking],
            "arrives": reaching,
            "pre": [c.pre for c in connections],
            "wait": [self.waits[index] for index in self.order],
            "start": [self.starts[index] for index in self.order],
            "ring": [self.rings[index] for index in self.order],
            "relay_start": [*accumulate(relayed, initial=0)][:-1],
        }
        return {name: torch.tensor(list(row), dtype=torch.int32).to(device) for name, row in lists.items()}

    def join(self, parts: Sequence[Tensor], out: Tensor) -> Tensor:
        """Write one tensor per layer side by side into `out`, whose padding stays as it is."""
        for part, first, size in zip(parts, self.first, self.sizes, strict=False):
            out[..., first : first + size] = part
        return out

    def split(self, array: Tensor) -> tuple[Tensor, ...]:
        """Return the part of every layer."""
        return tuple(
            array[..., first : first + size] for first, size in zip(self.first, self.sizes, strict=True)
        )


def words(size: int) -> int:
    """Return how many words `size` neurons fill."""
    return -(-size // WORD)


def pack_bits(spikes: Tensor) -> Tensor:
    """Return booleans, or 0 and 1, ``(..., n)``, as bits in whole words, ``(..., words)``, int32."""
    size = spikes.shape[-1]
    padded = torch.nn.functional.pad((spikes != 0).to(torch.uint8), (0, WORD * words(size) - size))
    eights = padded.view(*padded.shape[:-1], -1, 8)
    places = torch.arange(8, device=spikes.device, dtype=torch.uint8)
    return (eights << places).sum(-1, dtype=torch.uint8).view(torch.int32)


def unpack_bits(packed: Tensor, size: int) -> Tensor:
    """Return what `pack_bits` packed, as 0 and 1 of uint8."""
    eights = packed.contiguous().view(torch.uint8)
    places = torch.arange(8, device=packed.device, dtype=torch.uint8)
    bits = (eights.unsqueeze(-1) >> places) & 1
    return bits.flatten(-2)[..., :size]
