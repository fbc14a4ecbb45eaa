"""A block's tensors as the arrays that kernels take; a kernel writes into the tensors."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from spiking.simulators.compiled.arrays import Array, Recorded, Sums
from spiking.simulators.flat.packing import Flat

__all__ = ["Given", "integers"]


def integers(values: Sequence[int] | Sequence[Sequence[int]]) -> Array:
    """Return whole numbers as an array."""
    return np.asarray(values, dtype=np.int64)


class Given:
    """Makes arrays of what is there and of what is not.

    Args:
        flat: the block.
    """

    def __init__(self, flat: Flat) -> None:
        self.flat = flat
        self.kind = np.float64 if flat.columns.dtype == torch.float64 else np.float32

    def __call__(self, tensor: Tensor | None, dimensions: int) -> Array:
        """Return an array that shares a tensor's memory; an empty one, of as many dimensions, for None."""
        return np.zeros((0,) * dimensions, self.kind) if tensor is None else tensor.numpy()

    def numbers(self, values: Sequence[float] | Array) -> Array:
        """Return numbers as an array of the type that is computed with."""
        return np.asarray(values, self.kind)

    def controlled(self) -> Array:
        """Return whether the loop is closed, ``(batch,)``."""
        block = self.flat.block
        return block.controlled.numpy() > 0 if self.flat.loop else np.zeros(block.batch, np.bool_)

    def sums(self) -> Sums:
        """Return what a kernel sums up."""
        flat = self.flat
        return Sums(self(flat.emitted, 3), self(flat.basal, 3), self(flat.control, 3), self(flat.apical, 3))

    def recorded(self) -> Recorded:
        """Return what a kernel records."""
        return Recorded(*(self(self.flat.traces.get(name), 4) for name in Recorded._fields))
