"""Changes too small to be written."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Annotated, ClassVar, final

from mismatch.imperfections.base import Die, Effect, Imperfection, Write
from root.ranges import GAIN, check_ranges

__all__ = ["DeadZone"]


@final
@dataclass(frozen=True)
class DeadZone(Imperfection, Effect):
    r"""A device is left alone where it would change by less than :math:`\theta`.

    .. math:: w_{t+1} = w_t \quad \text{where} \quad |w^{wanted} - w_t| < \theta

    Where values are written, small changes add up in what is asked for until they pass; where increments
    are (``updates``), they are lost, as sub-threshold pulses are.

    Source: programming thresholds of memristive devices, Kvatinsky et al. 2013,
    doi:10.1109/TCSI.2012.2215714.

    Args:
        smallest: θ, in units of weights.
    """

    smallest: Annotated[float, GAIN]

    order: ClassVar[int] = 30
    remembers: ClassVar[bool] = True

    def __post_init__(self) -> None:
        check_ranges(self)

    def on(self, die: Die) -> Effect:
        return self

    def write(self, write: Write) -> Write:
        if write.stored is None:
            return write
        return replace(write, moved=write.moved & ((write.value - write.stored).abs() >= self.smallest))
