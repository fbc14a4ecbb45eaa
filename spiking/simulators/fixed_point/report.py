"""What quantisation changed: every rounding and every clip, counted."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from torch import Tensor

__all__ = ["Rounding", "compare"]


@dataclass(frozen=True)
class Rounding:
    """The values of one parameter of one layer or connection, on all chips.

    Args:
        where: whose they are.
        name: the parameter.
        values: how many.
        rounded: how many are not what they were before.
        clipped: how many lay outside the register's range and were moved to its end.
        relative_error: root mean square of the change, divided by that of the values.
        worst: the largest change, in the parameter's own unit.
    """

    where: str
    name: str
    values: int
    rounded: int
    clipped: int
    relative_error: float
    worst: float


def compare(where: str, name: str, wanted: Tensor, got: Tensor, clipped: int = 0) -> Rounding:
    """Describe how `got` differs from `wanted`."""
    change = (got - wanted).abs()
    size = float(wanted.square().mean().sqrt()) if wanted.numel() else 0.0
    error = float(change.square().mean().sqrt()) if wanted.numel() else 0.0
    return Rounding(
        where=where,
        name=name,
        values=wanted.numel(),
        rounded=int((change > 0).sum()),
        clipped=clipped,
        relative_error=error / size if size else 0.0,
        worst=float(change.max()) if wanted.numel() else 0.0,
    )


def total(rows: Iterable[Rounding], name: str) -> int:
    """Return the sum of a column over all rows."""
    return sum(int(getattr(row, name)) for row in rows)
