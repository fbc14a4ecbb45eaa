"""The user's own samples, as rows of a table in a text file."""

from __future__ import annotations

import csv
import io
import math
from dataclasses import dataclass
from pathlib import Path
from typing import final

import numpy as np

from root.arrays import Header
from root.errors import InputError, nearest
from root.files import read_regular
from spiketrain.tasks.base import TaskData
from spiketrain.tasks.files import MEMORY_BYTES, afford, locate
from spiketrain.tasks.own import Floats, OwnFiles, numbered

__all__ = ["CsvFile"]

MAX_TEXT = 1_000_000_000
"""Largest file that is read, in bytes."""


@final
@dataclass(frozen=True)
class CsvFile(OwnFiles):
    """A ``.csv`` file: the names of the columns in its first line, then a sample in every line.

    One column holds the labels, integers or texts, all others numbers. Labels are numbered from 0: integers
    in their order, texts in that of the alphabet.

    Args:
        file: its path, within ``--data-dir`` unless absolute.
        label: name of the column that holds the labels.
        inputs: names of the columns that are the inputs, in this order; null for all but the label's.
        test_file: a file with the same columns for the tests; null holds samples out.
        delimiter: what stands between two columns.
    """

    file: str = ""
    label: str = "label"
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
        test, taken = None, {"file": Header(x.shape, x.dtype)}
        if self.test_file is not None:
            self._refuse_split("task.test_file is the test set")
            other = locate(self.test_file, data_dir, "task.test_file")
            x_test, test_texts, _ = self._read(other, "task.test_file", columns, memory_bytes)
            test = (x_test, numbered(f"{other}: {self.label}", test_texts, names)[0])
            taken["test_file"] = Header(x_test.shape, x_test.dtype)
        afford(str(path), taken, memory_bytes)
        return self._finished(str(path), (x, y), test, len(names))

    def _read(
        self, path: Path, key: str, wanted: list[str] | None, memory_bytes: int
    ) -> tuple[Floats, list[str], list[str]]:
        """Return inputs, labels as texts, and the names of the inputs."""
        content = read_regular(path, key, "text file", min(MAX_TEXT, max(memory_bytes, 0)))
        try:
            with io.TextIOWrapper(io.BytesIO(content), encoding="utf-8-sig", newline="") as file:
                lines = csv.reader(file, delimiter=self.delimiter, strict=True)
                header = [name.strip() for name in next(lines, [])]
                columns = self._columns(path, header, wanted)
                places, place = [header.index(name) for name in columns], header.index(self.label)
                rows, labels = list[list[float]](), list[str]()
                for line in lines:
                    if line:
                        where = f"{path}: line {lines.line_num}"
                        rows.append(_numbers(where, line, header, places))
                        labels.append(line[place].strip())
        except (UnicodeDecodeError, csv.Error) as error:
            raise InputError(key, str(path), "a text file of rows, in UTF-8", str(error)) from None
        if not rows:
            raise InputError(key, f"{path} without a sample", "a line of names, then a sample a line")
        return np.array(rows, dtype=np.float64), labels, columns

    def _columns(self, path: Path, header: list[str], wanted: list[str] | None) -> list[str]:
        twice = next((name for name in header if header.count(name) > 1), None)
        if twice is not None:
            raise InputError(f"{path}: line 1", f"{twice!r} twice", "columns of different names")
        chosen = wanted if wanted is not None else list(self.inputs or ())
        for key, name in (("label", self.label), *(("inputs", name) for name in chosen)):
            if name not in header:
                raise InputError(
                    f"task.{key}", name, f"a column of {path}: {', '.join(header)}", nearest(name, header)
                )
        if self.label in chosen:
            raise InputError("task.inputs", self.label, "columns other than the label's")
        columns = chosen or [name for name in header if name != self.label]
        if not columns:
            raise InputError(f"{path}: line 1", header, "a column of numbers beside the label's")
        return columns


def _numbers(where: str, line: list[str], header: list[str], places: list[int]) -> list[float]:
    if len(line) != len(header):
        raise InputError(where, f"{len(line)} columns", f"{len(header)} columns, as line 1 has")
    values = []
    for place in places:
        try:
            value = float(line[place])
        except ValueError:
            value = math.nan
        if not math.isfinite(value):
            fix = "Fill it in, or leave the line out."
            raise InputError(f"{where}, column {header[place]!r}", line[place], "a finite number", fix)
        values.append(value)
    return values
