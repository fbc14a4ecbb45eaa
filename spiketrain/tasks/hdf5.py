"""The user's own samples, as data sets of an HDF5 file."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, final

import numpy as np
from numpy.typing import NDArray

from root.arrays import Header
from root.errors import InputError
from root.files import open_regular
from spiketrain.tasks.base import TaskData
from spiketrain.tasks.files import MEMORY_BYTES, afford, locate
from spiketrain.tasks.own import Floats, OwnFiles, numbered

__all__ = ["MAX_FILE_BYTES", "Hdf5File", "dataset"]

MAX_FILE_BYTES = 64_000_000_000
"""Largest file that is looked at; what may be read of it is up to the memory."""


@final
@dataclass(frozen=True)
class Hdf5File(OwnFiles):
    """Data sets of an HDF5 file: inputs, ``(samples, ...)``, and integer labels, ``(samples,)``.

    Further axes of the inputs are laid out in one. Nothing outside the file is read: links to other files and
    data sets that lie in them are refused.

    Args:
        file: its path, within ``--data-dir`` unless absolute.
        x: name of the inputs, with its groups: ``train/images``.
        y: name of the labels.
        x_test: name of the inputs of the tests; null holds samples out.
        y_test: name of their labels.
    """

    file: str = ""
    x: str = "x"
    y: str = "y"
    x_test: str | None = None
    y_test: str | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.file:
            raise InputError("file", self.file, "the path of an HDF5 file")
        if (self.x_test is None) != (self.y_test is None):
            raise InputError("x_test", self.x_test, "names of both x_test and y_test, or of neither")

    def load(self, data_dir: Path | None, memory_bytes: int = MEMORY_BYTES) -> TaskData:
        import h5py  # noqa: PLC0415 (slow to import, needed by this task alone)

        path = locate(self.file, data_dir, "task.file")
        keys = ("x", "y") if self.x_test is None else ("x", "y", "x_test", "y_test")
        try:
            with (
                open_regular(path, "task.file", "HDF5 file", MAX_FILE_BYTES) as opened,
                h5py.File(opened, "r") as file,
            ):
                found = {key: self._dataset(path, file, key) for key in keys}
                headers = {key: Header(item.shape, item.dtype) for key, item in found.items()}
                afford(str(path), headers, memory_bytes)
                train = self._pair(path, found, ("x", "y"))
                test = None if self.x_test is None else self._pair(path, found, ("x_test", "y_test"))
        except (OSError, RuntimeError, KeyError) as error:
            raise InputError("task.file", str(path), "a readable HDF5 file", str(error)) from None
        labels, names = numbered(f"{path}: {self.y}", train[1].tolist())
        if test is not None:
            self._refuse_split("the file has a test set of its own")
            if test[0].shape[1] != train[0].shape[1]:
                allowed = f"{train[0].shape[1]} inputs a sample, as in {self.x}"
                raise InputError("task.x_test", test[0].shape, allowed)
            test = test[0], numbered(f"{path}: {self.y_test}", test[1].tolist(), names)[0]
        return self._finished(str(path), (train[0], labels), test, len(names))

    def _pair(
        self, path: Path, found: Mapping[str, Any], keys: tuple[str, str]
    ) -> tuple[Floats, NDArray[np.int64]]:
        x, y = (np.asarray(found[key][()]) for key in keys)
        named = getattr(self, keys[0]), getattr(self, keys[1])
        if x.dtype.kind not in "fiub" or x.ndim < 2 or x.size == 0:
            given = f"shape {x.shape} of {x.dtype}"
            raise InputError(
                f"{path}: {named[0]}", given, "real numbers, (samples, inputs), one of each at least"
            )
        if y.dtype.kind not in "iu" or y.shape != (len(x),):
            given = f"shape {y.shape} of {y.dtype}"
            raise InputError(f"{path}: {named[1]}", given, f"integer labels, ({len(x)},)")
        flat = x.reshape(len(x), -1).astype(np.float64)
        bad = np.argwhere(~np.isfinite(flat))
        if len(bad):
            row, column = bad[0].tolist()
            given = f"{flat[row, column]} in sample {row}, input {column}"
            raise InputError(f"{path}: {named[0]}", given, "finite numbers")
        return flat, y.astype(np.int64)

    def _dataset(self, path: Path, file: Any, key: str) -> Any:
        """Return a data set that is wholly in the file; no value of it is read."""
        from spiking import hdf5  # noqa: PLC0415 (it imports h5py)

        name = getattr(self, key)
        found = dataset(path, file, key, name)
        if not found.is_virtual and found.dtype.kind not in "fiub":
            allowed = (
                "integer labels, (samples,)" if key.startswith("y") else "real numbers, (samples, inputs)"
            )
            raise InputError(f"{path}: {name}", f"shape {found.shape} of {found.dtype}", allowed)
        try:
            hdf5.check_array(name, found)
        except hdf5.RefusedError as error:
            allowed = "numbers that are in the file itself, compressed by deflate or LZF at most"
            raise InputError(f"task.{key}", name, allowed, f"{error}.") from None
        return found


def dataset(path: Path, file: Any, key: str, name: str) -> Any:
    """Return a data set by its own name, in the file itself; no value of it is read.

    Args:
        path: of the file, to blame.
        file: the open file.
        key: the task's key that says the name.
        name: of the data set, with its groups.

    Raises:
        InputError: there is none, or it is reached through a link.
    """
    import h5py  # noqa: PLC0415

    steps = name.strip("/").split("/")
    for depth in range(1, len(steps) + 1):
        link = file.get("/".join(steps[:depth]), getlink=True)
        if isinstance(link, h5py.ExternalLink):
            raise InputError(f"task.{key}", name, f"a data set of {path} itself, not of {link.filename}")
        if isinstance(link, h5py.SoftLink):  # it may lead to one of those
            raise InputError(f"task.{key}", name, f"a data set of {path}, by its own name: {link.path}")
    found = file.get(name)
    if not isinstance(found, h5py.Dataset):
        known: list[str] = []
        file.visititems(lambda at, item: known.append(at) if isinstance(item, h5py.Dataset) else None)
        raise InputError(f"task.{key}", name, f"a data set of {path}: {', '.join(known) or 'it has none'}")
    return found
