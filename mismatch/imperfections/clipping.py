"""Weights of bounded size."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Annotated, ClassVar, final

from mismatch.imperfections.base import Die, Effect, Imperfection, Write
from root.ranges import GAIN, check_ranges

__all__ = ["Clipping"]


@final
@dataclass(frozen=True)
class Clipping(Imperfection, Effect):
    r"""No device stores more than its range, :math:`|w| \le w_{max}`.

    Bounded weights take away the cheap way out of additive noise, which is to grow (Büchel et al. 2022,
    arXiv 2106.05009, supplement).

    Args:
        range: :math:`w_{max}`, in units of weights.
    """

    range: Annotated[float, GAIN]

    order: ClassVar[int] = 15
    remembers: ClassVar[bool] = True

    def __post_init__(self) -> None:
        check_ranges(self)

    def on(self, die: Die) -> Effect:
        return self

    def write(self, write: Write) -> Write:
        return replace(write, value=write.value.clamp(-self.range, self.range))
