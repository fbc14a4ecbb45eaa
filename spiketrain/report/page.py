"""The page: read from a run directory alone, written into it, complete without network or scripts."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined

from spiketrain.divergence import note
from spiketrain.record.files import write_text
from spiketrain.report.drawing import Omitted
from spiketrain.report.gallery import FIGURES
from spiketrain.report.run_files import RunFiles
from spiketrain.report.style import drawn

__all__ = ["write"]


def write(directory: Path) -> Path:
    """Draw the figures of a finished run and write ``report.html`` and ``figures/``.

    Args:
        directory: of a run, with its ``summary.json``.

    Returns:
        the path of the page.

    Raises:
        InputError: the directory does not hold a finished run.
    """
    run = RunFiles.load(directory)
    folder = directory / "figures"
    folder.mkdir(exist_ok=True)
    shown, omitted = [], []
    with drawn():
        for draw in FIGURES.values():
            drawing = draw(run)
            if isinstance(drawing, Omitted):
                omitted.append(drawing)
                continue
            svg = drawing.svg()
            drawing.save(folder, svg)
            shown.append({"drawing": drawing, "svg": drawing.inline(svg)})
    page = directory / "report.html"
    write_text(page, _render(run, shown, omitted))
    return page


def _render(run: RunFiles, shown: list[dict[str, Any]], omitted: list[Omitted]) -> str:
    environment = Environment(
        loader=PackageLoader("spiketrain", "report"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {"percent": _percent, "words": lambda name: str(name).replace("_", " ")}
    return environment.get_template("page.html").render(
        run=run,
        summary=run.summary,
        chips=_results(run),
        shown=shown,
        omitted=omitted,
        selected="validation" if "validation_accuracy" in run.accuracies() else "test",
    )


def _results(run: RunFiles) -> list[dict[str, Any]]:
    """Return a row per chip: what it ends with, and how far that is below its best epoch."""
    names = run.accuracies()
    column = "validation_accuracy" if "validation_accuracy" in names else "test_accuracy"
    rows = []
    for chip in run.chips:
        history = run.metrics[run.metrics["chip"] == chip].set_index("epoch")
        row: dict[str, Any] = {"chip": chip, "test": run.summary["test_accuracy"][chip]}
        row["reason"] = note(run.summary, chip)
        if column in names:
            scores = history[column]
            best, last = float(scores.max()), float(scores.iloc[-1])
            epoch = scores.idxmax() if scores.notna().any() else None
            row |= {"last": last, "best": best, "best_epoch": epoch, "fall": best - last}
        rows.append(row)
    return rows


def _percent(value: float | None) -> str:
    return "–" if value is None or math.isnan(value) else f"{100 * value:.1f} %"
