"""Figures of studies: outcomes against what varies, differences with their intervals."""

from __future__ import annotations

import itertools
import re
import textwrap
from collections.abc import Sequence

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, FuncFormatter, NullLocator
from pandas.api.types import is_numeric_dtype

from spiketrain.report.drawing import Drawing
from spiketrain.report.stacking import legend_below
from spiketrain.report.style import INK, blank, colour, stroke

__all__ = ["against", "differences", "legend", "words", "wrapped"]

MARKERS = "osD^vP*X"

TICKS = 6
"""Levels of the abscissa that get a tick each."""

ACCURACIES = (0.1, 0.2, 0.4, 0.6, 0.8, 0.9, 0.95, 0.97, 0.98, 0.99, 0.995, 0.998, 0.999)
"""Ticks of accuracies that are drawn by their odds."""

LEGEND_CHARACTERS = 120
"""What fits into a line of a legend."""

TITLE_CHARACTERS = 84
"""What fits above all the panels beside each other."""

LEGEND_LINE = 0.19
"""Height of a line of a legend, in inches; figures have room for two."""


def against(
    summary: pd.DataFrame, *, x: str, series: Sequence[str], panels: Sequence[str], outcome: str
) -> Drawing:
    """Draw means with their intervals against a column, a line per series and a panel per level.

    Args:
        summary: from `statistics.summarise`.
        x: column along the abscissa.
        series: columns whose combinations are lines.
        panels: columns that get a panel per level: none, one, or one for the rows and one for the columns.
        outcome: what the means are of.
    """
    levels = list(itertools.product(*(dict.fromkeys(summary[name]) for name in panels)))
    columns = summary[panels[1]].nunique() if len(panels) > 1 else min(3, len(levels))
    lines = list(dict.fromkeys(_called(row, series) for _, row in summary.iterrows()))
    rows = -(-len(levels) // columns)
    figure, axes = blank(rows, columns, 0.6 + 2.9 * rows, sharey=True)
    places = [ax for row in axes for ax in row]
    spread = _spread(summary, outcome)
    for ax, level in zip(places, levels, strict=False):
        part = summary
        for name, value in zip(panels, level, strict=True):
            part = part[part[name] == value]
        _lines(ax, part, x, series, lines)
        if spread:
            _by_odds(ax)
        if is_numeric_dtype(part[x]) and part[x].nunique() <= TICKS:
            ax.set_xticks(sorted(part[x].unique()))  # what was computed, not what lies between
        ax.set_xlabel(words(x))
        said = ", ".join(f"{words(name)}: {value}" for name, value in zip(panels, level, strict=True))
        ax.set_title(wrapped(said, columns))
    for ax in places[len(levels) :]:
        ax.set_axis_off()
    for row in axes:
        row[0].set_ylabel(words(outcome))
    legend(figure)
    last = summary[summary[x] == summary[x].max()]
    ends = "; ".join(
        f"{_called(row, [*series, *panels])} {row['mean']:.3f} ({row['low']:.3f} to {row['high']:.3f})"
        for _, row in last.iterrows()
    )
    return Drawing(
        re.sub(r"\W+", "_", f"{outcome}_against_{x}"),
        f"{words(outcome).capitalize()} against {words(x)}",
        f"At {words(x)} {summary[x].max()}: {ends}.",
        "Means over the chips with 95 % bootstrap intervals."
        + (" The axis is that of odds." if spread else ""),
        figure,
        summary,
    )


def _spread(summary: pd.DataFrame, outcome: str) -> bool:
    """Return whether an outcome is drawn by its odds: good accuracies differ by what is still wrong."""
    means = summary["mean"].dropna()
    return outcome.endswith("accuracy") and bool(means.between(0.0, 1.0, inclusive="neither").all())


def _by_odds(ax: Axes) -> None:
    """Draw accuracies on a logit axis, with ticks that say what they are."""
    ax.set_yscale("logit", nonpositive="clip")
    ax.yaxis.set_major_locator(FixedLocator(ACCURACIES))
    ax.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    ax.yaxis.set_minor_locator(NullLocator())


def wrapped(title: str, columns: int) -> str:
    """Return a panel's title in lines as wide as one of so many panels beside each other."""
    return textwrap.fill(title, TITLE_CHARACTERS // columns)


def legend(figure: Figure) -> None:
    """Put one legend below all panels, with every line that any has; a long one makes the figure higher."""
    drawn = {
        label: line for ax in figure.axes for line, label in zip(*ax.get_legend_handles_labels(), strict=True)
    }
    lines = legend_below(figure, list(drawn.values()), list(drawn), LEGEND_CHARACTERS)
    wide, high = figure.get_size_inches()
    figure.set_size_inches(wide, high + LEGEND_LINE * max(0, lines - 2))


def _lines(ax: Axes, part: pd.DataFrame, x: str, series: Sequence[str], lines: Sequence[str]) -> None:
    """Draw a panel; a line looks the same in all of them."""
    groups = [group for _, group in part.groupby(list(series), sort=False)] if series else [part]
    for group in groups:
        ordered = group.sort_values(x)
        label = _called(ordered.iloc[0], series)
        index = lines.index(label)
        style = {
            "color": colour(index),
            "linestyle": stroke(index),
            "marker": MARKERS[index % len(MARKERS)],
            "markersize": 4,
        }
        ax.plot(ordered[x], ordered["mean"], label=label or "all", **style)  # type: ignore[arg-type]
        known = ordered.dropna(subset=["low", "high"])
        ax.fill_between(known[x], known["low"], known["high"], color=colour(index), alpha=0.18, linewidth=0)


def differences(tests: pd.DataFrame, groups: Sequence[str], outcome: str) -> Drawing:
    """Draw paired differences with their intervals, a row per comparison.

    Args:
        tests: from `statistics.compare_levels`.
        groups: columns that tell the comparisons apart.
        outcome: what is compared.
    """
    shown = tests.head(60)
    figure, axes = blank(1, 1, 0.9 + 0.26 * len(shown))
    ax = axes[0][0]
    places = range(len(shown))
    labels = [
        f"{row['b']} − {row['a']}" + "".join(f", {words(g)} {row[g]}" for g in groups)
        for _, row in shown.iterrows()
    ]
    for place, (_, row) in zip(places, shown.iterrows(), strict=True):
        certain = row["p_holm"] < 0.05
        ax.plot([row["low"], row["high"]], [place, place], color=colour(0), linewidth=2)
        ax.plot(
            row["difference"],
            place,
            "o",
            color=colour(0),
            markersize=6,
            markerfacecolor=None if certain else "none",
        )
    ax.axvline(0.0, color=INK, linewidth=0.8)
    ax.set_yticks(list(places), labels)
    ax.invert_yaxis()
    ax.set_xlabel(f"difference in {words(outcome)}")
    count = int((tests["p_holm"] < 0.05).sum())
    return Drawing(
        "differences",
        "Paired differences",
        f"{count} of {len(tests)} differences have an adjusted p below 0.05.",
        "Mean differences chip by chip with 95 % bootstrap intervals; filled where p (Holm) < 0.05.",
        figure,
        tests,
    )


def words(name: str) -> str:
    """Return a column's name as one would say it."""
    return name.replace("_", " ")


def _called(row: pd.Series, columns: Sequence[str]) -> str:
    return ", ".join(str(row[name]) for name in columns)
