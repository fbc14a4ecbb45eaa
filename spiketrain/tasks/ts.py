"""Time series in ``.ts`` files, the format of the UEA and UCR archives, and one set that a package brings."""

from __future__ import annotations

import math
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Annotated, ClassVar, final

import numpy as np
from numpy.typing import NDArray

from rate_bridge.sequences import Form
from root.arrays import Header
from root.errors import InputError, UnsupportedError
from root.files import read_regular
from root.ranges import TIME_MS, check_ranges
from spiketrain.tasks.base import Task, TaskData
from spiketrain.tasks.files import MEMORY_BYTES, afford, locate
from spiketrain.tasks.in_time import SeriesFiles
from spiketrain.tasks.own import numbered

__all__ = ["JapaneseVowels", "TsFile"]

MAX_TEXT = 1_000_000_000
"""Largest file that is read, in bytes."""

FOLDERS = ("sktime", "aeon")
"""Packages that bring the Japanese vowels, in ``datasets/data``."""


@final
@dataclass(frozen=True)
class TsFile(SeriesFiles):
    """A ``.ts`` file: a sample in every line, its inputs and its label with colons between.

    Values have commas between. Samples may be of different lengths; the inputs of one sample are of the same.

    Source: Bagnall et al. 2018, "The UEA multivariate time series classification archive", arXiv 1811.00075.

    Args:
        file: its path, within ``--data-dir`` unless absolute.
        test_file: a file of the same kind for the tests; null holds samples out.
    """

    file: str = ""
    test_file: str | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.file:
            raise InputError("file", self.file, "the path of a .ts file")

    def load(self, data_dir: Path | None, memory_bytes: int = MEMORY_BYTES) -> TaskData:
        path = locate(self.file, data_dir, "task.file")
        x, texts = _read(path, "task.file", memory_bytes)
        y, names = numbered(str(path), texts)
        test = None
        if self.test_file is not None:
            other = locate(self.test_file, data_dir, "task.test_file")
            x_test, test_texts = _read(other, "task.test_file", memory_bytes, x[0].shape[1])
            test = (x_test, numbered(str(other), test_texts, names)[0])
        return self._finished(str(path), (x, y), test, len(names))


@final
@dataclass(frozen=True)
class JapaneseVowels(Task):
    """Nine speakers say two vowels: 640 series of 12 cepstral coefficients, 7 to 29 steps, as sktime has it.

    Who speaks is to be told; 270 series are the training set and 370 the tests. Every coefficient is mapped
    from its range in the training set onto [0, 1].

    Source: Kudo, Toyama & Shimbo 1999, "Multidimensional curve classification using passing-through regions",
    doi:10.1016/S0167-8655(99)00077-X.

    Args:
        step_ms: how long the coefficients of one moment are shown; in the recording it was 6.4 ms.
    """

    step_ms: Annotated[float, TIME_MS] = 10.0

    form: ClassVar[Form | None] = "series"

    def __post_init__(self) -> None:
        check_ranges(self)

    @property
    def shape(self) -> tuple[int, int]:
        return 12, 9

    def load(self, data_dir: Path | None, memory_bytes: int = MEMORY_BYTES) -> TaskData:
        folder = _shipped() / "JapaneseVowels"
        files = [str(folder / f"JapaneseVowels_{part}.ts") for part in ("TRAIN", "TEST")]
        task = TsFile(step_ms=self.step_ms, scaling="minmax", file=files[0], test_file=files[1])
        return task.load(None, memory_bytes)


def _shipped() -> Path:
    """Return the folder of the series that a package brings; the package itself is not imported."""
    for name in FOLDERS:
        found = find_spec(name)
        for place in (found.submodule_search_locations or ()) if found is not None else ():
            folder = Path(place) / "datasets" / "data"
            if (folder / "JapaneseVowels").is_dir():
                return folder
    allowed = f"a task whose data are here: this one's come with {' or '.join(FOLDERS)}"
    raise UnsupportedError("task.name", "japanese_vowels", allowed, "pip install 'spiketrain[sequences]'")


def _read(
    path: Path, key: str, memory_bytes: int, inputs: int | None = None
) -> tuple[list[NDArray[np.float64]], list[str]]:
    """Return the samples of a file, each ``(time, inputs)``, and their labels as texts."""
    content = read_regular(path, key, "text file", min(MAX_TEXT, max(memory_bytes, 0)))
    try:
        lines = content.decode("utf-8-sig").splitlines()
    except UnicodeDecodeError as error:
        raise InputError(key, str(path), "a text file in UTF-8", str(error)) from None
    afford(str(path), {"values": Header((len(content) // 2,), np.dtype(np.float64))}, memory_bytes)
    x, labels = list[NDArray[np.float64]](), list[str]()
    _check_head(path, lines)
    for number, line in enumerate(lines, start=1):
        text = line.strip()
        if not text or text[0] in "#@":
            continue
        place = f"{path}: line {number}, sample {len(x)}"
        *columns, label = text.split(":")
        if not columns:
            raise InputError(place, "one column", "inputs and a label, with colons between")
        inputs = len(columns) if inputs is None else inputs
        if len(columns) != inputs:
            raise InputError(place, f"{len(columns)} inputs", f"{inputs}, as other samples have")
        x.append(_values(place, columns))
        labels.append(label.strip())
    if not x:
        raise InputError(key, f"{path} without a sample", "a sample in every line after @data")
    return x, labels


def _check_head(path: Path, lines: list[str]) -> None:
    for number, line in enumerate(lines, start=1):
        word, *rest = line.strip().lower().split() or [""]
        if word == "@data":
            return
        if word == "@timestamps" and rest[:1] == ["true"]:
            fix = "Resample them to regular times first."
            raise InputError(f"{path}: line {number}", line.strip(), "@timeStamps false", fix)
        if word == "@classlabel" and rest[:1] == ["false"]:
            raise InputError(f"{path}: line {number}", line.strip(), "@classLabel true and the labels")
    raise InputError(str(path), "no line @data", "a .ts file: @data, then a sample in every line")


def _values(place: str, columns: list[str]) -> NDArray[np.float64]:
    """Return the values of a sample, ``(time, inputs)``."""
    found = list[list[float]]()
    for index, column in enumerate(columns):
        values = []
        for step, text in enumerate(column.split(",")):
            try:
                value = float(text)
            except ValueError:
                value = math.nan
            if not math.isfinite(value):
                where = f"{place}, input {index}, step {step}"
                raise InputError(where, text.strip(), "a finite number", "Fill it in, or leave the line out.")
            values.append(value)
        if found and len(values) != len(found[0]):
            given = f"{len(values)} values of input {index}"
            raise InputError(place, given, f"{len(found[0])}, as of input 0")
        found.append(values)
    return np.array(found, dtype=np.float64).T
