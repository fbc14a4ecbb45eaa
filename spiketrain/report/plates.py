"""A figure as a page shows it: wide or narrow as there is room, and with its numbers inside."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import final

import pandas as pd

from spiketrain.record.tables import table_text
from spiketrain.report.drawing import Drawing
from spiketrain.report.stacking import stack

__all__ = ["Plate", "embedded", "plate"]

MOST_BYTES = 200_000
"""A larger table would make the page too heavy for a letter; it is beside the page."""


@final
@dataclass(frozen=True)
class Plate:
    """A figure of a page.

    Args:
        drawing: what it is.
        wide: the element for a page on which it fits.
        narrow: the element for a telephone: the panels below each other, the letters as large.
        files: names of its files in the folder ``figures``.
        data: its numbers as an address that holds them; empty where they are too many.
    """

    drawing: Drawing
    wide: str
    narrow: str
    files: Sequence[str]
    data: str


def plate(drawing: Drawing, folder: Path, kinds: Sequence[str] = ("svg", "png")) -> Plate:
    """Write a figure's files, and return what a page needs to show it.

    The figure is laid out anew, narrow, and not for further use.

    Args:
        drawing: the figure.
        folder: where ``NAME.svg`` and so on are written; ``NAME.csv`` is always.
        kinds: of files, as in `Drawing.write`.
    """
    svg = drawing.svg()
    drawing.save(folder, svg, kinds)
    stack(drawing.figure)
    return Plate(
        drawing,
        drawing.inline(svg, "wide"),
        drawing.inline(drawing.svg(), "narrow"),
        [f"{drawing.name}.{kind}" for kind in (*kinds, "csv")],
        embedded(drawing.data),
    )


def embedded(table: pd.DataFrame) -> str:
    """Return a table as an address that a browser saves it from, or nothing where it is too large."""
    content = table_text(table).encode()
    if len(content) > MOST_BYTES:
        return ""
    return f"data:text/csv;base64,{base64.b64encode(content).decode()}"
