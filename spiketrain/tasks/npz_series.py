"""Values over time in one ``.npz`` file, of samples of unequal length."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, final

import numpy as np
from numpy.typing import NDArray

from root.arrays import Archive
from root.errors import InputError
from spiketrain.tasks.base import TaskData
from spiketrain.tasks.files import MEMORY_BYTES, afford, locate
from spiketrain.tasks.in_time import SeriesFiles
from spiketrain.tasks.own import numbered

__all__ = ["NpzSeries"]

KEYS = ("x", "y", "lengths", "x_test", "y_test", "lengths_test")


@final
@dataclass(frozen=True)
class NpzSeries(SeriesFiles):
    """Arrays ``x``, ``y`` and ``lengths`` of a file that ``numpy.savez`` wrote, perhaps the same of tests.

    ``y``: integer labels, ``(samples,)``; ``lengths``: values over time of every sample, ``(samples,)``. The
    tests are ``x_test``, ``y_test``, ``lengths_test``; without them samples are held out.

    Args:
        file: its path, within ``--data-dir`` unless absolute.
        axes: of ``x``: ``samples, time, inputs``, where what comes after a sample's length is filling, and
            ``lengths`` may be left out where there is none; or ``time, inputs``, one sample's values below
            the other's.
    """

    file: str = ""
    axes: Literal["samples, time, inputs", "time, inputs"] = "samples, time, inputs"

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.file:
            raise InputError("file", self.file, "the path of an .npz file")
        if self.axes not in ("samples, time, inputs", "time, inputs"):
            raise InputError("axes", self.axes, "'samples, time, inputs', 'time, inputs'")

    def load(self, data_dir: Path | None, memory_bytes: int = MEMORY_BYTES) -> TaskData:
        path = locate(self.file, data_dir, "task.file")
        with Archive(path, "task.file") as archive:
            names = archive.names
            headers = {name: archive.header(name) for name in KEYS if name in names}
            for name in ("x", "y"):
                if name not in headers:
                    given = f"the arrays {', '.join(names) or 'none'}"
                    raise InputError(f"{path}: {name}", given, ", ".join(KEYS))
            afford(str(path), headers, memory_bytes)
            arrays = {name: archive.read(name) for name in headers}
        x = self._samples(path, arrays, "")
        y, known = numbered(f"{path}: y", _labels(path, "y", arrays["y"], len(x)))
        test = None
        if "x_test" in arrays or "y_test" in arrays:
            for name, other in (("x_test", "y_test"), ("y_test", "x_test")):
                if name not in arrays:
                    raise InputError(f"{path}: {name}", "nothing", f"an array beside {other}, or neither")
            x_test = self._samples(path, arrays, "_test", x[0].shape[1])
            texts = _labels(path, "y_test", arrays["y_test"], len(x_test))
            test = (x_test, numbered(f"{path}: y_test", texts, known)[0])
        return self._finished(str(path), (x, y), test, len(known))

    def _samples(
        self, path: Path, arrays: dict[str, NDArray[Any]], which: str, inputs: int | None = None
    ) -> list[NDArray[np.float64]]:
        """Return the samples, each ``(time, inputs)``."""
        x, place = arrays[f"x{which}"], f"{path}: x{which}"
        padded = self.axes == "samples, time, inputs"
        if x.dtype.kind not in "fiub" or x.ndim != (3 if padded else 2) or x.size == 0:
            given = f"shape {x.shape} of {x.dtype}"
            fix = "task.axes says which axes there are."
            raise InputError(place, given, f"real numbers, ({self.axes}), one of each at least", fix)
        if inputs is not None and x.shape[-1] != inputs:
            raise InputError(place, f"{x.shape[-1]} inputs", f"{inputs}, as in x")
        lengths = _lengths(path, arrays, which, x, padded=padded)
        if padded:
            samples = [one[:length] for one, length in zip(x, lengths, strict=True)]
        else:
            samples = np.split(x, np.cumsum(lengths)[:-1])
        for number, one in enumerate(samples):
            bad = np.argwhere(~np.isfinite(one))
            if len(bad):
                step, column = bad[0].tolist()
                where = f"{place}, sample {number}, step {step}, input {column}"
                raise InputError(where, one[step, column], "a finite number")
        return [one.astype(np.float64) for one in samples]


def _lengths(
    path: Path, arrays: dict[str, NDArray[Any]], which: str, x: NDArray[Any], *, padded: bool
) -> NDArray[np.int64]:
    name = f"lengths{which}"
    lengths = arrays.get(name)
    if lengths is None and padded:
        return np.full(len(x), x.shape[1], dtype=np.int64)
    if lengths is None:
        raise InputError(f"{path}: {name}", "nothing", "how many values over time every sample has")
    if lengths.dtype.kind not in "iu" or lengths.ndim != 1 or (padded and len(lengths) != len(x)):
        given = f"shape {lengths.shape} of {lengths.dtype}"
        raise InputError(f"{path}: {name}", given, "whole numbers, one for every sample")
    most = x.shape[1] if padded else len(x)
    bad = np.flatnonzero((lengths < 1) | (lengths > most))
    if len(bad):
        number = int(bad[0])
        raise InputError(f"{path}: {name}, sample {number}", int(lengths[number]), f"from 1 to {most}")
    if not padded and int(lengths.sum()) != len(x):
        raise InputError(f"{path}: {name}", f"{lengths.sum()} in all", f"{len(x)}, those of x{which}")
    return lengths.astype(np.int64)


def _labels(path: Path, name: str, y: NDArray[Any], samples: int) -> list[int]:
    if y.dtype.kind not in "iu" or y.shape != (samples,):
        given = f"shape {y.shape} of {y.dtype}"
        raise InputError(f"{path}: {name}", given, f"integer labels, one per sample, ({samples},)")
    return [int(label) for label in y]
