"""Weights that are read a little differently every time."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Annotated, ClassVar, final

from torch import Tensor

from mismatch.imperfections.base import Die, Effect, Imperfection, Moment
from mismatch.streams import Streams
from root.ranges import GAIN, check_ranges
from spiking.hardware import Hardware

__all__ = ["ReadNoise"]


@final
@dataclass(frozen=True)
class ReadNoise(Imperfection, Effect):
    r"""Every synapse has a new error in every presentation, the same for all samples of its batch.

    .. math:: w_{read} = w\,(1 + \sigma\, n), \qquad n \sim \mathcal N(0, 1)

    Source: read noise of phase-change memory is proportional to the conductance, Joshi et al. 2020,
    doi:10.1038/s41467-020-16108-9.

    Args:
        std: σ, relative to the weight.
    """

    std: Annotated[float, GAIN]

    order: ClassVar[int] = 85

    def __post_init__(self) -> None:
        check_ranges(self)

    def on(self, die: Die) -> Effect:
        return self

    def read(self, hardware: Hardware, moment: Moment) -> Hardware:
        return replace(
            hardware,
            weights=self._noisy(hardware.weights, moment.streams.child("forward")),
            feedback=self._noisy(hardware.feedback, moment.streams.child("feedback")),
        )

    def _noisy(self, weights: Sequence[Tensor], streams: Streams) -> tuple[Tensor, ...]:
        return tuple(
            weight * streams.normal(index, shape=tuple(weight.shape[1:])).mul_(self.std).add_(1.0)
            for index, weight in enumerate(weights)
        )
