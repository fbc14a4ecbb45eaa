"""A figure on a narrow page: its panels one below the other, its letters as large as before."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence

import numpy as np
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.gridspec import GridSpec, SubplotSpec

__all__ = ["NARROW", "legend_below", "stack"]

NARROW = 4.0
"""Width in inches, 288 points: letters of 9 points have 11 pixels where the page leaves 360 for a figure."""

CHARACTERS, TITLE_CHARACTERS, LABEL_CHARACTERS = 52, 42, 22
"""About what fits into a line of the legend, of a title, and beside a panel; a figure's width is `NARROW`."""

KEY_CHARACTERS = 8
"""Width of a legend's key, in characters."""


def stack(figure: Figure) -> None:
    """Lay a figure out anew, for good: `NARROW` inches wide, one panel a row, column by column.

    Panels that shared a label or the numbers of an axis with a neighbour get their own; a legend that
    stood beside a panel stands below all of them.

    Args:
        figure: of panels in a grid.
    """
    high = float(figure.get_size_inches()[1])
    panels = _panels(figure)
    columns = len({spec.colspan.start for _, spec in panels})
    for ax, spec in panels:
        _label(ax, [other for other, place in panels if place.rowspan.start == spec.rowspan.start])
    grid = GridSpec(len(panels), 1, figure=figure, height_ratios=[_height(spec) for _, spec in panels])
    for row, (ax, _) in enumerate(panels):
        ax.set_subplotspec(grid[row, 0])
    longer = max([1.0, *(_wrapped(ax) for ax, _ in panels)])
    lines = _one_legend(figure, [ax for ax, _ in panels])
    figure.set_size_inches(NARROW, high * columns * longer + 0.19 * lines)
    figure.set_layout_engine("constrained")


def legend_below(figure: Figure, handles: Sequence[Artist], labels: Sequence[str], characters: int) -> int:
    """Put one legend below all panels, in as many columns as fit; return how many lines it takes.

    Args:
        figure: where.
        handles: the keys.
        labels: what they mean.
        characters: how many fit into a line.
    """
    if not labels:
        return 0
    fitting = characters // (max(map(len, labels)) + KEY_CHARACTERS)
    wide = max(1, min(4, fitting, len(labels)))
    figure.legend(handles, labels, loc="outside lower center", ncols=wide)
    return -(-len(labels) // wide)


def _panels(figure: Figure) -> list[tuple[Axes, SubplotSpec]]:
    """Return the panels with their places, column by column; places that were left empty go."""
    found = []
    for ax in figure.axes:
        spec = ax.get_subplotspec()
        if not ax.axison or not ax.get_visible():
            ax.remove()
        elif spec is not None:
            found.append((ax, spec))
    return sorted(found, key=lambda panel: (panel[1].colspan.start, panel[1].rowspan.start))


def _height(spec: SubplotSpec) -> float:
    """Return a panel's part of the figure's height."""
    grid = spec.get_gridspec()
    ratios = np.asarray(grid.get_height_ratios(), dtype=float)
    return float(ratios[spec.rowspan.start : spec.rowspan.stop].sum() / ratios.sum())


def _label(ax: Axes, row: Sequence[Axes]) -> None:
    """Give a panel the label and the numbers that it shared with those beside it."""
    ax.yaxis.set_tick_params(labelleft=True)
    if not ax.get_ylabel():
        ax.set_ylabel(next((other.get_ylabel() for other in row if other.get_ylabel()), ""))


def _wrapped(ax: Axes) -> float:
    """Break texts that would be wider than the page; return how much more height that takes."""
    ax.set_title(textwrap.fill(ax.get_title(), TITLE_CHARACTERS))
    said = [text.get_text() for text in ax.get_yticklabels()]
    if max(map(len, said), default=0) <= LABEL_CHARACTERS:
        return 1.0
    texts = [textwrap.fill(text, LABEL_CHARACTERS) for text in said]
    ax.set_yticks(ax.get_yticks(), texts)
    return max([1.0, *(0.7 * (text.count("\n") + 1) for text in texts)])


def _one_legend(figure: Figure, panels: Sequence[Axes]) -> int:
    """Gather the legends below a figure and beside its panels in one that fits; return its lines."""
    found: dict[str, Artist] = {}
    beside = [
        legend
        for ax in panels
        if (legend := ax.get_legend()) is not None and legend.get_bbox_to_anchor() is not ax.bbox
    ]
    for legend in [*figure.legends, *beside]:
        keys = zip(legend.get_texts(), legend.legend_handles, strict=True)
        found |= {text.get_text(): key for text, key in keys if key is not None}
        legend.remove()
    return legend_below(figure, list(found.values()), list(found), CHARACTERS)
