"""How figures look: colours that can be told apart in the light, in the dark and by the colour-blind."""

from __future__ import annotations

from typing import Any, cast

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure

__all__ = ["CYCLE", "GRID", "INK", "MUTED", "PAPER", "RC", "THEMED", "blank", "colour", "drawn"]

# Stand-ins that appear nowhere else; on the page they become CSS variables, see `THEMED`.
INK, MUTED, GRID, PAPER = "#1b1e23", "#80868d", "#dfe2e6", "#fefeff"

THEMED = {INK: "var(--ink)", MUTED: "var(--muted)", GRID: "var(--grid)", PAPER: "var(--paper)"}
"""Colour in a figure's file to what replaces it on the page."""

CYCLE = ("#0a7abf", "#d55e00", "#009e73", "#cc6fa3", "#d79a00", "#45a5dd", "#8a63c9", "#7a8b2f")
"""After Okabe and Ito, "Color Universal Design" (2008), moved towards equal contrast on white and black."""

RC: dict[str, Any] = {
    "axes.axisbelow": True,
    "axes.edgecolor": MUTED,
    "axes.facecolor": "none",
    "axes.grid": True,
    "axes.labelcolor": INK,
    "axes.labelsize": 10,
    "axes.spines.right": False,
    "axes.spines.top": False,
    "axes.titlecolor": INK,
    "axes.titlesize": 10,
    "axes.titleweight": "bold",
    "figure.facecolor": PAPER,
    "font.family": "sans-serif",
    "font.size": 10,
    "grid.color": GRID,
    "grid.linewidth": 0.8,
    "legend.fontsize": 9,
    "legend.frameon": False,
    "lines.linewidth": 1.5,
    "lines.solid_capstyle": "round",
    "svg.fonttype": "path",
    "svg.hashsalt": "spiketrain",
    "text.color": INK,
    "xtick.color": MUTED,
    "xtick.labelcolor": INK,
    "xtick.labelsize": 9,
    "ytick.color": MUTED,
    "ytick.labelcolor": INK,
    "ytick.labelsize": 9,
}
"""Settings of matplotlib, to be used in a context."""


def drawn() -> Any:
    """Return a context in which figures look as those of a run; what the user set does not matter."""
    return mpl.rc_context(cast(Any, {**mpl.rcParamsDefault, "backend": mpl.rcParams["backend"], **RC}))


def colour(index: int) -> str:
    """Return the colour of the index-th of several equal things."""
    return CYCLE[index % len(CYCLE)]


def blank(rows: int, columns: int, height: float, **shared: Any) -> tuple[Figure, list[list[Axes]]]:
    """Return an empty figure of the page's width and its axes by row and column.

    Args:
        rows: rows of axes.
        columns: columns of axes.
        height: of the whole figure, in inches; it is 8.4 inches wide.
        **shared: ``sharex``, ``sharey``, ``height_ratios`` as in matplotlib.
    """
    figure = Figure(figsize=(8.4, height), layout="constrained")
    axes = figure.subplots(rows, columns, squeeze=False, **shared)
    return figure, [list(row) for row in axes]
