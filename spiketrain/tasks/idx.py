"""Images and labels in IDX files, as MNIST and its relatives come."""

from __future__ import annotations

import gzip
import math
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import final

import numpy as np
from numpy.typing import NDArray

from rate_bridge.errors import InputError
from spiketrain.tasks.base import Task, TaskData
from spiketrain.tasks.files import MAX_BYTES, locate

__all__ = ["IdxFiles", "read_idx"]

UNSIGNED_BYTES = 0x08

GZIP_START = b"\x1f\x8b"


@final
@dataclass(frozen=True)
class IdxFiles(Task):
    """Four IDX files of unsigned bytes, compressed by gzip or not; pixels are divided by 255.

    A name is found with ``.gz`` at its end as well. The number of classes is that of the largest label.

    Source: LeCun, Cortes, Burges, "The MNIST database of handwritten digits" (the format).

    Args:
        folder: where the files are, within ``--data-dir`` unless absolute.
        train_images: file of the training images.
        train_labels: file of the training labels.
        test_images: file of the test images.
        test_labels: file of the test labels.
        train_samples: use this many training samples, the first ones; null for all.
        test_samples: use this many test samples, the first ones; null for all.
    """

    folder: str = "."
    train_images: str = "train-images-idx3-ubyte"
    train_labels: str = "train-labels-idx1-ubyte"
    test_images: str = "t10k-images-idx3-ubyte"
    test_labels: str = "t10k-labels-idx1-ubyte"
    train_samples: int | None = None
    test_samples: int | None = None

    def __post_init__(self) -> None:
        for name in ("train_samples", "test_samples"):
            count = getattr(self, name)
            if count is not None and count < 1:
                raise InputError(name, count, "a number of 1 or more, or null for all")

    def load(self, data_dir: Path | None) -> TaskData:
        train = self._pair("train", data_dir)
        test = self._pair("test", data_dir)
        if train[0].shape[1] != test[0].shape[1]:
            sizes = [int(train[0].shape[1]), int(test[0].shape[1])]
            raise InputError(
                "task.test_images", sizes, "test images of as many pixels as the training images"
            )
        classes = int(train[1].max()) + 1
        if test[1].max() >= classes:
            allowed = f"labels from 0 to {classes - 1}, as in the training set"
            raise InputError("task.test_labels", int(test[1].max()), allowed)
        return TaskData.of_arrays(train, test, classes=classes)

    def _pair(self, part: str, data_dir: Path | None) -> tuple[NDArray[np.float64], NDArray[np.uint8]]:
        images = self._read(f"{part}_images", data_dir)
        labels = self._read(f"{part}_labels", data_dir)
        if images.ndim < 2 or len(images) == 0:
            raise InputError(f"task.{part}_images", images.shape, "images, (samples, rows, columns)")
        if labels.shape != images.shape[:1]:
            allowed = f"one label for each of the {len(images)} images"
            raise InputError(f"task.{part}_labels", labels.shape, allowed)
        wanted = getattr(self, f"{part}_samples") or len(images)
        if wanted > len(images):
            raise InputError(f"task.{part}_samples", wanted, f"at most the {len(images)} samples of the file")
        return images[:wanted].reshape(wanted, -1) / 255.0, labels[:wanted]

    def _read(self, field: str, data_dir: Path | None) -> NDArray[np.uint8]:
        name, key = str(Path(self.folder) / getattr(self, field)), f"task.{field}"
        if not ((data_dir or Path()) / name).exists() and ((data_dir or Path()) / f"{name}.gz").exists():
            name += ".gz"
        return read_idx(locate(name, data_dir, key), key)


def read_idx(path: Path, key: str) -> NDArray[np.uint8]:
    """Return the array in an IDX file of unsigned bytes, compressed by gzip or not.

    The file starts with two zero bytes, the type's code and the number of axes; then every axis' size
    as a big-endian 32-bit integer, then the values, last axis fastest.

    Raises:
        InputError: the file is not in that form, or shorter or longer than it says.
    """
    try:
        with path.open("rb") as raw:
            packed = raw.read(2) == GZIP_START
        with gzip.open(path) if packed else path.open("rb") as file:
            start = file.read(4)
            if len(start) < 4 or start[:2] != b"\0\0" or start[2] != UNSIGNED_BYTES:
                allowed = "an IDX file of unsigned bytes: it starts with 00 00 08"
                raise InputError(key, f"{path}, which starts with {start.hex(' ')}", allowed)
            axes = file.read(4 * start[3])
            shape = (
                tuple(int(size) for size in np.frombuffer(axes, dtype=">u4")) if len(axes) % 4 == 0 else ()
            )
            size = math.prod(shape)
            if len(shape) != start[3] or size > MAX_BYTES:
                raise InputError(key, f"{path} of shape {shape}", f"a shape of at most {MAX_BYTES} values")
            content = file.read(size + 1)
    except (OSError, EOFError, zlib.error) as error:
        raise InputError(key, str(path), "a readable IDX file, whole", str(error)) from None
    if len(content) != size:
        found = "more" if len(content) > size else f"{len(content)}"
        raise InputError(key, f"{path} with {found} values", f"{size} values, as its shape {shape} says")
    return np.frombuffer(content, dtype=np.uint8).reshape(shape)
