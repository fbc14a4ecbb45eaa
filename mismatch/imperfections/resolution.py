"""Weights of a few bits."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar, Literal, final

from torch import Tensor

from mismatch.imperfections.base import Die, Effect, Imperfection, Write, check_positive
from rate_bridge.errors import InputError

__all__ = ["Resolution"]


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
        range: :math:`w_{max}`, in units of weights.
        rounding: ``nearest`` or ``stochastic``.
    """

    bits: int
    range: float
    rounding: Literal["nearest", "stochastic"] = "nearest"

    order: ClassVar[int] = 20
    remembers: ClassVar[bool] = True

    def __post_init__(self) -> None:
        if not 2 <= self.bits <= 24:
            raise InputError("bits", self.bits, "2 to 24")
        check_positive(range=self.range)

    @property
    def step(self) -> float:
        """Δ, the distance of two levels."""
        return float(self.range / (2 ** (self.bits - 1) - 1))

    def on(self, die: Die) -> Effect:
        return self

    def write(self, write: Write) -> Write:
        levels = write.value.clamp(-self.range, self.range) / self.step
        wanted = self._rounded(levels, write)
        moved = write.moved
        if write.stored is not None:
            moved = moved & (wanted != (write.stored / self.step).round())
        return replace(write, value=wanted * self.step, moved=moved)

    def _rounded(self, levels: Tensor, write: Write) -> Tensor:
        if self.rounding == "nearest":
            return levels.round()
        return (levels + write.streams.uniform("rounding", shape=tuple(levels.shape[1:]))).floor()
