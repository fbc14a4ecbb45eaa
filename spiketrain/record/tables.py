"""Tables as CSV: written so that no cell is a formula, and read row by row with their shape checked."""

from __future__ import annotations

import csv
import io
from pathlib import Path
from typing import TYPE_CHECKING

from root.errors import DamagedError
from root.files import read_regular
from root.texts import cell

if TYPE_CHECKING:  # training needs no pandas
    import pandas as pd

__all__ = ["read_rows", "rows_of", "table_text"]

MAX_BYTES = 500_000_000

MAX_COLUMNS = 10_000


def table_text(table: pd.DataFrame) -> str:
    """Return a table as CSV; what a spreadsheet would take for a formula gets an apostrophe before it."""
    shown = table.rename(columns=lambda name: cell(str(name)))
    for place, kind in enumerate(table.dtypes):
        if str(kind) in ("object", "str", "string", "category"):
            values = [cell(value) if isinstance(value, str) else value for value in table.iloc[:, place]]
            shown.isetitem(place, values)
    return str(shown.to_csv(index=False))


def read_rows(path: Path, needed: tuple[str, ...] = ()) -> list[dict[str, str]]:
    """Return the rows of a CSV file by the names in its first line.

    Args:
        path: where it is.
        needed: columns that it must have.

    Raises:
        DamagedError: it cannot be read, lacks a column, or has rows of another length.
    """
    return rows_of(read_regular(path, str(path), "CSV file", MAX_BYTES, DamagedError), str(path), needed)


def rows_of(content: bytes, place: str, needed: tuple[str, ...] = ()) -> list[dict[str, str]]:
    """Return the rows in the content of a CSV file by the names in its first line.

    Args:
        content: of the file.
        place: what to call it.
        needed: columns that it must have.

    Raises:
        DamagedError: it is no CSV, lacks a column, or has rows of another length.
    """
    try:
        rows = list(csv.reader(io.StringIO(content.decode("utf-8"), newline=""), strict=True))
    except (UnicodeDecodeError, csv.Error) as error:
        raise DamagedError(place, "a damaged file", "a table as CSV, in UTF-8", f"{error}") from None
    names = rows[0] if rows else []
    for name in needed:
        if name not in names:
            raise DamagedError(f"{place}: {name}", "no such column", "a column in the first line")
    if len(set(names)) < len(names) or len(names) > MAX_COLUMNS:
        raise DamagedError(place, f"{len(names)} columns", "columns whose names are all different")
    for number, row in enumerate(rows, start=1):
        if len(row) != len(names):
            raise DamagedError(
                f"{place}: line {number}", f"{len(row)} cells", f"{len(names)}, one per column"
            )
    return [dict(zip(names, row, strict=True)) for row in rows[1:]]
