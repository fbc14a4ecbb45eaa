"""One table over several studies: the same arms on several tasks."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pandas as pd
from matplotlib.ticker import LogLocator, NullLocator

from root.errors import InputError
from spiketrain.report.drawing import Drawing
from spiketrain.report.style import blank, colour, drawn
from spiketrain.studies.figures import MARKERS, legend, words
from spiketrain.studies.finished import Finished, markdown
from spiketrain.studies.results import Built, files_of
from spiketrain.studies.statistics import summarise

__all__ = ["join"]

MOVING = "*"
"""Marks what was still moving in the last quarter of its training."""

LEAST = 1e-4
"""The smallest error that is drawn: a logarithm has no zero."""


def join(folders: Mapping[str, Path], name: str, keep: Mapping[str, Any]) -> Built:
    """Return one table and one figure: a row per level of what is compared, a column per study.

    Args:
        folders: what a column is called to the study's folder.
        name: how the figure is called.
        keep: column to the one level of it that counts, in the studies that have the column.

    Raises:
        InputError: a folder has nothing finished, the studies compare different things, or something but
            what they compare varies after `keep`.
    """
    found = {called: Finished.read(root) for called, root in folders.items()}
    compared = {called: one.part.compare for called, one in found.items()}
    column = next(iter(compared.values()))
    for called, other in compared.items():
        if other != column:
            raise InputError("folders", f"{called} compares {other}", f"studies that compare {column}")
    for key in keep:
        if not any(key in one.groups for one in found.values()):
            allowed = ", ".join(dict.fromkeys(group for one in found.values() for group in one.groups))
            raise InputError("--keep", key, f"what one of the studies varies: {allowed}")
    parts = {called: _summary(called, one, column, keep) for called, one in found.items()}
    levels = dict.fromkeys(level for part in parts.values() for level in part.index)
    rows = pd.DataFrame(
        [
            {words(column): level} | {called: _said(part, level) for called, part in parts.items()}
            for level in levels
        ]
    )
    kept = ", ".join(f"{words(key)} {value}" for key, value in keep.items())
    said = f"Means over chips and training seeds{f' at {kept}' if kept else ''}, worst chips in brackets"
    lead = f"{said}; {MOVING} where a run's curve was not flat over its last quarter."
    about = "\n".join(f"- {called}: {one.about()}" for called, one in found.items())
    with drawn():
        figures = files_of(name, [_drawing(parts, list(levels), column)])
    return Built(f"{lead}\n\n{about}\n\n{markdown(rows)}\n", figures)


def _summary(called: str, found: Finished, column: str, keep: Mapping[str, Any]) -> pd.DataFrame:
    """Return a row per level: ``mean``, ``low``, ``high``, ``minimum`` and whether it has ``converged``."""
    table = found.table
    for key, value in keep.items():
        if key in found.groups:
            table = table[table[key].map(str) == str(value)]
    for other in found.groups:
        if other != column and table[other].nunique(dropna=False) > 1:
            several = ", ".join(map(str, table[other].unique()))
            fix = f"Choose one by --keep {other}=..."
            raise InputError(f"{called}: {other}", several, "one level of all that is not compared", fix)
    if not len(table):
        given = ", ".join(f"{key}={value}" for key, value in keep.items())
        raise InputError("--keep", given, f"levels that {called} has finished cells of")
    summary = summarise(table, [column], found.part.outcome, found.part.resamples).set_index(column)
    over = found.over["converged"]
    settled = {level: bool(over.loc[own["cell"].unique()].all()) for level, own in table.groupby(column)}
    return summary.assign(converged=pd.Series(settled))


def _said(part: pd.DataFrame, level: str) -> str:
    if level not in part.index:
        return "–"
    row = part.loc[level]
    return f"{row['mean']:.4f} ({row['minimum']:.4f}){'' if row['converged'] else MOVING}"


def _drawing(parts: Mapping[str, pd.DataFrame], levels: list[str], column: str) -> Drawing:
    """Draw one minus the outcome, a row a level and a mark a study."""
    figure, axes = blank(1, 1, 0.9 + 0.27 * len(levels))
    ax = axes[0][0]
    for index, (called, part) in enumerate(parts.items()):
        places = [levels.index(level) + 0.18 * (index - (len(parts) - 1) / 2) for level in part.index]
        error = (1.0 - part[["mean", "low", "high"]]).clip(lower=LEAST)
        ax.plot(
            error["mean"],
            places,
            linestyle="",
            marker=MARKERS[index % len(MARKERS)],
            markersize=5,
            color=colour(index),
            label=called,
        )
        ax.hlines(places, error["high"], error["low"], color=colour(index), linewidth=1.4)
    ax.set_xscale("log")
    ax.xaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0)))
    ax.xaxis.set_minor_locator(NullLocator())
    ax.set_xlabel("one minus the score")
    ax.set_yticks(range(len(levels)), levels)
    ax.invert_yaxis()
    legend(figure)
    best = "; ".join(
        f"{called}: {part['mean'].idxmax()} {part['mean'].max():.3f}" for called, part in parts.items()
    )
    data = pd.concat({called: part.reset_index() for called, part in parts.items()}, names=["study"])
    return Drawing(
        "studies",
        f"What is left, by {words(column)}",
        f"Best: {best}.",
        "Means over the chips with 95 % bootstrap intervals; further left is better.",
        figure,
        data.reset_index("study").reset_index(drop=True),
    )
