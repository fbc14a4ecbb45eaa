"""A figure with everything that belongs to it: title, words for those who cannot see it, and its data."""

from __future__ import annotations

import io
import re
from dataclasses import dataclass
from os import PathLike
from pathlib import Path
from typing import final

import pandas as pd
from matplotlib.figure import Figure
from matplotlib.text import Text

from rate_bridge.errors import InputError
from spiketrain.record.files import write_bytes, write_text
from spiketrain.record.tables import table_text
from spiketrain.report.style import THEMED, drawn, dressed

__all__ = ["Drawing", "Omitted"]


def _literal(figure: Figure) -> None:
    """Take all texts of a figure as they are, dollar signs too, but for the powers at logarithmic axes."""
    axes = [axis for one in figure.axes for axis in (one.xaxis, one.yaxis) if axis.get_scale() == "log"]
    powers = {
        id(text) for axis in axes for which in ("major", "minor") for text in axis.get_ticklabels(which=which)
    }
    for text in figure.findobj(Text):
        if isinstance(text, Text) and id(text) not in powers:
            text.set_parse_math(False)


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
    """

    name: str
    title: str
    alt: str
    caption: str
    figure: Figure
    data: pd.DataFrame

    def __post_init__(self) -> None:
        _literal(self.figure)

    def svg(self) -> str:
        """Return the figure as a file's content; the same figure always gives the same text."""
        text = io.StringIO()
        with drawn():
            self.figure.savefig(text, format="svg", metadata={"Date": None})
        self.figure.set_layout_engine("none")  # laid out now: to do it again for another format takes seconds
        return text.getvalue()

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

    def save(self, folder: Path, svg: str) -> None:
        """Write SVG and CSV into `folder`: pictures of points take long to draw, and `write` makes them."""
        write_text(folder / f"{self.name}.svg", svg)
        write_text(folder / f"{self.name}.csv", table_text(self.data))

    def inline(self, svg: str) -> str:
        """Return `svg` as an element of the page: themed, with names of its own, nothing external."""
        body = svg[svg.index("<svg") :]
        body = re.sub(r"<metadata>.*?</metadata>", "", body, flags=re.DOTALL)
        body = re.sub(r'\sxmlns(:\w+)?="[^"]*"', "", body).replace("xlink:href", "href")
        body = re.sub(r'\bid="([^"]+)"', rf'id="{self.name}-\1"', body)
        body = re.sub(r'href="#([^"]+)"', rf'href="#{self.name}-\1"', body)
        body = re.sub(r"url\(#([^)]+)\)", rf"url(#{self.name}-\1)", body)
        for plain, themed in THEMED.items():
            body = body.replace(plain, themed)
        described = f'<svg role="img" aria-labelledby="{self.name}-title" aria-describedby="{self.name}-alt"'
        return body.replace("<svg", described, 1)
