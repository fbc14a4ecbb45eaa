"""Optima at the edge of what was searched: the range may have decided, not the data."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd

from spiketrain.studies.parts import SearchRange

__all__ = ["EDGE", "edge", "searched", "warnings"]

EDGE = 0.05
"""Share of a range that counts as its end."""

COLUMNS = ["candidate", "key", "best", "low", "high", "log", "edge"]


def edge(found: SearchRange, value: Any) -> str:
    """Return ``low`` or ``high`` where a value is within `EDGE` of that end of its range, else nothing.

    Args:
        found: the range, measured as it was searched; choices have no ends.
        value: in it.
    """
    if found.choices or found.low is None or found.high is None:
        return ""
    low, high, at = (math.log(x) if found.log else x for x in (found.low, found.high, float(value)))
    place = (at - low) / (high - low)
    return "low" if place <= EDGE else "high" if place >= 1.0 - EDGE else ""


def searched(best: Sequence[tuple[str, Mapping[str, SearchRange], Mapping[str, Any]]]) -> pd.DataFrame:
    """Return what was searched and what was found, a row per candidate and key.

    Args:
        best: of every candidate, its label, its ranges, and the best values by key.
    """
    rows = [
        (label, key, value, ranges[key].low, ranges[key].high, ranges[key].log, edge(ranges[key], value))
        for label, ranges, values in best
        for key, value in values.items()
    ]
    return pd.DataFrame(rows, columns=COLUMNS)


def warnings(found: pd.DataFrame) -> list[str]:
    """Return a sentence for every value at an end of its range, and one on all others.

    Args:
        found: from `searched`.
    """
    ends = found[found["edge"] != ""]
    said = [
        f"{row['candidate']}: {row['key']} = {row['best']:.4g} is at the {row['edge']} end of its range "
        f"({row['low']:g} to {row['high']:g}): widen it before anything is concluded."
        for _, row in ends.iterrows()
    ]
    return [*said, f"{len(found) - len(ends)} of {len(found)} values found are inside their ranges."]
