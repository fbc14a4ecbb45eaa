"""Two kinds of devices."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Annotated, final

import numpy as np
from numpy.typing import NDArray

from mismatch.distributions.base import Distribution, check_cv
from root.ranges import INNER, SPREAD, check_ranges

__all__ = ["TwoPoint"]


@final
@dataclass(frozen=True)
class TwoPoint(Distribution):
    r"""A device is either high or low.

    .. math::
        f = 1 + cv \sqrt{(1 - p) / p} \text{ with probability } p, \qquad
        f = 1 - cv \sqrt{p / (1 - p)} \text{ otherwise}

    Mean 1 and `cv` are exact; the support is the two values, positive for
    :math:`cv < \sqrt{(1 - p) / p}`.

    Args:
        cv: standard deviation over mean.
        high_fraction: p, the expected fraction of high devices, in (0, 1).
    """

    cv: Annotated[float, SPREAD]
    high_fraction: Annotated[float, INNER] = 0.5

    def __post_init__(self) -> None:
        check_ranges(self)
        widest = math.sqrt((1 - self.high_fraction) / self.high_fraction)
        check_cv(self.cv, widest, "A smaller high_fraction allows a larger cv")

    @property
    def mean(self) -> float:
        return 1.0

    @property
    def support(self) -> tuple[float, float]:
        odds = math.sqrt(self.high_fraction / (1 - self.high_fraction))
        return 1 - self.cv * odds, 1 + self.cv / odds

    def draw(self, generator: np.random.Generator, shape: tuple[int, ...]) -> NDArray[np.float64]:
        low, high = self.support
        return np.where(generator.random(shape) < self.high_fraction, high, low)
