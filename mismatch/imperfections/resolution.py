"""Weights of a few bits."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Annotated, ClassVar, Literal, final

from torch import Tensor

from mismatch.imperfections.base import Die, Effect, Imperfection, Write
from root.ranges import BITS, GAIN, check_ranges

__all__ = ["Resolution"]

TINY = 1e-300
"""The distance of two levels where all weights are 0."""


@final
@dataclass(frozen=True)
class Resolution(Imperfection, Effect):
    r"""Stored weights lie on a grid of :math:`2^b - 1` levels, symmetric around 0, and are clipped to it.

    .. math::
        w = \Delta\, \mathrm{round}(w^{asked} / \Delta), \qquad \Delta = \frac{w_{max}}{2^{b-1} - 1},
        \qquad |w| \le w_{max}

    A device that is on its level already is not written. Stochastic rounding goes up with a probability
    equal to the rest, so that the mean is what was asked.

    Source: Gupta et al. 2015, arXiv 1502.02551 (stochastic rounding).

    Args:
        bits: b, sign included, 2 or more.
        range: :math:`w_{max}`, in units of weights; None: at every write the largest weight of a chip's
            matrix, as where a matrix has a scale of its own.
        rounding: ``nearest`` or ``stochastic``.
    """

    bits: Annotated[int, BITS]
    range: Annotated[float, GAIN] | None = None
    rounding: Literal["nearest", "stochastic"] = "nearest"

    order: ClassVar[int] = 20
    remembers: ClassVar[bool] = True

    def __post_init__(self) -> None:
        check_ranges(self)

    def on(self, die: Die) -> Effect:
        return self

    def write(self, write: Write) -> Write:
        levels = 2 ** (self.bits - 1) - 1
        largest = (
            write.value.abs().flatten(1).amax(1)
            if self.range is None
            else write.value.new_full((), self.range)
        )
        step = (largest / levels).clamp(min=TINY).view(-1, *[1] * (write.value.ndim - 1))
        wanted = self._rounded((write.value / step).clamp(-levels, levels), write)
        moved = write.moved
        if write.stored is not None:
            moved = moved & (wanted != (write.stored / step).round())
        return replace(write, value=wanted * step, moved=moved)

    def _rounded(self, levels: Tensor, write: Write) -> Tensor:
        if self.rounding == "nearest":
            return levels.round()
        return (levels + write.streams.uniform("rounding", shape=tuple(levels.shape[1:]))).floor()
