"""The nearest shipped distribution to measured values."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, final

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from mismatch.distributions import DieShift, Distribution, Lognormal, Normal, Uniform
from mismatch.measurement.reading import Quantity
from root.errors import InputError

__all__ = ["Fit", "fit"]

DRAWN = 20_000
"""Values that a distribution is drawn for, to be held against the measured ones."""

CANDIDATES: dict[str, type[Normal] | type[Lognormal] | type[Uniform]] = {
    "normal": Normal,
    "lognormal": Lognormal,
    "uniform": Uniform,
}
"""Distributions that a spread alone describes."""

SIGNIFICANT = 0.01
"""Probability by chance at which dies count as shifted against each other."""


@final
@dataclass(frozen=True)
class Fit:
    """A distribution that fits.

    Args:
        entry: what a config says of it.
        distance: Kolmogorov and Smirnov's: the largest difference between the two distribution functions.
        noise: that distance which a sample of this size has by chance in one of twenty cases.
    """

    entry: dict[str, Any]
    distance: float
    noise: float


def fit(quantity: Quantity) -> Fit:
    r"""Return the nearest of the shipped distributions to a quantity's values over their mean.

    Mean and spread are those of the values; between shapes the Kolmogorov-Smirnov distance decides. Where
    dies differ by more than their devices explain (analysis of variance), the common factor of a die is
    apart (`die_shift`), and the shape is that of what is left.

    Source: Massey 1951, doi:10.1080/01621459.1951.10500769, for the distance and its noise,
    :math:`1.36/\sqrt n` at 5 %.

    Args:
        quantity: what was measured; of operating points all are taken together.
    """
    factors = quantity.factors
    shifts = _shifts(factors)
    if shifts is None:
        return _nearest(factors[np.isfinite(factors)])
    means = np.array([np.nanmean(die) for die in factors])
    local = factors / means.reshape(-1, *([1] * (factors.ndim - 1)))
    found = _nearest(local[np.isfinite(local)])
    return Fit(
        {"distribution": "die_shift", "shift_cv": shifts, "local": found.entry}, found.distance, found.noise
    )


def _shifts(factors: NDArray[np.float64]) -> float | None:
    """Return the spread of the dies' means beyond chance, or None where there is none."""
    rows = [die[np.isfinite(die)] for die in factors]
    if len(rows) < 3 or min(len(row) for row in rows) < 2:
        return None
    if float(stats.f_oneway(*rows).pvalue) > SIGNIFICANT:
        return None
    means = np.array([row.mean() for row in rows])
    chance = float(np.mean([row.var(ddof=1) / len(row) for row in rows]))
    shift = math.sqrt(max(float(means.var(ddof=1)) - chance, 0.0)) / float(means.mean())
    try:
        DieShift(_rounded(shift))
    except InputError:
        return None
    return _rounded(shift)


def _nearest(values: NDArray[np.float64]) -> Fit:
    cv = _rounded(float(values.std(ddof=1) / values.mean()))
    noise = 1.36 / math.sqrt(len(values))
    found = []
    for name, kind in CANDIDATES.items():
        try:
            candidate: Distribution = kind(cv)
        except InputError:  # so wide that factors would be negative
            continue
        drawn = candidate.draw(np.random.default_rng(0), (DRAWN,))
        distance = float(stats.ks_2samp(values / values.mean(), drawn).statistic)
        found.append(Fit({"distribution": name, "cv": cv}, distance, noise))
    return min(found, key=lambda one: one.distance)


def _rounded(value: float) -> float:
    return float(f"{value:.4g}")
