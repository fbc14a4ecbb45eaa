"""The user's own samples, in one ``.npz`` file."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal, final

import numpy as np
from numpy.typing import NDArray

from root.arrays import Archive, Header
from root.errors import InputError
from root.files import checksum
from root.ranges import INNER, SEED, check_ranges
from root.seeds import SeedTree
from spiketrain.tasks.base import Task, TaskData, stratified_split
from spiketrain.tasks.files import MEMORY_BYTES, afford, locate

__all__ = ["NpzFile"]

KEYS = ("x", "y", "x_test", "y_test")

TEST_FRACTION = 0.2

RENUMBER = "np.unique({}, return_inverse=True)[1] renumbers them"


@final
@dataclass(frozen=True)
class NpzFile(Task):
    """Arrays ``x``, ``y`` and perhaps ``x_test``, ``y_test`` of a file that ``numpy.savez`` wrote.

    ``x``: numbers in [0, 1], ``(samples, inputs)``; ``y``: integer labels 0, 1, …, every one of them with
    samples. Without ``x_test`` a part of every class is held out for tests.

    Args:
        file: its path, within ``--data-dir`` unless absolute.
        scaling: ``minmax`` maps every input from its range in the training set onto [0, 1], test
            values beyond that range to its ends; ``none`` takes values as they are.
        test_fraction: share of the samples that is held out for tests where there is no ``x_test``.
        split_seed: which ones.
        flatten: lay out further axes of ``x`` in one, as those of images.
    """

    file: str
    scaling: Literal["none", "minmax"] = "none"
    test_fraction: Annotated[float, INNER] = TEST_FRACTION
    split_seed: Annotated[int, SEED] = 0
    flatten: bool = False

    def __post_init__(self) -> None:
        check_ranges(self)

    def load(self, data_dir: Path | None, memory_bytes: int = MEMORY_BYTES) -> TaskData:
        path = locate(self.file, data_dir, "task.file")
        arrays = _read(path, memory_bytes, self.flatten)
        if self.flatten and all(arrays[name].ndim == 2 for name in ("x", "x_test") if name in arrays):
            allowed = f"false (the default): x in {path} has one axis of inputs"
            raise InputError("task.flatten", True, allowed, "An option without effect is refused.")
        x, y = _inputs(path, "x", arrays["x"]), _labels(path, "y", arrays["y"], len(arrays["x"]))
        classes = _classes(path, y)
        if "x_test" in arrays or "y_test" in arrays:
            train, test = (x, y), self._own_test(path, arrays, x.shape[1], classes)
        else:
            generator = SeedTree(self.split_seed).child("test split").generator()
            keep, held = stratified_split(y, self.test_fraction, generator, "task.test_fraction")
            train, test = (x[keep], y[keep]), (x[held], y[held])
        if self.scaling == "minmax":
            low, high = train[0].min(axis=0), train[0].max(axis=0)
            train, test = (_scaled(train[0], low, high), train[1]), (_scaled(test[0], low, high), test[1])
        _check_range(path, train[0], test[0])
        return TaskData.of_arrays(train, test, classes=classes, sha256=checksum(arrays))

    def _own_test(
        self, path: Path, arrays: dict[str, NDArray[Any]], inputs: int, classes: int
    ) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
        for name, other in (("x_test", "y_test"), ("y_test", "x_test")):
            if name not in arrays:
                raise InputError(f"{path}: {name}", "nothing", f"an array beside {other}, or neither of them")
        for name, default in (("test_fraction", TEST_FRACTION), ("split_seed", 0)):
            if getattr(self, name) != default:
                allowed = f"{default} (the default): {path} has a test set of its own"
                raise InputError(f"task.{name}", getattr(self, name), allowed)
        x = _inputs(path, "x_test", arrays["x_test"])
        y = _labels(path, "y_test", arrays["y_test"], len(x))
        if x.shape[1] != inputs:
            raise InputError(f"{path}: x_test", x.shape, f"{inputs} inputs, as in x")
        if y.max() >= classes:
            raise InputError(f"{path}: y_test", int(y.max()), f"labels from 0 to {classes - 1}, as in y")
        return x, y


def _read(path: Path, memory_bytes: int, flatten: bool) -> dict[str, NDArray[Any]]:
    """Return the arrays of a file, having looked at all their headers; nothing in it is executed."""
    with Archive(path, "task.file") as archive:
        names = archive.names
        headers = {name: archive.header(name) for name in KEYS if name in names}
        for name in ("x", "y"):
            if name not in headers:
                raise InputError(
                    f"{path}: {name}", f"the arrays {', '.join(names) or 'none'}", "x, y, x_test, y_test"
                )
        afford(str(path), headers, memory_bytes)
        for name, header in headers.items():
            if name in ("x", "x_test"):
                _check_inputs(f"{path}: {name}", header, flatten)
        return {name: archive.read(name) for name in headers}


def _check_inputs(key: str, header: Header, flatten: bool) -> None:
    if header.dtype.kind not in "fiub":
        raise InputError(key, f"an array of type {header.dtype}", "real numbers")
    if len(header.shape) < 2 or header.size == 0:
        raise InputError(key, f"an array of shape {header.shape}", "(samples, inputs), at least one of each")
    if len(header.shape) > 2 and not flatten:
        fix = "A time series cannot be shown: a sample's values stand for its whole presentation."
        allowed = "(samples, inputs), or task.flatten: true where every further axis is space, as of images"
        raise InputError(key, f"an array of shape {header.shape}", allowed, fix)


def _inputs(path: Path, name: str, x: NDArray[Any]) -> NDArray[np.float64]:
    flat = x.reshape(len(x), -1).astype(np.float64)
    if not np.isfinite(flat).all():
        row, column = np.argwhere(~np.isfinite(flat))[0]
        allowed = "finite numbers; drop or fill in such samples first"
        raise InputError(f"{path}: {name}", f"{flat[row, column]} in sample {row}, input {column}", allowed)
    return flat


def _labels(path: Path, name: str, y: NDArray[Any], samples: int) -> NDArray[np.int64]:
    key = f"{path}: {name}"
    if y.dtype.kind not in "iu":
        raise InputError(key, f"an array of type {y.dtype}", "integer labels 0, 1, ...", _to_labels(name, y))
    if y.shape != (samples,):
        fix = _to_labels(name, y) if y.ndim == 2 else ""
        raise InputError(key, f"an array of shape {y.shape}", f"one label per sample, ({samples},)", fix)
    if y.min() < 0 or y.max() >= samples:
        wrong = int(y.min()) if y.min() < 0 else int(y.max())
        raise InputError(key, wrong, "labels 0, 1, ..., fewer classes than samples", RENUMBER.format(name))
    return y.astype(np.int64)


def _to_labels(name: str, y: NDArray[Any]) -> str:
    """Return how labels of another form become ours, where that is certain."""
    if y.ndim == 2 and y.dtype.kind in "biuf" and y.size:
        coded = bool(((y == 0) | (y == 1)).all() and (y.sum(axis=1) == 1).all())
        return f"{name}.argmax(axis=1): it is one-hot" if coded and y.shape[1] > 1 else ""
    if y.ndim != 1:
        return ""
    if y.dtype.kind in "US":
        return f"{RENUMBER.format(name)} (texts, in the order of the alphabet)"
    if y.dtype.kind == "b" or (y.dtype.kind == "f" and bool((y == np.floor(y)).all())):
        return f"{name}.astype('int64'): all of them are whole numbers" if np.isfinite(y).all() else ""
    return "Real numbers are no labels: this task is classification."


def _classes(path: Path, y: NDArray[np.int64]) -> int:
    counts = np.bincount(y)
    if len(counts) < 2 or (counts == 0).any():
        missing = np.flatnonzero(counts == 0)
        given = f"no sample of label {missing[0]}" if len(missing) else "a single label"
        allowed = f"two labels or more, each from 0 to {len(counts) - 1} in use"
        raise InputError(f"{path}: y", given, allowed, RENUMBER.format("y"))
    return len(counts)


def _scaled(
    x: NDArray[np.float64], low: NDArray[np.float64], high: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Map [low, high] onto [0, 1]; an input that never changes becomes 0."""
    return np.asarray(np.clip((x - low) / np.where(high > low, high - low, 1.0), 0.0, 1.0))


def _check_range(path: Path, train: NDArray[np.float64], test: NDArray[np.float64]) -> None:
    for name, x in (("x", train), ("x_test", test)):
        if x.min() < 0.0 or x.max() > 1.0:
            given = f"values from {x.min():g} to {x.max():g}"
            raise InputError(
                f"{path}: {name}", given, "values from 0 to 1", "task.scaling: minmax rescales them"
            )
