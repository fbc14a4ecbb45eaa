"""What a finished run prints: a table of its chips, and where the report is."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from rich.box import SIMPLE
from rich.console import Console
from rich.table import Table

from spiketrain.describe import percent
from spiketrain.divergence import note

__all__ = ["show"]


def show(directory: Path, summary: Mapping[str, Any], console: Console | None = None) -> None:
    """Print every chip's accuracy at the end, their mean, worst and spread, and the report's path.

    Args:
        directory: the run directory.
        summary: the content of its ``summary.json``.
        console: where to print; standard output by default.
    """
    console = console or Console()
    final = [float(value) for value in summary["test_accuracy"]]
    table = Table(box=SIMPLE if console.is_terminal else None)
    for heading in ("chip", "test accuracy", "note"):
        table.add_column(heading, justify="left" if heading == "note" else "right")
    for chip, accuracy in enumerate(final):
        table.add_row(str(chip), percent(accuracy), note(summary, chip))
    if len(final) > 1:
        table.add_row("mean", percent(sum(final) / len(final)), "")
        table.add_row("worst", percent(min(final)), "")
        table.add_row("spread", percent(max(final) - min(final)), "best minus worst chip")
    if summary.get("reference") is not None:
        table.add_row("reference", percent(float(summary["reference"])), "the same network without mismatch")
    console.print(table)
    report = directory / "report.html"
    console.print(
        f"report: {report}" if report.is_file() else f"results: {directory}", soft_wrap=True, highlight=False
    )
