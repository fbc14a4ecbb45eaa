"""How figures look: colours that can be told apart in the light, in the dark and by the colour-blind."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any, cast

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import is_color_like, to_hex, to_rgba, to_rgba_array
from matplotlib.figure import Figure

__all__ = [
    "CYCLE",
    "DARK",
    "GRID",
    "INK",
    "MUTED",
    "PAPER",
    "RC",
    "THEMED",
    "blank",
    "colour",
    "drawn",
    "dressed",
    "stroke",
]

# Stand-ins that appear nowhere else; on the page they become CSS variables, see `THEMED`.
INK, MUTED, GRID, PAPER = "#1b1e23", "#80868d", "#dfe2e6", "#fefeff"

THEMED = {INK: "var(--ink)", MUTED: "var(--muted)", GRID: "var(--grid)", PAPER: "var(--paper)"}
"""Colour in a figure's file to what replaces it on the page."""

DARK = {INK: "#e6e8eb", MUTED: "#9aa1a9", GRID: "#353b43", PAPER: "#15181c"}
"""The same for a dark background, as on the page in the dark."""

CYCLE = ("#0a7abf", "#d55e00", "#009e73", "#cc6fa3", "#d79a00", "#45a5dd", "#8a63c9", "#7a8b2f")
"""After Okabe and Ito, "Color Universal Design" (2008), moved towards equal contrast on white and black."""

STROKES = ("-", "-.", ":")

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
    "text.parse_math": False,  # names are shown as they are, dollar signs too
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


@contextmanager
def dressed(figure: Figure, *, dark: bool) -> Iterator[None]:
    """Let a figure's ink be that of a dark background for a while; colours with a meaning stay."""
    undo: list[Callable[[], object]] = []
    for artist in figure.findobj() if dark else ():
        for kind in ("color", "facecolor", "edgecolor", "markerfacecolor", "markeredgecolor"):
            get, put = getattr(artist, f"get_{kind}", None), getattr(artist, f"set_{kind}", None)
            was = get() if get is not None and put is not None else None
            now = _in_the_dark(was)
            if put is not None and now is not None:
                undo.append(partial(put, was))
                put(now)
    try:
        yield
    finally:
        for back in reversed(undo):
            back()


def _in_the_dark(was: Any) -> Any:
    """Return what ink, grid or paper are in the dark, with the same opacity; None for other colours."""
    if was is None or not np.size(was) or not is_color_like(was if isinstance(was, str | tuple) else was[0]):
        return None
    shades = to_rgba_array(was)
    known = {to_hex(light): dark for light, dark in DARK.items()}
    names = {to_hex(shade) for shade in shades}
    if len(names) != 1 or names.isdisjoint(known):
        return None
    return to_rgba(known[names.pop()], float(shades[0, 3]))


def colour(index: int) -> str:
    """Return the colour of the index-th of several equal things."""
    return CYCLE[index % len(CYCLE)]


def stroke(index: int) -> str:
    """Return the style of a line, by which those of one colour are told apart."""
    return STROKES[index // len(CYCLE) % len(STROKES)]


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
