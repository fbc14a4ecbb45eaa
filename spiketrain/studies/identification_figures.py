"""Figures of identification: what is known against the batches shown, and neuron by neuron."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Any

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator

from spiketrain.report.drawing import Drawing
from spiketrain.report.style import INK, blank, colour

__all__ = ["progress_curves", "scatter"]

SCATTERED = 6
"""Panels of the scatter plot."""

CURVES = (("angle_1", "angle of Q to Jᵀ (°)"), ("gain_r2_identified_1", "R² of the gains"))


def progress_curves(progress: pd.DataFrame, columns: Sequence[str], panels: Sequence[str]) -> Drawing:
    """Draw angle and R² against the batches shown, a row per level of `panels`.

    Args:
        progress: a row per cell, moment and chip.
        columns: what tells cells apart.
        panels: those of them that get rows of their own; the others are lines.
    """
    data = progress[progress["epoch"] == 0]
    series = [name for name in columns if name not in panels]
    levels = list(itertools.product(*(dict.fromkeys(data[name]) for name in panels)))
    lines = list(dict.fromkeys(data[series].itertuples(index=False, name=None))) if series else [()]
    figure, axes = blank(len(levels), len(CURVES), 1.0 + 2.8 * len(levels), sharex=True, sharey="col")
    for row, level in zip(axes, levels, strict=True):
        part = data
        for name, value in zip(panels, level, strict=True):
            part = part[part[name] == value]
        for ax, (measure, label) in zip(row, CURVES, strict=True):
            _curves(ax, part, series, lines, measure)
            ax.set_ylabel(label)
            ax.set_title(", ".join(str(value) for value in level))
        row[1].axhline(0.0, color=INK, linewidth=0.6)
    for ax in axes[-1]:
        ax.set_xlabel("batches shown")
        ax.xaxis.set_major_locator(MaxNLocator(6, integer=True))
    figure.legend(*axes[0][0].get_legend_handles_labels(), loc="outside lower center", ncols=3)
    last = data[data["batch"] == data["batch"].max()]["angle_1"]
    return Drawing(
        "identification",
        "Identification",
        f"The angle of Q to the true response ends between {last.min():.1f} and {last.max():.1f} degrees.",
        "First hidden layer. Means over the chips; bands from the lowest to the highest chip.",
        figure,
        data,
    )


def _curves(
    ax: Axes, part: pd.DataFrame, series: list[str], lines: list[tuple[Any, ...]], measure: str
) -> None:
    """Draw a panel; a line looks the same in all of them."""
    groups = part.groupby(series, sort=False, dropna=False) if series else [((), part)]
    for names, group in groups:
        index = lines.index(names)
        means = group.groupby("batch")[measure].agg(["mean", "min", "max"])
        name = ", ".join(str(n) for n in names) or "all"
        ax.plot(means.index, means["mean"], marker="o", markersize=3, color=colour(index), label=name)
        ax.fill_between(means.index, means["min"], means["max"], color=colour(index), alpha=0.15, linewidth=0)


def scatter(gains: pd.DataFrame, columns: Sequence[str]) -> Drawing:
    """Draw the gains that the controller knows against the true ones, neuron by neuron.

    Args:
        gains: a row per cell, chip, layer and neuron.
        columns: what tells cells apart.
    """
    first = gains[gains["layer"] == 1]
    groups = list(first.groupby(list(columns), sort=False, dropna=False)) if columns else [((), first)]
    shown = groups[-SCATTERED:]
    wide = min(3, len(shown))
    rows = -(-len(shown) // wide)
    figure, axes = blank(rows, wide, 0.6 + 2.8 * rows)
    places = [ax for row in axes for ax in row]
    for ax, (names, group) in zip(places, shown, strict=False):
        for index, source in enumerate(("identified", "nominal")):
            style = {"color": colour(index), "alpha": 0.6, "markersize": 4}
            ax.plot(group["true"], _matched(group, source), ".", label=source, **style)  # type: ignore[arg-type]
        ax.axline((0.0, 0.0), slope=1.0, color=INK, linewidth=0.6)
        ax.set_title(", ".join(str(n) for n in names))
        ax.set_xlabel("true gain")
    for ax in places[len(shown) :]:
        ax.set_axis_off()
    axes[0][0].set_ylabel("gain known to the controller")
    figure.legend(*axes[0][0].get_legend_handles_labels(), loc="outside lower center", ncols=2)
    return Drawing(
        "gains",
        "Gains of single neurons",
        f"{len(first)} gains on {first['chip'].nunique()} chips: known to the controller, and true.",
        "First hidden layer, after identification; known gains are scaled to the true ones.",
        figure,
        gains,
    )


def _matched(group: pd.DataFrame, source: str) -> Any:
    """Return known gains on the true ones' scale: feedback weights have a scale of their own."""
    x, y = group[source], group["true"]
    return x * float((x * y).sum()) / max(float((x * x).sum()), 1e-300)
