"""The lognormal distribution, given by its coefficient of variation."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Annotated, final

import numpy as np
from numpy.typing import NDArray

from mismatch.distributions.base import Distribution
from root.ranges import SPREAD, check_ranges

__all__ = ["Lognormal"]


@final
@dataclass(frozen=True)
class Lognormal(Distribution):
    r"""The exponential of a normal distribution, with the mean kept at 1.

    .. math::
        f = e^{\sigma z - \sigma^2 / 2}, \qquad \sigma^2 = \ln(1 + cv^2), \quad z \sim \mathcal N(0, 1)

    Currents of transistors below threshold scatter like this, being exponential in a normally
    scattered threshold voltage. Mean 1 and `cv` are exact; support :math:`(0, \infty)`.

    Source: Johnson, Kotz, Balakrishnan, "Continuous Univariate Distributions" (1994), vol. 1, ch. 14.

    Args:
        cv: standard deviation over mean.
    """

    cv: Annotated[float, SPREAD]

    def __post_init__(self) -> None:
        check_ranges(self)

    @property
    def mean(self) -> float:
        return 1.0

    @property
    def support(self) -> tuple[float, float]:
        return (0.0, math.inf) if self.cv else (1.0, 1.0)

    def draw(self, generator: np.random.Generator, shape: tuple[int, ...]) -> NDArray[np.float64]:
        variance = math.log1p(self.cv**2)
        exponents = generator.standard_normal(shape)
        exponents *= math.sqrt(variance)
        exponents -= variance / 2
        return np.exp(exponents, out=exponents)
