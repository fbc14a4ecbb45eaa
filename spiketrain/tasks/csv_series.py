"""Values over time in a table: a moment in every line."""

from __future__ import annotations

import io
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, final

import numpy as np
from numpy.typing import NDArray

from root.arrays import Header
from root.errors import InputError, nearest
from root.files import read_regular
from spiketrain.tasks.base import TaskData
from spiketrain.tasks.files import MEMORY_BYTES, afford, locate
from spiketrain.tasks.in_time import SeriesFiles
from spiketrain.tasks.own import numbered

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["CsvSeries"]

MAX_TEXT = 1_000_000_000

EVEN = 0.01
"""How far an interval between two moments may be from the first one, as a share of it."""


@final
@dataclass(frozen=True)
class CsvSeries(SeriesFiles):
    """A ``.csv`` file: the names of the columns in its first line, then a moment of a sample in every line.

    The lines of a sample stand in the order of time. Every value is shown for `step_ms`.

    Args:
        file: its path, within ``--data-dir`` unless absolute.
        sample: name of the column that says which sample a line is of.
        label: name of the column with the labels, the same in all lines of a sample.
        time: name of the column with the times, which must be even; null where there is none.
        inputs: names of the columns that are the inputs, in this order; null for all others.
        test_file: a file with the same columns for the tests; null holds samples out.
        delimiter: what stands between two columns.
    """

    file: str = ""
    sample: str = "sample"
    label: str = "label"
    time: str | None = None
    inputs: tuple[str, ...] | None = None
    test_file: str | None = None
    delimiter: str = ","

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.file:
            raise InputError("file", self.file, "the path of a .csv file")
        if len(self.delimiter) != 1:
            raise InputError("delimiter", self.delimiter, "one character")
        if self.inputs is not None and (not self.inputs or len(set(self.inputs)) < len(self.inputs)):
            raise InputError("inputs", list(self.inputs), "names of columns, each once, or null for all")

    def load(self, data_dir: Path | None, memory_bytes: int = MEMORY_BYTES) -> TaskData:
        path = locate(self.file, data_dir, "task.file")
        x, texts, columns = self._read(path, "task.file", None, memory_bytes)
        y, names = numbered(f"{path}: {self.label}", texts)
        test = None
        if self.test_file is not None:
            other = locate(self.test_file, data_dir, "task.test_file")
            x_test, test_texts, _ = self._read(other, "task.test_file", columns, memory_bytes)
            test = (x_test, numbered(f"{other}: {self.label}", test_texts, names)[0])
        return self._finished(str(path), (x, y), test, len(names))

    def _read(
        self, path: Path, key: str, wanted: list[str] | None, memory_bytes: int
    ) -> tuple[list[NDArray[np.float64]], list[str], list[str]]:
        """Return the samples, their labels as texts, and the names of the inputs."""
        import pandas as pd  # noqa: PLC0415 (slow to import)

        content = read_regular(path, key, "text file", min(MAX_TEXT, max(memory_bytes, 0)))
        afford(str(path), {"values": Header((len(content) // 2,), np.dtype(np.float64))}, memory_bytes)
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("error", pd.errors.ParserWarning)  # lines longer than the first
                table = pd.read_csv(
                    io.BytesIO(content),
                    sep=self.delimiter,
                    dtype=str,
                    keep_default_na=False,
                    index_col=False,
                    encoding="utf-8-sig",
                )
        except (ValueError, pd.errors.ParserWarning) as error:
            raise InputError(key, str(path), "a text file of rows, in UTF-8", str(error).strip()) from None
        table.columns = table.columns.str.strip()
        columns = self._columns(path, [str(name) for name in table.columns], wanted)
        if table.empty:
            raise InputError(key, f"{path} without a line", "a line of names, then a moment a line")
        values = _numbers(path, table, columns)
        x, labels = list[NDArray[np.float64]](), list[str]()
        for name, found in table.groupby(self.sample, sort=False).indices.items():
            rows = np.asarray(found, dtype=np.int64)
            place = f"{path}: sample {name}"
            texts = table[self.label].iloc[rows].str.strip()
            other = np.flatnonzero((texts != texts.iloc[0]).to_numpy())
            if len(other):
                given = f"labels {texts.iloc[0]!r} and {texts.iloc[other[0]]!r}"
                raise InputError(f"{place}, line {rows[other[0]] + 2}", given, "one label per sample")
            if self.time is not None:
                _check_times(place, _numbers(path, table.iloc[rows], [self.time], rows)[:, 0], rows)
            x.append(values[rows])
            labels.append(str(texts.iloc[0]))
        return x, labels, columns

    def _columns(self, path: Path, header: list[str], wanted: list[str] | None) -> list[str]:
        chosen = wanted if wanted is not None else list(self.inputs or ())
        own = {"sample": self.sample, "label": self.label, **({"time": self.time} if self.time else {})}
        for key, name in (*own.items(), *(("inputs", name) for name in chosen)):
            if name not in header:
                allowed = f"a column of {path}: {', '.join(header)}"
                raise InputError(f"task.{key}", name, allowed, nearest(name, header))
        taken = next((name for name in chosen if name in own.values()), None)
        if taken is not None:
            raise InputError("task.inputs", taken, "columns other than those of samples, labels and times")
        columns = chosen or [name for name in header if name not in own.values()]
        if not columns:
            raise InputError(f"{path}: line 1", header, "a column of numbers beside the others")
        return columns


def _numbers(
    path: Path, table: pd.DataFrame, columns: list[str], lines: NDArray[np.int64] | None = None
) -> NDArray[np.float64]:
    """Return columns as numbers, ``(rows, columns)``."""
    import pandas as pd  # noqa: PLC0415

    found = np.empty((len(table), len(columns)))
    for place, name in enumerate(columns):
        found[:, place] = pd.to_numeric(table[name], errors="coerce").to_numpy(np.float64)
        bad = np.flatnonzero(~np.isfinite(found[:, place]))
        if len(bad):
            row = int(bad[0])
            line = (row if lines is None else int(lines[row])) + 2
            where = f"{path}: line {line}, column {name!r}"
            raise InputError(
                where, table[name].iloc[row], "a finite number", "Fill it in, or drop the sample."
            )
    return found


def _check_times(place: str, times: NDArray[np.float64], rows: NDArray[np.int64]) -> None:
    """Refuse times that run backwards, or are not even."""
    gaps = np.diff(times)
    if not len(gaps):
        return
    back, odd = np.flatnonzero(gaps <= 0), np.flatnonzero(np.abs(gaps - gaps[0]) > EVEN * abs(gaps[0]))
    for found, allowed, fix in (
        (back, "times that go on", "Sort the lines of a sample by time."),
        (odd, f"intervals of {gaps[0]:g}, as the first one", "Resample to even times."),
    ):
        if len(found):
            row = int(found[0]) + 1
            given = f"{times[row]:g} after {times[row - 1]:g}"
            raise InputError(f"{place}, line {rows[row] + 2}", given, allowed, fix)
