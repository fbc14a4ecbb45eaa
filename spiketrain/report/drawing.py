"""A figure with everything that belongs to it: title, words for those who cannot see it, and its data."""

from __future__ import annotations

import io
import re
from collections.abc import Sequence
from dataclasses import dataclass
from os import PathLike
from pathlib import Path
from typing import final

import pandas as pd
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine
from matplotlib.ticker import LogFormatter, StrMethodFormatter

from root.errors import InputError
from spiketrain.record.files import write_bytes
from spiketrain.record.tables import table_text
from spiketrain.report.playing import Playing
from spiketrain.report.style import THEMED, drawn, dressed

__all__ = ["Drawing", "Omitted"]


def _write_out_powers(figure: Figure) -> None:
    """Write out the powers of ten at logarithmic axes: an exponent could not be read on a narrow page."""
    for axis in (axis for one in figure.axes for axis in (one.xaxis, one.yaxis)):
        if axis.get_scale() == "log":
            axis.set_major_formatter(StrMethodFormatter("{x:g}"))
            axis.set_minor_formatter(LogFormatter(labelOnlyBase=False, minor_thresholds=(1.5, 0.5)))


@final
@dataclass(frozen=True)
class Omitted:
    """A figure that does not apply to this run.

    Args:
        title: what would have been shown.
        reason: why it is not, a sentence.
    """

    title: str
    reason: str


@final
@dataclass(frozen=True)
class Drawing:
    """A figure of the report.

    Args:
        name: its file name without the ending.
        title: its heading.
        alt: what it shows, for those who cannot see it.
        caption: how to read it.
        figure: the drawing.
        data: its numbers, tidy: one observation a row.
        playing: the panels over time that play, or None; pictures of points stand still.
    """

    name: str
    title: str
    alt: str
    caption: str
    figure: Figure
    data: pd.DataFrame
    playing: Playing | None = None

    def __post_init__(self) -> None:
        _write_out_powers(self.figure)

    def svg(self) -> str:
        """Return the figure as a file's content; the same figure always gives the same text."""
        text = io.StringIO()
        with drawn():
            self._lay_out()
            self.figure.savefig(text, format="svg", metadata={"Date": None})
        svg = text.getvalue()
        return svg if self.playing is None else self.playing.over(svg, self.figure)

    def _lay_out(self) -> None:
        """Give everything its place, once: matplotlib would do so for each format, and draw all in vain."""
        engine = self.figure.get_layout_engine()
        if engine is not None:
            engine.execute(self.figure)
            self.figure.set_layout_engine(None)

    def png(self) -> bytes:
        """Return the figure as a picture of points."""
        content = io.BytesIO()
        with drawn():
            self.figure.savefig(content, format="png", dpi=160, metadata={"Software": None})
        return content.getvalue()

    def _repr_png_(self) -> bytes:
        return self.png()

    def write(self, path: str | PathLike[str], *, dark: bool = False) -> Path:
        """Write the figure, or its numbers, into a file.

        Args:
            path: its ending says which: svg, png, pdf or csv.
            dark: for a slide with a dark background.
        """
        target = Path(path)
        kind = target.suffix.removeprefix(".").lower()
        if kind not in ("svg", "png", "pdf", "csv"):
            raise InputError("path", str(path), "a file that ends in .svg, .png, .pdf or .csv")
        if isinstance(self.figure.get_layout_engine(), ConstrainedLayoutEngine):
            self.svg()  # laid out, with all the marks on its axes
        with dressed(self.figure, dark=dark):
            write_bytes(target, self._content(kind))
        return target

    def _content(self, kind: str) -> bytes:
        if kind == "png":
            return self.png()
        if kind == "pdf":
            content = io.BytesIO()
            with drawn():
                self.figure.savefig(content, format="pdf", metadata={"CreationDate": None})
            return content.getvalue()
        return (self.svg() if kind == "svg" else table_text(self.data)).encode()

    def save(self, folder: Path, svg: str, kinds: Sequence[str]) -> None:
        """Write a figure whose SVG is there already, and its numbers.

        Args:
            folder: where to.
            svg: what `svg` returned.
            kinds: endings of the files, as of `write`.
        """
        for kind in (*kinds, "csv"):
            content = svg.encode() if kind == "svg" else self._content(kind)
            write_bytes(folder / f"{self.name}.{kind}", content)

    def inline(self, svg: str, layout: str) -> str:
        """Return `svg` as an element of the page: themed, with names of its own, nothing external.

        Args:
            svg: what `svg` returned.
            layout: the element's class, and part of its names: a page may hold a figure in several.
        """
        own = f"{self.name}-{layout}"
        body = svg[svg.index("<svg") :]
        body = re.sub(r"<metadata>.*?</metadata>", "", body, flags=re.DOTALL)
        body = re.sub(r'\sxmlns(:\w+)?="[^"]*"', "", body).replace("xlink:href", "href")
        body = re.sub(
            r'(<image\b[^>]*?)\sid="[^"]*"', r"\1", body
        )  # nothing refers to it; alike ones share it
        body = re.sub(r'\bid="([^"]+)"', rf'id="{own}-\1"', body)
        body = re.sub(r'href="#([^"]+)"', rf'href="#{own}-\1"', body)
        body = re.sub(r"url\(#([^)]+)\)", rf"url(#{own}-\1)", body)
        for plain, themed in THEMED.items():
            body = body.replace(plain, themed)
        described = (
            f'<svg class="{layout}" role="img" aria-labelledby="{self.name}-title" '
            f'aria-describedby="{self.name}-alt"'
        )
        return body.replace("<svg", described, 1)
