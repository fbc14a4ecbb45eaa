"""The truncated normal distribution."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property
from typing import Annotated, final

import numpy as np
from numpy.typing import NDArray
from scipy import special

from mismatch.distributions.base import Distribution, check_cv
from root.ranges import CUT, SPREAD, check_ranges

__all__ = ["FLOOR", "Normal"]

FLOOR = 0.05
"""Smallest factor a normal draw may give: no device has a time constant or a threshold of zero."""


@final
@dataclass(frozen=True)
class Normal(Distribution):
    r"""A normal distribution around 1, cut symmetrically and widened so that `cv` is what comes out.

    .. math::
        f = 1 + \sigma z, \quad z \sim \mathcal N(0, 1) \text{ given } |z| \le a, \qquad
        a = \min\left(\mathrm{limit}, \frac{1 - 0.05}{\sigma}\right)

    with :math:`\sigma` such that :math:`\sigma \sqrt{1 - 2 a \varphi(a) / (2 \Phi(a) - 1)} = cv`. For
    ``cv: 0.2`` and the default limit, :math:`\sigma` is 0.20011. Mean 1 and `cv` are exact; the support is
    :math:`1 \pm \sigma a`. The cut at 0.05 begins to bind at cv 0.24, and as cv grows to
    :math:`0.95/\sqrt 3 = 0.548` the shape becomes flat: wider ones do not exist.

    Source: Johnson, Kotz, Balakrishnan, "Continuous Univariate Distributions" (1994), vol. 1, ch. 13.10.

    Args:
        cv: standard deviation over mean, after the cut.
        limit: where the tails are cut, in standard deviations of the uncut distribution.
    """

    cv: Annotated[float, SPREAD]
    limit: Annotated[float, CUT] = 4.0

    def __post_init__(self) -> None:
        check_ranges(self)
        widest = (1 - FLOOR) / math.sqrt(3)
        check_cv(self.cv, widest - 1e-3, "Wider positive mismatch needs distribution: lognormal")

    @property
    def mean(self) -> float:
        return 1.0

    @property
    def support(self) -> tuple[float, float]:
        reach = self.sigma * self.cut if self.cv else 0.0
        return 1 - reach, 1 + reach

    @cached_property
    def sigma(self) -> float:
        """Standard deviation of the normal distribution before the cut."""
        sigma = self.cv / _shrinkage(self.limit)
        if sigma * self.limit <= 1 - FLOOR:
            return sigma
        from scipy import optimize  # noqa: PLC0415 (a wide distribution alone needs it, and it loads long)

        excess = lambda s: s * _shrinkage((1 - FLOOR) / s) - self.cv  # noqa: E731
        return float(optimize.brentq(excess, self.cv, 1e3, xtol=1e-15))

    @cached_property
    def cut(self) -> float:
        """Where the tails are cut, in units of `sigma`."""
        return min(self.limit, (1 - FLOOR) / self.sigma) if self.cv else self.limit

    def draw(self, generator: np.random.Generator, shape: tuple[int, ...]) -> NDArray[np.float64]:
        if self.cut < 1:  # most would be thrown away: invert instead
            tail = special.ndtr(-self.cut)
            return np.asarray(1 + self.sigma * special.ndtri(generator.uniform(tail, 1 - tail, shape)))
        scores = generator.standard_normal(shape).reshape(-1)
        while (outside := np.flatnonzero(np.abs(scores) > self.cut)).size:
            scores[outside] = generator.standard_normal(outside.size)
        scores *= self.sigma
        scores += 1
        return scores.reshape(shape)

    def of_scores(self, scores: NDArray[np.float64]) -> NDArray[np.float64]:
        """Turn standard normal numbers into factors of this distribution, keeping their order."""
        if not self.cv:
            return np.ones_like(scores)
        tail = special.ndtr(-self.cut)
        inside = special.ndtri(tail + special.ndtr(scores) * (1 - 2 * tail))
        return np.asarray(1 + self.sigma * np.clip(inside, -self.cut, self.cut))


def _shrinkage(cut: float) -> float:
    """Return the standard deviation of a standard normal variable cut at ± `cut`."""
    if cut < 1e-2:  # the closed form cancels; series around the uniform distribution
        return cut / math.sqrt(3) * (1 - cut**2 / 15)
    density = math.exp(-(cut**2) / 2) / math.sqrt(2 * math.pi)
    return math.sqrt(1 - 2 * cut * density / math.erf(cut / math.sqrt(2)))
