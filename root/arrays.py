"""NumPy's files, their headers first: what is in them is known before any of it is unpacked.

``.npy`` is a header (type, shape, order) and the values; ``.npz`` is a ZIP archive of such files. A header
may say anything, and 4 MB may unpack to 4 GB. So an array is only read when its header's size is that of its
file, its archive could really hold it, and its reader has looked at its shape.

Source: numpy.lib.format (the format); Deutsch 1996, RFC 1951 (a compressed byte holds 1032 at most).
"""

from __future__ import annotations

import math
import struct
import zipfile
import zlib
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import IO, Any, Self, final

import numpy as np
from numpy.typing import NDArray

from root.errors import InputError
from root.files import open_regular

npy: Any = np.lib.format  # its functions have no types

__all__ = ["DEFLATE", "UNREADABLE", "Archive", "Header", "read_npy"]

MAX_FILE_BYTES = 64_000_000_000
"""Largest file that is looked at; what may be read of it is up to the memory."""

MAX_AXES = 16

DEFLATE = 1032
"""Most bytes that one byte of a file compressed by deflate can unpack to."""

PACKED = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)

UNREADABLE = (
    OSError,
    EOFError,
    LookupError,
    MemoryError,
    NotImplementedError,
    OverflowError,
    RuntimeError,
    SyntaxError,
    TypeError,
    ValueError,
    struct.error,
    zipfile.BadZipFile,
    zlib.error,
)
"""What a damaged file makes NumPy and zipfile say."""

NUMBERS = "arrays of numbers, no Python objects"


@final
@dataclass(frozen=True)
class Header:
    """What a file says about an array.

    Args:
        shape: its axes.
        dtype: its type.
    """

    shape: tuple[int, ...]
    dtype: np.dtype[Any]

    @property
    def size(self) -> int:
        """Number of values."""
        return math.prod(self.shape)

    @property
    def nbytes(self) -> int:
        """Bytes of the values."""
        return self.size * self.dtype.itemsize


@final
class Archive:
    """An open ``.npz`` file; a context manager.

    Args:
        path: where it is.
        key: what to blame.

    Raises:
        InputError: it cannot be read, or is no such file.
    """

    def __init__(self, path: Path, key: str) -> None:
        self._path, self._key = path, key
        self._file = open_regular(path, key, ".npz file", MAX_FILE_BYTES)
        try:
            self._zip = zipfile.ZipFile(self._file)
        except UNREADABLE as error:
            self._file.close()
            raise InputError(key, str(path), "a file written by numpy.savez", str(error)) from None
        members = [member for member in self._zip.infolist() if member.filename.endswith(".npy")]
        self._members = {member.filename.removesuffix(".npy"): member for member in members}

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._zip.close()
        self._file.close()

    @property
    def names(self) -> list[str]:
        """Names of the arrays, in order."""
        return list(self._members)

    def header(self, name: str) -> Header:
        """Return what the file says about an array; none of its values is unpacked.

        Raises:
            InputError: it is no array of numbers or texts, or not as large as it says.
        """
        member = self._members[name]
        if member.compress_type not in PACKED:
            raise self._wrong("arrays that are stored, or compressed by deflate", f"{name} is not.")
        try:
            with self._zip.open(member) as file:
                found, start = _header(file)
        except UNREADABLE as error:
            raise self._wrong(NUMBERS, f"{name}: {error}") from None
        if found.dtype.hasobject:
            raise self._wrong(NUMBERS, f"{name} holds objects.")
        if start + found.nbytes != member.file_size or member.file_size > DEFLATE * member.compress_size:
            said = f"{name} of shape {found.shape} cannot be in it."
            raise self._wrong("a whole file, whose headers say what it holds", said)
        return found

    def read(self, name: str) -> NDArray[Any]:
        """Return an array, whose `header` was looked at.

        Raises:
            InputError: it is damaged, or the memory is full.
        """
        try:
            with self._zip.open(self._members[name]) as file:
                return np.asarray(npy.read_array(file, allow_pickle=False))
        except MemoryError:
            raise self._wrong("arrays that fit into the memory", f"{name} does not.") from None
        except UNREADABLE as error:
            raise self._wrong("a file written by numpy.savez", f"{name}: {error}") from None

    def _wrong(self, allowed: str, fix: str) -> InputError:
        return InputError(self._key, str(self._path), allowed, fix)


def read_npy(path: Path, key: str, limit: int) -> NDArray[Any]:
    """Return the array in a ``.npy`` file.

    Raises:
        InputError: it cannot be read, is larger than `limit` bytes, or holds anything but numbers or texts.
    """
    with open_regular(path, key, ".npy file", limit) as file:
        try:
            found, start = _header(file)
            size = file.seek(0, 2)
            if found.dtype.hasobject or start + found.nbytes != size:
                said = f"Its header says an array {found.shape} of {found.dtype}."
                raise InputError(key, str(path), f"a whole file of {NUMBERS}", said)
            file.seek(0)
            return np.asarray(npy.read_array(file, allow_pickle=False))
        except InputError:
            raise
        except UNREADABLE as error:
            raise InputError(key, str(path), NUMBERS, str(error)) from None


def _header(file: IO[bytes]) -> tuple[Header, int]:
    """Return the header at the beginning of a ``.npy`` file, and where the values begin."""
    version = npy.read_magic(file)
    readers = {(1, 0): npy.read_array_header_1_0, (2, 0): npy.read_array_header_2_0}
    if version not in readers:
        raise ValueError(f"version {version} of the format")
    shape, _, dtype = readers[version](file)
    whole = all(type(axis) is int and axis >= 0 for axis in shape)
    if not whole or len(shape) > MAX_AXES or math.prod(max(1, axis) for axis in shape) >= 2**62:
        raise ValueError(f"the shape {shape}")
    return Header(tuple(shape), dtype), file.tell()
