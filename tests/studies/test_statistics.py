"""Statistics against closed forms."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from spiketrain.studies.statistics import compare_levels, holm, mean_interval, paired, per_chip, summarise

RNG = np.random.default_rng(1)


def test_the_interval_is_that_of_the_normal_distribution() -> None:
    """For many normal values the bootstrap's interval is mean ± 1.96 σ/√n."""
    x = RNG.normal(3.0, 2.0, 2000)
    found = mean_interval(x, resamples=4000)
    half = 1.96 * x.std(ddof=1) / math.sqrt(len(x))
    assert found.mean == pytest.approx(x.mean())
    assert found.low == pytest.approx(x.mean() - half, abs=0.1 * half)
    assert found.high == pytest.approx(x.mean() + half, abs=0.1 * half)
    assert (found.minimum, found.n) == (x.min(), 2000)


def test_the_interval_covers_the_mean_as_often_as_it_says() -> None:
    """Over 200 samples of 20 the 95 % interval holds the true mean in 95 % of them, to chance."""
    hits = 0
    for number in range(200):
        found = mean_interval(RNG.normal(0.0, 1.0, 20), resamples=300, seed=number)
        hits += found.low <= 0.0 <= found.high
    assert 0.87 <= hits / 200 <= 0.99


def test_few_values() -> None:
    assert math.isnan(mean_interval([1.0]).low)
    assert mean_interval([]).n == 0
    same = mean_interval([2.0, 2.0, math.nan])
    assert (same.low, same.high, same.n) == (2.0, 2.0, 2)


def test_the_paired_t_test_in_closed_form() -> None:
    """t = d̄ / (s/√n) with n − 1 degrees of freedom; for n = 2 it is Cauchy: p = 1 − (2/π) atan t."""
    a, b = np.array([1.0, 2.0]), np.array([2.0, 5.0])  # differences 1 and 3: t = 2 / (√2/√2) = 2
    found = paired(a, b)
    assert found.difference == 2.0
    assert found.effect == pytest.approx(2.0 / math.sqrt(2.0))
    assert found.p_t == pytest.approx(1.0 - 2.0 / math.pi * math.atan(2.0))
    assert (found.n, found.wins) == (2, 2)


def test_the_signed_rank_test_in_closed_form() -> None:
    """All of n differences positive: p = 2 / 2ⁿ."""
    a = np.zeros(8)
    found = paired(a, np.arange(1.0, 9.0))
    assert found.p_wilcoxon == pytest.approx(2.0 / 2**8)


def test_pairing_removes_what_the_chips_have_in_common() -> None:
    chips = RNG.normal(0.0, 1.0, 12)
    better = chips + 0.1 + 0.02 * RNG.normal(size=12)
    assert paired(chips, better).p_t < 1e-6
    assert stats.ttest_ind(chips, better).pvalue > 0.3


def test_differences_without_spread() -> None:
    assert paired([1.0, 2.0], [1.0, 2.0]).p_t == 1.0
    copies = paired([1.0, 2.0, 4.0], [1.5, 2.5, 4.5])
    assert (copies.difference, copies.low, copies.high, copies.wins) == (0.5, 0.5, 0.5, 3)
    assert math.isnan(copies.p_t), "chips without mismatch are copies of one, not a sample"
    assert math.isnan(paired([1.0], [2.0]).p_t)
    assert paired([math.nan], [2.0]).n == 0


def test_the_adjustment_for_many_tests() -> None:
    """Holm's own scheme: the k-th smallest of m times m − k + 1, never falling."""
    assert holm([0.01, 0.04, 0.03, math.nan])[:3] == pytest.approx([0.03, 0.06, 0.06])
    assert holm([0.6, 0.9]) == [1.0, 1.0]


def table() -> pd.DataFrame:
    rows = []
    for rule, gain in (("bp", 0.0), ("dfc", 0.05)):
        for sigma in (0.1, 0.3):
            for seed in (0, 1):
                rows += [
                    {
                        "rule": rule,
                        "sigma": sigma,
                        "seed": seed,
                        "chip": c,
                        "test_accuracy": 0.9 - sigma + gain + 0.01 * c * seed,
                    }
                    for c in range(5)
                ]
    return pd.DataFrame(rows)


def test_seeds_are_no_further_chips() -> None:
    assert len(per_chip(table(), ["rule", "sigma"], "test_accuracy")) == 2 * 2 * 5
    assert summarise(table(), ["rule", "sigma"], "test_accuracy")["n"].tolist() == [5] * 4


def test_levels_are_compared_within_groups() -> None:
    found = compare_levels(table(), "rule", ["sigma"], "test_accuracy")
    assert found[["sigma", "a", "b"]].values.tolist() == [[0.1, "bp", "dfc"], [0.3, "bp", "dfc"]]
    assert found["difference"].tolist() == pytest.approx([0.05, 0.05])
    turned = compare_levels(table(), "rule", ["sigma"], "test_accuracy", reference="dfc")
    assert turned["difference"].tolist() == pytest.approx([-0.05, -0.05])
