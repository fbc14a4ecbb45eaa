"""A block's tensors as the arrays that kernels take; a kernel writes into the tensors."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import cache
from itertools import accumulate
from typing import Annotated, Any, TypeVar, get_args, get_origin, get_type_hints

import numpy as np
import torch
from torch import Tensor

from spiking.blocks.bound import drives
from spiking.blocks.snapshots import oldest_first
from spiking.simulators.compiled.arrays import Array, Recorded
from spiking.simulators.flat.packing import Flat

__all__ = ["Given", "histories", "integers", "starts"]

Kind = TypeVar("Kind")


def integers(values: Sequence[int] | Sequence[Sequence[int]]) -> Array:
    """Return whole numbers as an array."""
    return np.asarray(values, dtype=np.int64)


def starts(sizes: Sequence[int]) -> Array:
    """Return where each of some stretches begins that lie one after the other."""
    return integers([*accumulate(sizes, initial=0)][:-1])


@cache
def _dimensions(kind: Any) -> Mapping[str, int]:
    hints = get_type_hints(kind, include_extras=True).items()
    return {name: get_args(hint)[1] if get_origin(hint) is Annotated else 0 for name, hint in hints}


class Given:
    """Makes arrays of what is there and of what is not.

    Args:
        flat: the block.
    """

    def __init__(self, flat: Flat) -> None:
        self.flat = flat
        self.kind = np.float64 if flat.columns.dtype == torch.float64 else np.float32

    def of(self, kind: Callable[..., Kind], **own: Any) -> Kind:
        """Return a tuple of arrays; they share the tensors' memory, and what is None is an empty one.

        Args:
            kind: which; its annotations say how many dimensions an empty array has.
            own: fields by name; the others are what the block calls so.
        """
        arrays = {}
        for name, dimensions in _dimensions(kind).items():
            value = own[name] if name in own else getattr(self.flat, name)
            if value is None:
                value = np.zeros((0,) * dimensions, self.kind)
            arrays[name] = value.numpy() if isinstance(value, Tensor) else value
        return kind(**arrays)

    def numbers(self, values: Sequence[float] | Array) -> Array:
        """Return numbers as an array of the type that is computed with."""
        return np.asarray(values, self.kind)

    def controlled(self) -> Array:
        """Return whether the loop is closed, ``(batch,)``."""
        block = self.flat.block
        return block.controlled.numpy() > 0 if self.flat.loop else np.zeros(block.batch, np.bool_)

    def in_windows(self) -> dict[str, Tensor | None]:
        """Return what is summed up, with an axis for the windows, and the read-out trace at their ends."""
        flat = self.flat
        sums = {name: getattr(flat, name) for name in ("emitted", "basal", "control", "apical")}
        rows = {
            name: part if part is None else part.view(*flat.pairs, flat.block.windows, -1)
            for name, part in sums.items()
        }
        return {**rows, "ends": flat.trace.unsqueeze(2).clone() if flat.ends is None else flat.ends}

    def recorded(self) -> Recorded:
        """Return what a kernel records."""
        return self.of(Recorded, **{name: self.flat.traces.get(name) for name in Recorded._fields})


def histories(flat: Flat, under_way: Array) -> tuple[Tensor, ...]:
    """Return what is still under way on every connection, after a kernel has run.

    Args:
        flat: the block.
        under_way: what the kernel kept, ``(chips, batch, total)``, in words of bytes or as numbers.
    """
    found, first, columns = [], 0, flat.columns
    kept = torch.from_numpy(under_way.view(np.uint8) if columns.word > 1 else under_way)
    for connection in flat.network.connections:
        wait, size = connection.delay_steps - 1, flat.network.sizes[connection.pre]
        width = columns.word * columns.count(size)
        part = kept[..., first : first + wait * width]
        ring = part.reshape(*part.shape[:2], wait, width)[..., :size]
        moved = ring if drives(connection, flat.block) else oldest_first(ring, flat.block.steps)
        found.append(moved.to(columns.dtype))
        first += wait * width
    return tuple(found)
