"""The page: read from a run directory alone, written into it, complete without network or scripts."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
from jinja2 import Environment, PackageLoader, StrictUndefined

from spiketrain import describe
from spiketrain.divergence import note
from spiketrain.record.files import write_text
from spiketrain.report.drawing import Omitted
from spiketrain.report.gallery import FIGURES
from spiketrain.report.run_files import RunFiles
from spiketrain.report.style import drawn

__all__ = ["write"]

VALIDATION = "validation_accuracy"


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
    rows = _results(run)
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
        chips=rows,
        over_chips=_over_chips(rows),
        mismatch=describe.mismatch(run.summary["mismatch"]),
        shown=shown,
        omitted=omitted,
    )


def _results(run: RunFiles) -> list[dict[str, Any]]:
    """Return a row per chip: what it ends with, and its best epoch by validation where there is one.

    No epoch is chosen by its test accuracy: the number would be too good.
    """
    chosen = VALIDATION in run.accuracies()
    rows = []
    for chip in run.chips:
        row: dict[str, Any] = {"chip": chip, "test": run.summary["test_accuracy"][chip]}
        row["reason"] = note(run.summary, chip)
        if chosen:
            scores = run.metrics[run.metrics["chip"] == chip].set_index("epoch")[VALIDATION]
            best, last = float(scores.max()), float(scores.iloc[-1])
            epoch = scores.idxmax() if scores.notna().any() else None
            row |= {"last": last, "best": best, "best_epoch": epoch, "fall": best - last}
        rows.append(row)
    return rows


def _over_chips(rows: list[dict[str, Any]]) -> list[tuple[str, list[float]]]:
    """Return mean, worst and spread of the columns of numbers, over several chips."""
    if len(rows) < 2:
        return []
    names = ["test", "last", "best", "fall"] if "best" in rows[0] else ["test"]
    values = np.array([[math.nan if row[n] is None else row[n] for n in names] for row in rows], dtype=float)
    worst = [np.max if name == "fall" else np.min for name in names]
    return [
        ("mean", values.mean(0).tolist()),
        ("worst", [float(pick(column)) for pick, column in zip(worst, values.T, strict=True)]),
        ("spread (best − worst)", (values.max(0) - values.min(0)).tolist()),
    ]


def _percent(value: float | None) -> str:
    return "–" if value is None or math.isnan(value) else f"{100 * value:.1f} %"
