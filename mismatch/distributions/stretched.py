"""A distribution whose deviations are all larger or smaller by one factor."""

from __future__ import annotations

from dataclasses import dataclass
from typing import final

import numpy as np
from numpy.typing import NDArray

from mismatch.distributions.base import Distribution
from mismatch.distributions.normal import FLOOR

__all__ = ["Stretched"]


@final
@dataclass(frozen=True)
class Stretched(Distribution):
    r"""What another distribution draws, its distance from 1 multiplied.

    .. math:: f = \max(1 + s\,(f_0 - 1),\ \mathrm{floor}), \qquad
        \mathrm{floor} = \min(0.05,\ \text{lowest } f_0)

    so that parameters stay positive where they were. Mean and spread are those without the floor.

    Args:
        of: the distribution that is stretched.
        strength: s > 0.
    """

    of: Distribution
    strength: float

    @property
    def mean(self) -> float:
        return 1.0 + self.strength * (self.of.mean - 1.0)

    @property
    def cv(self) -> float:
        """Standard deviation over mean, without the floor."""
        return self.strength * self.of.cv * self.of.mean / self.mean

    @property
    def support(self) -> tuple[float, float]:
        low, high = self.of.support
        return max(1.0 + self.strength * (low - 1.0), self._floor), 1.0 + self.strength * (high - 1.0)

    @property
    def _floor(self) -> float:
        return min(FLOOR, self.of.support[0])

    def draw(self, generator: np.random.Generator, shape: tuple[int, ...]) -> NDArray[np.float64]:
        drawn = 1.0 + self.strength * (self.of.draw(generator, shape) - 1.0)
        return np.asarray(np.maximum(drawn, self._floor))

    def common(self, generator: np.random.Generator) -> float:
        return float(max(1.0 + self.strength * (self.of.common(generator) - 1.0), self._floor))
