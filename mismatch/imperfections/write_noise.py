"""Every write misses a little."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Annotated, ClassVar, final

from mismatch.imperfections.base import Die, Effect, Imperfection, Write
from root.errors import InputError
from root.ranges import SPREAD, check_ranges

__all__ = ["WriteNoise"]


@final
@dataclass(frozen=True)
class WriteNoise(Imperfection, Effect):
    r"""A device that is written gets a new error.

    .. math:: w = w^{wanted} + \sqrt{\sigma^2 + (\rho\, w^{wanted})^2}\; n, \qquad n \sim \mathcal N(0, 1)

    Devices whose target did not change are not written and keep the error they have.

    Source: programming noise as in Joshi et al. 2020, doi:10.1038/s41467-020-16108-9; the sum of a
    constant and a relative part is ours.

    Args:
        std: σ, in units of weights.
        relative: ρ.
    """

    std: Annotated[float, SPREAD] = 0.0
    relative: Annotated[float, SPREAD] = 0.0

    order: ClassVar[int] = 40
    remembers: ClassVar[bool] = True

    def __post_init__(self) -> None:
        check_ranges(self)
        if self.std == self.relative == 0.0:
            raise InputError("std", 0.0, "a number > 0, or relative > 0")

    def on(self, die: Die) -> Effect:
        return self

    def write(self, write: Write) -> Write:
        noise = write.streams.normal("noise", shape=tuple(write.value.shape[1:]))
        size = (self.std**2 + (self.relative * write.value).square()).sqrt()
        return replace(write, value=write.value + size * noise)
