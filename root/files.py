"""The one place where files from outside are opened.

Whatever a file is for, it is a regular file (a pipe would be waited for, a device never ends) of a
bounded size, both known of the very file that is open, before anything is read from it.
"""

from __future__ import annotations

import errno
import hashlib
import os
import stat
from collections.abc import Mapping
from pathlib import Path
from typing import BinaryIO

import numpy as np
from numpy.typing import NDArray

from root.errors import InputError

__all__ = ["checksum", "open_regular", "read_regular"]

KINDS = (
    (stat.S_ISDIR, "a folder"),
    (stat.S_ISFIFO, "a pipe"),
    (stat.S_ISSOCK, "a socket"),
    (stat.S_ISCHR, "a device"),
    (stat.S_ISBLK, "a device"),
)


def open_regular(
    path: Path, key: str, kind: str, limit: int, wrong: type[InputError] = InputError
) -> BinaryIO:
    """Return the open file at `path`.

    Args:
        path: where it is.
        key: what to blame.
        kind: what it should be, such as ``"NIR file"``.
        limit: largest size in bytes.
        wrong: the error to raise.

    Raises:
        InputError: there is none, it may not be read, it is no regular file, or it is too large.
    """
    try:
        handle = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except (OSError, ValueError) as error:
        said = getattr(error, "strerror", None) or str(error)
        said = "It is a socket" if getattr(error, "errno", None) == errno.ENXIO else said
        raise wrong(key, str(path), f"a readable {kind}", said) from None
    file = os.fdopen(handle, "rb", closefd=True) if _is_regular(handle) else None
    if file is None:
        what = next((name for test, name in KINDS if test(os.fstat(handle).st_mode)), "something else")
        os.close(handle)
        raise wrong(key, str(path), f"a readable {kind}", f"It is {what}.")
    size = os.fstat(handle).st_size
    if size > limit:
        file.close()
        raise wrong(key, f"{path} of {size} bytes", f"a {kind} of at most {limit} bytes")
    return file


def read_regular(path: Path, key: str, kind: str, limit: int, wrong: type[InputError] = InputError) -> bytes:
    """Return the content of the file at `path`; see `open_regular`."""
    try:
        with open_regular(path, key, kind, limit, wrong) as file:
            content = file.read(limit + 1)
    except (OSError, MemoryError) as error:
        said = getattr(error, "strerror", None) or "There is not enough memory."
        raise wrong(key, str(path), f"a readable {kind}", said) from None
    if len(content) > limit:  # it grew, or its size is a lie, as in /proc
        raise wrong(key, f"{path} of more than {limit} bytes", f"a {kind} of at most {limit} bytes")
    return content


def checksum(arrays: Mapping[str, NDArray[np.generic]]) -> str:
    """Return what tells arrays from any others: SHA-256 of names, types, shapes and values.

    How they are packed into files makes no difference.
    """
    digest = hashlib.sha256()
    for name in sorted(arrays):
        array = np.ascontiguousarray(arrays[name])
        digest.update(f"{name} {array.dtype.str} {array.shape}\n".encode())
        digest.update(array.reshape(-1).view(np.uint8).data)
    return digest.hexdigest()


def _is_regular(handle: int) -> bool:
    return stat.S_ISREG(os.fstat(handle).st_mode)
