"""Measured devices."""

from __future__ import annotations

import csv
import io
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Annotated, Any, final

import numpy as np
from numpy.typing import NDArray

from mismatch.distributions.base import Distribution
from root.arrays import Archive, read_npy
from root.errors import InputError, nearest
from root.files import checksum, read_regular
from root.ranges import GAIN, check_ranges
from root.texts import is_number

__all__ = ["Empirical"]

MAX_BYTES = 100_000_000
"""Largest table of measured devices, unpacked."""


@final
@dataclass(frozen=True)
class Empirical(Distribution):
    r"""Values measured on devices, drawn with replacement.

    .. math::
        f = x_k / c, \qquad k \sim \mathcal U\{1 \dots n\}

    with c the mean of the values, or `nominal`. Mean, cv (not corrected for the n values being a sample)
    and support are those of the values over c; the mean is 1 unless a `nominal` is given, which keeps a
    systematic deviation of the measured devices from their design.

    Args:
        file: a ``.csv`` file (numbers, with or without a line of names), ``.npy`` or ``.npz``.
        column: name of the column of a ``.csv`` or of the array of a ``.npz`` file; may be left out
            where there is only one.
        nominal: the value the devices were designed for, > 0; their mean by default.
        sha256: checksum of the values, written into what a run keeps; other values are refused.
    """

    file: str
    column: str | None = None
    nominal: Annotated[float, GAIN] | None = None
    sha256: str | None = None

    def __post_init__(self) -> None:
        check_ranges(self)
        found = checksum({"values": self.measured})  # read now: a bad file is refused before anything is run
        if self.sha256 not in (None, found):
            fix = "The file has changed; without this key it is taken as it is now."
            raise InputError("sha256", self.sha256, f"{found}, that of {self.file}", fix)
        object.__setattr__(self, "sha256", found)

    @cached_property
    def measured(self) -> NDArray[np.float64]:
        """The values in the file, ``(n,)``."""
        return _read(Path(self.file), self.column)

    @cached_property
    def values(self) -> NDArray[np.float64]:
        """The factors that are drawn from, ``(n,)``.

        Raises:
            InputError: the file cannot be read, or holds anything but 2 or more finite numbers > 0.
        """
        values = self.measured
        return values / (self.nominal if self.nominal is not None else values.mean())

    @property
    def mean(self) -> float:
        return float(self.values.mean())

    @property
    def cv(self) -> float:
        """Standard deviation over mean of the values."""
        return float(self.values.std() / self.values.mean())

    @property
    def support(self) -> tuple[float, float]:
        return float(self.values.min()), float(self.values.max())

    def draw(self, generator: np.random.Generator, shape: tuple[int, ...]) -> NDArray[np.float64]:
        return self.values[generator.integers(self.values.size, size=shape)]


def _read(path: Path, column: str | None) -> NDArray[np.float64]:
    readers = {".csv": _read_csv, ".npy": _read_npy, ".npz": _read_npz}
    if path.suffix not in readers:
        raise InputError("file", str(path), "a file that ends in .csv, .npy or .npz")
    try:
        values = np.asarray(readers[path.suffix](path, column), dtype=np.float64).reshape(-1)
    except (ValueError, TypeError, OverflowError) as error:
        if isinstance(error, InputError):
            raise
        raise InputError("file", str(path), "numbers, and nothing else", str(error)) from None
    if values.size < 2 or not np.all(np.isfinite(values)) or np.any(values <= 0):
        raise InputError("file", str(path), "2 or more measured values, finite and > 0")
    return values


def _read_csv(path: Path, column: str | None) -> list[float]:
    content = read_regular(path, "file", "table of numbers", MAX_BYTES)
    try:
        rows = [row for row in csv.reader(io.StringIO(content.decode("utf-8-sig"), newline="")) if row]
    except (UnicodeDecodeError, csv.Error) as error:
        raise InputError("file", str(path), "a table of numbers, in UTF-8", str(error)) from None
    if not rows:
        return []
    names = [] if is_number(rows[0][0]) else [name.strip() for name in rows.pop(0)]
    index = _pick(path, column, names or [str(k) for k in range(len(rows[0]))])
    short = next((number for number, row in enumerate(rows, start=1) if len(row) <= index), None)
    if short is not None:
        raise InputError("file", str(path), "a value in every row", f"Row {short} is too short.")
    return [float(row[index]) for row in rows]


def _read_npy(path: Path, column: str | None) -> NDArray[Any]:
    if column is not None:
        raise InputError("column", column, "no column for a .npy file, which holds one array")
    return read_npy(path, "file", MAX_BYTES)


def _read_npz(path: Path, column: str | None) -> NDArray[Any]:
    with Archive(path, "file") as archive:
        name = archive.names[_pick(path, column, archive.names)]
        size = archive.header(name).nbytes
        if size > MAX_BYTES:
            raise InputError("file", f"{path}, whose {name} has {size} bytes", f"at most {MAX_BYTES} bytes")
        return archive.read(name)


def _pick(path: Path, column: str | None, names: list[str]) -> int:
    """Return the index of the wanted one of `names`."""
    if column is None:
        if len(names) != 1:
            raise InputError("column", None, f"one of {', '.join(names) or 'nothing'} in {path}")
        return 0
    if column not in names:
        raise InputError("column", column, f"one of {', '.join(names)} in {path}", nearest(column, names))
    return names.index(column)
