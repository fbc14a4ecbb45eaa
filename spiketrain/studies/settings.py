"""Settings that a search found: ``tune`` writes them down, and a study is computed with them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from textwrap import indent
from typing import Any

import pandas as pd

from root.errors import InputError
from spiketrain.reading import dump_yaml
from spiketrain.record.files import write_text
from spiketrain.studies.edges import edge
from spiketrain.studies.parts import Found, GridAxis, Settings

__all__ = ["EDGE_MARK", "SETTINGS", "check_settings", "settings_of", "settings_table", "write_settings"]

SETTINGS = "settings.yaml"
"""What `tune` calls the file in its folder."""

EDGE_MARK = "*"


def write_settings(path: Path, settings: Settings) -> None:
    """Write what a search found, for the key ``tuned`` of a study."""
    said = f"# What spiketrain tune found in study {settings.study}: {settings.trials} trials each.\n"
    content = settings.model_dump(mode="json", exclude_defaults=True)
    listed = [
        indent(dump_yaml(one), "  ") for one in content.pop("found")
    ]  # a candidate is a block, to be read
    write_text(path, said + dump_yaml(content) + "found:\n" + "".join(f"- {text[2:]}" for text in listed))


def settings_of(settings: Settings, columns: Mapping[str, Any]) -> Found:
    """Return what was found for a cell: by the candidate that has most of the cell's columns.

    Args:
        settings: what a search found.
        columns: what the study's table says about the cell.

    Raises:
        InputError: no candidate is the cell: all are compared at equal tuning, or none.
    """
    fitting = [one for one in settings.found if one.columns.items() <= dict(columns).items()]
    if not fitting:
        said = ", ".join(f"{name}: {value}" for name, value in columns.items())
        allowed = "settings for every cell: what is compared has been searched with as many trials"
        raise InputError("tuned", f"none for {said}", allowed, "Search with it, or leave it out by keep.")
    return max(fitting, key=lambda one: len(one.columns))


def check_settings(settings: Settings, grid: Mapping[str, GridAxis]) -> None:
    """Raise `InputError` where a grid varies what was searched: its cells would all have the value found."""
    varied = {key for axis in grid.values() for key in axis.keys}
    for found in settings.found:
        for key in sorted(varied & found.values.keys()):
            raise InputError(
                f"tuned: {key}", found.values[key], "a key that no grid varies", f"Take {key} out of one."
            )


def settings_table(settings: Settings, cells: Sequence[Mapping[str, Any]]) -> pd.DataFrame:
    """Return what was searched and found for the cells of a study, as texts: a row per candidate.

    A value within `edges.EDGE` of an end of its range is marked: the range may have decided, not the data.

    Args:
        settings: what a search found.
        cells: their columns; candidates that none of them is are left out.
    """
    used = {id(settings_of(settings, columns)) for columns in cells}
    found = [one for one in settings.found if id(one) in used]
    rows = [
        {name: str(value) for name, value in one.columns.items()}
        | {"validation": f"{one.validation:.4f}"}
        | {key: _said(one, key) for key in one.values}
        for one in found
    ]
    return pd.DataFrame(rows).fillna("–")


def _said(found: Found, key: str) -> str:
    """Return a value with the range it was found in."""
    value, within = found.values[key], found.ranges.get(key)
    text = f"{value:.3g}" if isinstance(value, float) else str(value)
    if within is None:
        return text
    if within.choices:
        return f"{text} of {', '.join(map(str, within.choices))}"
    mark = EDGE_MARK if edge(within, value) else ""
    return f"{text}{mark} ({within.low:g} to {within.high:g})"
