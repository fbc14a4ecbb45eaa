"""The page of a study: figures, tests, tables and provenance, complete without network or scripts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, final

import pandas as pd

from spiketrain.record.files import write_text
from spiketrain.record.provenance import provenance
from spiketrain.record.tables import table_text
from spiketrain.report.drawing import Drawing
from spiketrain.report.plates import embedded, plate
from spiketrain.report.style import drawn
from spiketrain.report.templates import render

__all__ = ["Page", "Sheet", "drawn"]

ROWS = 200
"""Rows of a table that the page shows; the file has all of them."""


@final
@dataclass(frozen=True)
class Sheet:
    """A table of the page, also written as CSV.

    Args:
        name: its file name without the ending.
        title: its heading.
        caption: how to read it.
        data: the table.
    """

    name: str
    title: str
    caption: str
    data: pd.DataFrame

    @property
    def shown(self) -> list[list[tuple[str, bool]]]:
        """The first rows as texts, each with whether it is a number."""
        return [[_cell(value) for value in row] for row in self.data.head(ROWS).itertuples(index=False)]

    @property
    def embedded(self) -> str:
        """The table as an address that holds it, or nothing where it is too large."""
        return embedded(self.data)

    @property
    def numeric(self) -> list[bool]:
        """Whether a column holds numbers."""
        return [pd.api.types.is_numeric_dtype(kind) for kind in self.data.dtypes]


@final
@dataclass(frozen=True)
class Page:
    """What a study adds up to.

    Args:
        title: the page's heading.
        lead: one sentence on what was done.
        findings: what came out, sentences.
        tiles: words to figures at the top.
        drawings: the figures.
        sheets: the tables.
        config: the study's config as text.
        commits: commits that the cells were computed at.
    """

    title: str
    lead: str
    findings: Sequence[str] = ()
    tiles: Sequence[tuple[str, str]] = ()
    drawings: Sequence[Drawing] = ()
    sheets: Sequence[Sheet] = ()
    config: str = ""
    commits: Sequence[str] = field(default_factory=tuple)

    def write(self, root: Path) -> Path:
        """Write ``report.html``, ``figures/`` (SVG, PNG, PDF and CSV) and ``tables/`` into `root`."""
        figures, tables = root / "figures", root / "tables"
        figures.mkdir(exist_ok=True)
        tables.mkdir(exist_ok=True)
        shown = []
        with drawn():
            for drawing in self.drawings:
                shown.append(plate(drawing, figures, ("svg", "png", "pdf")))
        for sheet in self.sheets:
            write_text(tables / f"{sheet.name}.csv", table_text(sheet.data))
        path = root / "report.html"
        write_text(path, render("study.html", page=self, shown=shown, made=provenance()))
        return path


def _cell(value: Any) -> tuple[str, bool]:
    if isinstance(value, float):
        return ("–" if pd.isna(value) else f"{value:.4g}"), True
    return ("–" if value is None or value is pd.NA else str(value)), isinstance(value, int)
