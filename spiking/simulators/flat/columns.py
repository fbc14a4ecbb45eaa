"""Where layers lie in flat arrays."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import accumulate
from typing import final

import torch
from torch import Tensor

from spiking.network import Network

__all__ = ["Columns"]


@final
class Columns:
    """Layers 1 to L side by side, each padded with zeros to whole words.

    Args:
        network: whose layers.
        word: neurons of a word.
        dtype: the type that is computed with.
        device: where.
    """

    def __init__(self, network: Network, word: int, dtype: torch.dtype, device: torch.device) -> None:
        self.word, self.dtype, self.device = word, dtype, device
        self.sizes = network.sizes[1:]
        self.words = [self.count(size) for size in self.sizes]
        self.first = [word * start for start in accumulate(self.words, initial=0)][:-1]
        self.total = word * sum(self.words)
        self._places = [slice(a, a + n) for a, n in zip(self.first, self.sizes, strict=True)]

    def count(self, size: int) -> int:
        """Return how many words `size` neurons fill."""
        return -(-size // self.word)

    def place(self, layer: int) -> slice:
        """Return the columns of layer 1 to L."""
        return self._places[layer - 1]

    def to(self, tensor: Tensor) -> Tensor:
        """Return a tensor as a kernel reads it."""
        return tensor.to(self.device, self.dtype).contiguous()

    def own(self, tensor: Tensor) -> Tensor:
        """Return a copy, which a kernel may overwrite."""
        form = torch.contiguous_format
        return tensor.to(self.device, self.dtype, copy=True, memory_format=form)

    def room(self, *shape: int) -> Tensor:
        """Return zeros."""
        return torch.zeros(shape, dtype=self.dtype, device=self.device)

    def join(
        self, parts: Sequence[Tensor], out: Tensor | None = None, layers: Iterable[int] | None = None
    ) -> Tensor:
        """Put one tensor per layer side by side, zeros between them.

        Args:
            parts: ``(..., n)`` each; those of the last layers may be missing.
            out: where to, ``(..., columns)``; new room by default.
            layers: which of ``network.layers`` they are; the first ones by default.
        """
        joined = self.room(*parts[0].shape[:-1], self.total) if out is None else out
        places = self._places if layers is None else [self._places[layer] for layer in layers]
        if joined.device.type == "cpu":  # numpy takes a fifth of PyTorch's time to begin
            array = joined.numpy()
            for part, place in zip(parts, places, strict=False):
                array[..., place] = part.cpu().numpy()
            return joined
        for part, place in zip(parts, places, strict=False):
            joined[..., place] = part
        return joined

    def split(self, array: Tensor) -> tuple[Tensor, ...]:
        """Return the part of every layer."""
        return tuple(array[..., place] for place in self._places)
