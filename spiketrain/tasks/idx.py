"""Images and labels in IDX files, as MNIST and its relatives come."""

from __future__ import annotations

import gzip
import os
from collections.abc import Mapping
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, BinaryIO, final

import numpy as np
from numpy.typing import NDArray

from root.arrays import DEFLATE, MAX_FILE_BYTES, UNREADABLE, Header
from root.errors import InputError
from root.files import checksum, open_regular
from root.ranges import SAMPLES, check_ranges
from spiketrain.tasks.base import Task, TaskData
from spiketrain.tasks.files import MEMORY_BYTES, afford, locate, taken

__all__ = ["IdxFiles", "read_idx"]

UNSIGNED_BYTES = 0x08

GZIP_START = b"\x1f\x8b"

MAX_AXES = 8


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
    train_samples: Annotated[int, SAMPLES] | None = None
    test_samples: Annotated[int, SAMPLES] | None = None

    def __post_init__(self) -> None:
        check_ranges(self)

    def load(self, data_dir: Path | None, memory_bytes: int = MEMORY_BYTES) -> TaskData:
        read: dict[str, NDArray[np.uint8]] = {}
        for field in ("train_images", "train_labels", "test_images", "test_labels"):
            before = taken(*(Header(array.shape, array.dtype) for array in read.values()))
            read[field] = self._read(field, data_dir, memory_bytes - before)
        train, test = self._pair("train", read), self._pair("test", read)
        if train[0].shape[1] != test[0].shape[1]:
            sizes = [int(train[0].shape[1]), int(test[0].shape[1])]
            raise InputError(
                "task.test_images", sizes, "test images of as many pixels as the training images"
            )
        classes = int(train[1].max()) + 1
        if test[1].max() >= classes:
            allowed = f"labels from 0 to {classes - 1}, as in the training set"
            raise InputError("task.test_labels", int(test[1].max()), allowed)
        return TaskData.of_arrays(train, test, classes=classes, sha256=checksum(read))

    def _pair(
        self, part: str, read: Mapping[str, NDArray[np.uint8]]
    ) -> tuple[NDArray[np.float64], NDArray[np.uint8]]:
        images, labels = read[f"{part}_images"], read[f"{part}_labels"]
        if images.ndim < 2 or len(images) == 0:
            raise InputError(f"task.{part}_images", images.shape, "images, (samples, rows, columns)")
        if labels.shape != images.shape[:1]:
            allowed = f"one label for each of the {len(images)} images"
            raise InputError(f"task.{part}_labels", labels.shape, allowed)
        wanted = getattr(self, f"{part}_samples") or len(images)
        if wanted > len(images):
            raise InputError(f"task.{part}_samples", wanted, f"at most the {len(images)} samples of the file")
        return images[:wanted].reshape(wanted, -1) / 255.0, labels[:wanted]

    def _read(self, field: str, data_dir: Path | None, memory_bytes: int) -> NDArray[np.uint8]:
        name, key = str(Path(self.folder) / getattr(self, field)), f"task.{field}"
        if not ((data_dir or Path()) / name).exists() and ((data_dir or Path()) / f"{name}.gz").exists():
            name += ".gz"
        return read_idx(locate(name, data_dir, key), key, memory_bytes)


def read_idx(path: Path, key: str, memory_bytes: int = MEMORY_BYTES) -> NDArray[np.uint8]:
    """Return the array in an IDX file of unsigned bytes, compressed by gzip or not.

    The file starts with two zero bytes, the type's code and the number of axes; then every axis' size
    as a big-endian 32-bit integer, then the values, last axis fastest.

    Raises:
        InputError: the file is not in that form, or shorter or longer than it says.
    """
    with open_regular(path, key, "IDX file", MAX_FILE_BYTES) as raw:
        size = os.fstat(raw.fileno()).st_size
        packed = raw.read(2) == GZIP_START
        raw.seek(0)
        try:
            with gzip.open(raw) if packed else nullcontext(raw) as file:
                header = _header(path, key, file, DEFLATE * size if packed else size)
                afford(str(path), {key: header}, memory_bytes)
                content = file.read(header.size + 1)
        except InputError:
            raise
        except UNREADABLE as error:
            raise InputError(key, str(path), "a readable IDX file, whole", str(error)) from None
    if len(content) != header.size:
        found = "more" if len(content) > header.size else f"{len(content)}"
        allowed = f"{header.size} values, as its shape {header.shape} says"
        raise InputError(key, f"{path} with {found} values", allowed)
    return np.frombuffer(content, dtype=np.uint8).reshape(header.shape)


def _header(path: Path, key: str, file: BinaryIO | gzip.GzipFile, most: int) -> Header:
    """Return what the beginning of a file says is in it; `most` bytes can be."""
    start = file.read(4)
    if len(start) < 4 or start[:2] != b"\0\0" or start[2] != UNSIGNED_BYTES:
        allowed = "an IDX file of unsigned bytes: it starts with 00 00 08"
        raise InputError(key, f"{path}, which starts with {start.hex(' ')}", allowed)
    axes = file.read(4 * start[3])
    if not 0 < start[3] <= MAX_AXES or len(axes) != 4 * start[3]:
        raise InputError(
            key, f"{path} of {start[3]} axes", f"1 to {MAX_AXES} axes, their sizes in the header"
        )
    header = Header(tuple(int(size) for size in np.frombuffer(axes, dtype=">u4")), np.dtype(np.uint8))
    if header.size > most:
        allowed = f"a shape that fits into the file, {most} values at most"
        raise InputError(key, f"{path} of shape {header.shape}", allowed)
    return header
