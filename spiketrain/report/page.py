"""The page: read from a run directory alone, written into it, complete without network or scripts."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from spiketrain import describe
from spiketrain.divergence import note
from spiketrain.record.files import write_text
from spiketrain.report.drawing import Omitted
from spiketrain.report.gallery import FIGURES
from spiketrain.report.plates import Plate, embedded, plate
from spiketrain.report.run_files import RunFiles
from spiketrain.report.style import drawn
from spiketrain.report.templates import render

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
    shown: list[Plate] = []
    omitted: list[Omitted] = []
    with drawn():
        for draw in FIGURES.values():
            drawing = draw(run)
            if isinstance(drawing, Omitted):
                omitted.append(drawing)
                continue
            shown.append(plate(drawing, folder, ("svg",)))
    page = directory / "report.html"
    write_text(page, _render(run, shown, omitted))
    return page


def _render(run: RunFiles, shown: list[Plate], omitted: list[Omitted]) -> str:
    rows = _results(run)
    return render(
        "page.html",
        run=run,
        summary=run.summary,
        chips=rows,
        over_chips=_over_chips(rows),
        mismatch=describe.mismatch(run.summary["mismatch"]),
        shown=shown,
        omitted=omitted,
        drew=_drew(run),
        drew_data=None if run.drew is None else embedded(run.drew),
        origin=_origin(run),
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


def _drew(run: RunFiles) -> list[tuple[str, list[str]]]:
    """Return a row of texts per quantity: what every chip drew of it, over all its places."""
    if run.drew is None:
        return []
    rows = []
    for (quantity, kind), part in run.drew.groupby(["quantity", "kind"], sort=False):
        chips = [part[part["chip"] == chip] for chip in run.chips]
        rows.append((str(quantity), [_drawn(one, relative=kind == "relative") for one in chips]))
    return rows


def _drawn(part: pd.DataFrame, *, relative: bool) -> str:
    """Return mean and standard deviation over all devices that work, and the share of those that do not."""
    working = part["devices"] * (1.0 - part["lost"])
    mean = (part["mean"] * working).sum() / working.sum()
    square = ((part["std"] ** 2 + part["mean"] ** 2) * working).sum() / working.sum()
    std = math.sqrt(max(0.0, square - mean**2)) if math.isfinite(square) else math.nan
    shown = f"{100 * mean:+.1f} ± {100 * std:.1f} %" if relative else f"{mean:+.3g} ± {std:.3g}"
    lost = 1.0 - working.sum() / part["devices"].sum()
    return f"{shown}, {100 * lost:.1f} % lost" if lost > 0 else shown


def _origin(run: RunFiles) -> list[tuple[str, str]]:
    """Return what further made the numbers: the data, the seed and the time."""
    seconds = run.summary["seconds"]
    return [
        ("data (SHA-256)", run.summary.get("data_sha256") or "not recorded"),
        ("training seed", str(run.summary["seed"])),
        ("training time", "–" if seconds is None else f"{seconds:,.1f} s"),
    ]


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
