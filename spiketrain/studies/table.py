"""What the cells add up to: one tidy table, one row per cell and chip."""

from __future__ import annotations

import io
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from root.errors import InputError, printable
from root.texts import cell as safe
from spiketrain.record.files import read_json, write_bytes, write_text
from spiketrain.record.tables import read_rows, table_text
from spiketrain.studies.budget import histories, spent
from spiketrain.studies.folder import Cells
from spiketrain.studies.plan import Cell, Plan

__all__ = ["read_history", "read_table", "tidy", "write_table"]

HISTORY = "history.csv"

CLOCKED = ("seconds", "train_samples_per_second")
"""What differs from one computation of a cell to the next; it is in ``cells.csv``."""

SKIPPED = ("epoch", "chip", "seconds", "test_accuracy", "learning_rate")
"""Columns of ``metrics.csv`` that are no outcome of their own."""


def tidy(plan: Plan, cells: Cells) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Return the table and the list of cells, in the order of the plan.

    Returns:
        a row per cell and chip: ``cell``, what varies, ``chip`` (its number), ``test_accuracy`` at the end,
        ``best_accuracy`` over the epochs, ``diverged`` (the reason), and the last epoch's other metrics;
        and a row per cell: ``status``, ``error``, the times and the commit. A cell that is not there is in
        neither.
    """
    rows, listed = list[dict[str, Any]](), list[dict[str, Any]]()
    for cell in plan.rows():
        summary = cells.summary(cell.key)
        if summary is not None:
            rows += _rows(cell, summary, cells.finished(cell.key) / "metrics.csv")
            clocked = {name: summary.get(name) for name in CLOCKED}
            listed.append(_about(cell, "finished") | clocked | {"git": summary.get("git")})
        elif cells.failure(cell.key).is_file():
            listed.append(_about(cell, "failed") | {"error": _error(cells.failure(cell.key))})
    front = ["cell", *plan.columns, "chip", "test_accuracy", "best_accuracy", "diverged"]
    back = ["cell", *plan.columns, "status", "error", *CLOCKED, "git"]
    return _frame(rows, front), _frame(listed, back)


def write_table(plan: Plan, cells: Cells) -> pd.DataFrame:
    """Write ``table.csv``, ``table.parquet``, ``cells.csv`` and ``history.csv``; return the table.

    Whether a cell converged stands in all but the last, what it showed every chip in all.
    """
    table, listed = tidy(plan, cells)
    history = histories(plan, cells)
    over = spent(history).set_index("cell")
    for frame in (table, listed):
        if len(frame):
            frame["converged"] = frame["cell"].map(over["converged"]).fillna(False).astype(bool)
    if len(listed):
        listed["presentations"] = listed["cell"].map(over["presentations"])
    write_text(cells.root / "cells.csv", table_text(listed))
    write_text(cells.root / HISTORY, table_text(history))
    write_text(cells.root / "table.csv", table_text(table))
    write_bytes(cells.root / "table.parquet", _parquet(table))
    return table


def read_table(root: Path) -> pd.DataFrame:
    """Return the table of a study's folder.

    Raises:
        InputError: there is none.
    """
    try:
        return pd.read_parquet(root / "table.parquet")
    except (OSError, ValueError) as error:
        raise InputError("study", str(root), "the folder of a finished study", f"{error}") from None


def read_history(root: Path) -> pd.DataFrame:
    """Return what every cell showed every chip, epoch by epoch, with its texts as they were."""
    history = pd.read_csv(root / HISTORY)
    for place, kind in enumerate(history.dtypes):
        if str(kind) in ("object", "str", "string"):
            history.isetitem(place, [_plain(value) for value in history.iloc[:, place]])
    return history.rename(columns=_plain)


def _plain(value: Any) -> Any:
    """Return a text of a CSV file without the apostrophe that keeps it from being a formula."""
    marked = isinstance(value, str) and value.startswith("'") and safe(value[1:]) == value
    return value[1:] if marked else value


def _rows(cell: Cell, summary: Mapping[str, Any], metrics: Path) -> Iterator[dict[str, Any]]:
    last, best = _history(metrics)
    first = int(summary["mismatch"].get("first_chip", 0))
    for chip, accuracy in enumerate(summary["test_accuracy"]):
        outcome = {
            "chip": first + chip,
            "test_accuracy": accuracy,
            "best_accuracy": best.get(chip),
            "diverged": summary["diverged_chips"].get(str(chip), ""),
        }
        yield {**last.get(chip, {}), "cell": cell.key, **cell.columns, **outcome}


def _history(path: Path) -> tuple[dict[int, dict[str, float]], dict[int, float]]:
    """Return the last epoch's metrics and the best accuracy of every chip."""
    last, best = dict[int, dict[str, float]](), dict[int, float]()
    if not path.is_file():
        return last, best
    for row in read_rows(path):
        chip = int(row["chip"])
        last[chip] = {k: float(v) for k, v in row.items() if k not in SKIPPED and v}
        if row.get("test_accuracy"):
            best[chip] = max(best.get(chip, float("-inf")), float(row["test_accuracy"]))
    return last, best


def _about(cell: Cell, status: str) -> dict[str, Any]:
    return {"cell": cell.key, **cell.columns, "status": status, "error": ""}


def _error(path: Path) -> str:
    try:
        return printable(str(read_json(path)["error"]))
    except (ValueError, LookupError, TypeError):
        return "its error cannot be read"


def _frame(rows: list[dict[str, Any]], front: list[str]) -> pd.DataFrame:
    """Return a frame whose columns do not depend on which row came first; mixed columns become text."""
    frame = pd.DataFrame(rows)
    others = sorted(set(frame.columns) - set(front))
    frame = frame.reindex(columns=[*front, *others])
    for name in frame:
        kinds = {type(value) for value in frame[name].dropna()}
        if str in kinds and len(kinds) > 1:
            frame[name] = frame[name].map(str)
    return frame


def _parquet(table: pd.DataFrame) -> bytes:
    content = io.BytesIO()
    table.to_parquet(content, index=False, engine="pyarrow")
    return content.getvalue()
