"""Devices that wear out."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import partial
from typing import Annotated, ClassVar, final

from mismatch.distributions.lognormal import Lognormal
from mismatch.imperfections.base import Die, Effect, Imperfection, Write
from root.ranges import SPREAD, WRITES, check_ranges

__all__ = ["Endurance"]


@final
@dataclass(frozen=True)
class Endurance(Imperfection):
    r"""A device keeps its last value for good after a number of writes of its own.

    .. math:: n_i = \bar n f_i, \qquad f_i \text{ lognormal with mean 1}

    Source: endurance of oxide memories, 10^5 to 10^12 writes, Lanza et al. 2021,
    doi:10.1021/acsnano.1c06980; the lognormal spread is our reading.

    Args:
        writes: :math:`\bar n`, mean number of writes.
        cv: spread over devices.
    """

    writes: Annotated[float, WRITES]
    cv: Annotated[float, SPREAD] = 0.3

    order: ClassVar[int] = 50
    remembers: ClassVar[bool] = True

    def __post_init__(self) -> None:
        check_ranges(self)

    def on(self, die: Die) -> Effect:
        return _Lives(self, die)


class _Lives(Effect):
    def __init__(self, endurance: Endurance, die: Die) -> None:
        lives = Lognormal(endurance.cv)
        self.lives = {
            name: endurance.writes * die.streams.draw(partial(lives.draw, shape=shape), name)
            for name, shape in die.synapses().items()
        }

    def write(self, write: Write) -> Write:
        return replace(write, moved=write.moved & (write.count < self.lives[write.name]))
