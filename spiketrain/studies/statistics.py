"""The statistics of studies, all in one place: means with intervals, and paired comparisons.

The unit is the chip: seeds of one chip are averaged first, since they are no further chips. What is compared
was done on the same chips, so comparisons are paired.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, final

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray
from scipy import stats

__all__ = [
    "Comparison",
    "Interval",
    "compare_levels",
    "holm",
    "mean_interval",
    "paired",
    "per_chip",
    "summarise",
]

CONFIDENCE = 0.95

FEWEST = 2
"""Values below which there is no interval and no test."""


@final
@dataclass(frozen=True)
class Interval:
    """A mean with its bootstrap interval.

    Args:
        mean: of the values.
        low, high: ends of the interval; NaN for fewer than two values.
        minimum: the lowest value.
        n: number of values.
    """

    mean: float
    low: float
    high: float
    minimum: float
    n: int


@final
@dataclass(frozen=True)
class Comparison:
    r"""A paired comparison of `b` with `a`; differences are b − a.

    Args:
        n: number of pairs.
        difference: mean difference, with its bootstrap interval from `low` to `high`.
        effect: Cohen's :math:`d_z`, mean difference over the standard deviation of the differences; NaN
            like the p-values where the difference is the same on every chip, as without mismatch.
        p_t: two-sided p-value of the paired t test.
        p_wilcoxon: two-sided p-value of Wilcoxon's signed-rank test.
        wins: number of pairs in which b is higher.
    """

    n: int
    difference: float
    low: float
    high: float
    effect: float
    p_t: float
    p_wilcoxon: float
    wins: int


def mean_interval(values: ArrayLike, *, resamples: int = 2000, seed: int = 0) -> Interval:
    """Return the mean of some values and its 95 % bootstrap interval (bias-corrected and accelerated).

    Source: Efron 1987, doi:10.1080/01621459.1987.10478410, as in ``scipy.stats.bootstrap``.

    Args:
        values: one number per chip; NaN are left out.
        resamples: of the bootstrap.
        seed: of the bootstrap.
    """
    x = _finite(values)
    if len(x) == 0:
        return Interval(math.nan, math.nan, math.nan, math.nan, 0)
    low, high = _bootstrap(x, resamples, seed)
    return Interval(float(x.mean()), low, high, float(x.min()), len(x))


def paired(a: ArrayLike, b: ArrayLike, *, resamples: int = 2000, seed: int = 0) -> Comparison:
    """Compare two outcomes of the same chips; see `Comparison`.

    Args:
        a: one number per chip.
        b: the same chips in the same order; a pair with a NaN is left out.
        resamples: of the bootstrap.
        seed: of the bootstrap.
    """
    difference = _finite(np.asarray(b, dtype=float) - np.asarray(a, dtype=float))
    n = len(difference)
    wins = int((difference > 0).sum())
    if n == 0:
        return Comparison(0, *(math.nan,) * 6, 0)
    mean = float(difference.mean())
    if n < FEWEST:
        return Comparison(n, mean, mean, mean, math.nan, math.nan, math.nan, wins)
    if not difference.any():
        return Comparison(n, 0.0, 0.0, 0.0, 0.0, 1.0, 1.0, wins)
    if np.ptp(difference) <= 1e-12 * abs(mean):  # copies of one chip, not a sample: nothing can be tested
        return Comparison(n, mean, mean, mean, math.nan, math.nan, math.nan, wins)
    low, high = _bootstrap(difference, resamples, seed)
    effect = mean / float(difference.std(ddof=1))
    p_t = float(stats.ttest_1samp(difference, 0.0).pvalue)
    p_wilcoxon = float(stats.wilcoxon(difference, zero_method="pratt").pvalue)
    return Comparison(n, mean, low, high, effect, p_t, p_wilcoxon, wins)


def holm(p: Sequence[float]) -> list[float]:
    """Return p-values adjusted for their number; NaN stay and do not count.

    Source: Holm 1979, "A simple sequentially rejective multiple test procedure", Scand. J. Statist. 6:65-70.
    """
    order = sorted((value, index) for index, value in enumerate(p) if not math.isnan(value))
    adjusted, highest = list(p), 0.0
    for rank, (value, index) in enumerate(order):
        highest = max(highest, min(1.0, (len(order) - rank) * value))
        adjusted[index] = highest
    return adjusted


def per_chip(table: pd.DataFrame, groups: Sequence[str], outcome: str) -> pd.DataFrame:
    """Return one value per group and chip, the mean over training seeds.

    Args:
        table: a study's table, a row per cell and chip.
        groups: columns that tell cells apart, but for the seed.
        outcome: the column of values.
    """
    means = table.groupby([*groups, "chip"], sort=False, dropna=False)[outcome].mean()
    return means.reset_index()


def summarise(
    table: pd.DataFrame, groups: Sequence[str], outcome: str, resamples: int = 2000
) -> pd.DataFrame:
    """Return mean, interval and minimum over the chips of every group."""
    values = per_chip(table, groups, outcome)
    rows = []
    for names, group in _groups(values, groups):
        interval = mean_interval(group[outcome], resamples=resamples)
        rows.append(dict(zip(groups, names, strict=True)) | asdict(interval))
    return pd.DataFrame(rows)


def compare_levels(
    table: pd.DataFrame,
    column: str,
    groups: Sequence[str],
    outcome: str,
    *,
    reference: str | None = None,
    resamples: int = 2000,
) -> pd.DataFrame:
    """Compare the levels of a column chip by chip, within every group of the other columns.

    Args:
        table: a study's table.
        column: its levels are compared.
        groups: the other columns that tell cells apart, but for the seed.
        outcome: the column of values.
        reference: the level the others are compared with; None compares all pairs.
        resamples: of the bootstrap.

    Returns:
        a row per group and pair of levels: ``a``, ``b``, the fields of `Comparison`, and ``p_holm``, the
        t test's p-value adjusted for the number of rows.
    """
    values = per_chip(table, [*groups, column], outcome)
    levels = list(dict.fromkeys(values[column]))
    pairs = (
        [(reference, level) for level in levels if level != reference]
        if reference is not None
        else [(a, b) for i, a in enumerate(levels) for b in levels[i + 1 :]]
    )
    rows: list[dict[str, Any]] = []
    for names, group in _groups(values, groups):
        wide = group.pivot_table(index="chip", columns=column, values=outcome, dropna=False)
        for a, b in pairs:
            if a in wide and b in wide:
                found = paired(wide[a], wide[b], resamples=resamples)
                rows.append(dict(zip(groups, names, strict=True)) | {"a": a, "b": b} | asdict(found))
    frame = pd.DataFrame(rows)
    if rows:
        frame["p_holm"] = holm(frame["p_t"].tolist())
    return frame


def _groups(values: pd.DataFrame, groups: Sequence[str]) -> list[tuple[tuple[Any, ...], pd.DataFrame]]:
    if not groups:
        return [((), values)]
    return [(tuple(names), group) for names, group in values.groupby(list(groups), sort=False, dropna=False)]


def _finite(values: ArrayLike) -> NDArray[np.float64]:
    x: NDArray[np.float64] = np.asarray(values, dtype=float)
    finite: NDArray[np.float64] = x[~np.isnan(x)]
    return finite


def _bootstrap(x: NDArray[np.float64], resamples: int, seed: int) -> tuple[float, float]:
    if len(x) < FEWEST:
        return math.nan, math.nan
    if np.ptp(x) == 0:
        return float(x[0]), float(x[0])
    found = stats.bootstrap(
        (x,),
        np.mean,
        confidence_level=CONFIDENCE,
        n_resamples=resamples,
        method="BCa",
        vectorized=True,
        rng=np.random.default_rng(seed),
    ).confidence_interval
    if math.isnan(found.low) or math.isnan(found.high):  # no acceleration from so few values
        return float(x.min()), float(x.max())
    return float(found.low), float(found.high)
