"""The uniform distribution, given by its coefficient of variation."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Annotated, final

import numpy as np
from numpy.typing import NDArray

from mismatch.distributions.base import Distribution, check_cv
from root.ranges import SPREAD, check_ranges

__all__ = ["Uniform"]


@final
@dataclass(frozen=True)
class Uniform(Distribution):
    r"""All factors between two bounds are equally likely.

    .. math::
        f \sim \mathcal U(1 - h, 1 + h), \qquad h = \sqrt 3\, cv

    Mean 1 and `cv` are exact; support :math:`[1 - h, 1 + h]`, positive for cv below
    :math:`1/\sqrt 3 = 0.577`.

    Args:
        cv: standard deviation over mean.
    """

    cv: Annotated[float, SPREAD]

    def __post_init__(self) -> None:
        check_ranges(self)
        check_cv(self.cv, 1 / math.sqrt(3), "Wider positive mismatch needs distribution: lognormal")

    @property
    def mean(self) -> float:
        return 1.0

    @property
    def support(self) -> tuple[float, float]:
        half = math.sqrt(3) * self.cv
        return 1 - half, 1 + half

    def draw(self, generator: np.random.Generator, shape: tuple[int, ...]) -> NDArray[np.float64]:
        low, high = self.support
        return generator.uniform(low, high, shape)
