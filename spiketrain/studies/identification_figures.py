"""Figures of identification: what is known against the batches shown, and neuron by neuron."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Any

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from spiketrain.report.drawing import Drawing
from spiketrain.report.style import INK, blank, colour
from spiketrain.studies.figures import legend

__all__ = ["progress_curves", "scatter", "training_curves"]

SCATTERED = 6
"""Panels of the scatter plot."""

BANDS = "Means over the chips; bands from the lowest to the highest chip."

LABELS = {"batch": "batches shown", "epoch": "epochs trained"}

SHOWN = (("angle_1", "angle of Q to Jᵀ (°)"), ("gain_r2_identified_1", "R² of the gains"))
"""What is drawn against the batches shown; of the first hidden layer."""

TRAINED = (
    ("angle_q_jt", "angle of Q to Jᵀ (°)"),
    ("angle_q_jpinv", "angle of Q to J⁺ (°)"),
    ("c2_ratio", "condition 2"),
    ("min_re_eig_jq", "smallest eigenvalue of JQ"),
)
"""What is drawn against the epochs trained; of all layers together."""


def progress_curves(progress: pd.DataFrame, columns: Sequence[str], panels: Sequence[str]) -> Drawing:
    """Draw angle and R² against the batches shown before training, a row per level of `panels`.

    Args:
        progress: a row per cell, moment and chip.
        columns: what tells cells apart.
        panels: those of them that get rows of their own; the others are lines.
    """
    data = progress[progress["epoch"] == 0]
    figure = _drawn(data, "batch", SHOWN, columns, panels)
    for ax in figure.axes[1::2]:
        ax.axhline(0.0, color=INK, linewidth=0.6)
    last = data[data["batch"] == data["batch"].max()]["angle_1"]
    return Drawing(
        "identification",
        "Identification",
        f"The angle of Q to the true response ends between {last.min():.1f} and {last.max():.1f} degrees.",
        f"First hidden layer. {BANDS}",
        figure,
        data,
    )


def training_curves(progress: pd.DataFrame, columns: Sequence[str], panels: Sequence[str]) -> Drawing:
    """Draw how Q fits the true response while the weights are trained; see `progress_curves`.

    Epoch 0 is the end of identification. Condition 2 is the share of Q in the row space of J, 1 where
    the controller finds the smallest currents that reach the target; condition 1 asks that the
    eigenvalues of JQ have positive real parts, so that the loop is stable.

    Source: Meulemans et al. 2021, arXiv:2106.07887, conditions 1 and 2.
    """
    moments = progress.sort_values(["epoch", "batch"], kind="stable")
    data = moments.groupby([*columns, "chip", "epoch"], sort=False, dropna=False).tail(1)
    figure = _drawn(data, "epoch", TRAINED, columns, panels)
    for ax in figure.axes[3::4]:
        ax.axhline(0.0, color=INK, linewidth=0.6)
    last = data[data["epoch"] == data["epoch"].max()]
    return Drawing(
        "training",
        "While the weights are trained",
        f"After training the angle of Q to Jᵀ is between {last['angle_q_jt'].min():.1f} and "
        f"{last['angle_q_jt'].max():.1f} degrees, condition 2 between {last['c2_ratio'].min():.2f} and "
        f"{last['c2_ratio'].max():.2f}.",
        f"All layers. {BANDS}",
        figure,
        data,
    )


def _drawn(
    data: pd.DataFrame,
    x: str,
    curves: Sequence[tuple[str, str]],
    columns: Sequence[str],
    panels: Sequence[str],
) -> Figure:
    """Draw the measures `curves` against `x`: a column per measure, a row per level of `panels`."""
    series = [name for name in columns if name not in panels]
    levels = list(itertools.product(*(dict.fromkeys(data[name]) for name in panels)))
    lines = list(dict.fromkeys(data[series].itertuples(index=False, name=None))) if series else [()]
    figure, axes = blank(len(levels), len(curves), 1.0 + 2.8 * len(levels), sharex=True, sharey="col")
    for row, level in zip(axes, levels, strict=True):
        part = data
        for name, value in zip(panels, level, strict=True):
            part = part[part[name] == value]
        for ax, (measure, label) in zip(row, curves, strict=True):
            _curves(ax, part, x, measure, series=series, lines=lines)
            ax.set_ylabel(label)
            ax.set_title(", ".join(str(value) for value in level))
    for ax in axes[-1]:
        ax.set_xlabel(LABELS[x])
        ax.xaxis.set_major_locator(MaxNLocator(6, integer=True))
    legend(figure)
    return figure


def _curves(
    ax: Axes,
    part: pd.DataFrame,
    x: str,
    measure: str,
    *,
    series: Sequence[str],
    lines: Sequence[tuple[Any, ...]],
) -> None:
    """Draw a panel; a line looks the same in all of them."""
    groups = part.groupby(list(series), sort=False, dropna=False) if series else [((), part)]
    for names, group in groups:
        index = lines.index(names)
        means = group.groupby(x)[measure].agg(["mean", "min", "max"])
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
    legend(figure)
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
