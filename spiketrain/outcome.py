"""What a finished run prints: a table of its chips, and where the report is."""

from __future__ import annotations

import csv
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from rich.box import SIMPLE
from rich.console import Console
from rich.table import Table

from spiketrain.divergence import note

__all__ = ["show"]


def show(directory: Path, summary: Mapping[str, Any], console: Console | None = None) -> None:
    """Print every chip's accuracies, their mean and minimum, and the report's path.

    Args:
        directory: the run directory, for the best accuracies in its ``metrics.csv``.
        summary: the content of its ``summary.json``.
        console: where to print; standard output by default.
    """
    console = console or Console()
    final = [float(value) for value in summary["test_accuracy"]]
    best = _best(directory, len(final))
    table = Table(box=SIMPLE if console.is_terminal else None)
    for heading in ("chip", "test accuracy", "best", "note"):
        table.add_column(heading, justify="left" if heading == "note" else "right")
    for chip, accuracy in enumerate(final):
        table.add_row(str(chip), f"{accuracy:.4f}", f"{best[chip]:.4f}", note(summary, chip))
    table.add_row("mean", f"{sum(final) / len(final):.4f}", f"{sum(best) / len(best):.4f}", "")
    table.add_row("min", f"{min(final):.4f}", f"{min(best):.4f}", "")
    console.print(table)
    report = directory / "report.html"
    console.print(
        f"report: {report}" if report.is_file() else f"results: {directory}", soft_wrap=True, highlight=False
    )


def _best(directory: Path, chips: int) -> list[float]:
    """Return every chip's best test accuracy over the epochs; NaN where none was written."""
    best = [float("nan")] * chips
    path = directory / "metrics.csv"
    if path.is_file():
        with path.open(newline="", encoding="utf-8") as file:
            for row in csv.DictReader(file):
                chip, accuracy = int(row["chip"]), float(row.get("test_accuracy") or "nan")
                best[chip] = accuracy if not best[chip] >= accuracy else best[chip]
    return best
