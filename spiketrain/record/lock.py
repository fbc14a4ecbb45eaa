"""One run per folder: an advisory lock that vanishes with the process that holds it."""

from __future__ import annotations

import fcntl
import os
import stat
from io import FileIO
from pathlib import Path
from typing import final

from root.errors import InputError

__all__ = ["LOCK", "FolderLock"]

LOCK = ".lock"
"""The file the lock is on. It stays: removing it would let two processes lock two files of one name."""


@final
class FolderLock:
    """An exclusive lock on a folder, held until `release` or the end of the process.

    Args:
        folder: an existing folder.

    Raises:
        InputError: another process holds it.
        OSError: there can be no such file, or it is something else.
    """

    def __init__(self, folder: Path) -> None:
        self._file: FileIO | None = FileIO(folder / LOCK, "a", opener=_open)
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            self.release()
            raise InputError(
                "output",
                str(folder),
                "a folder that no other run is writing to",
                "Wait for that run to end, or choose another folder.",
            ) from None

    def release(self) -> None:
        """Let others in; a second call does nothing."""
        if self._file is not None:
            self._file.close()
            self._file = None


def _open(path: str, flags: int) -> int:
    """Open the file the lock is on: neither through a link nor a pipe, which would be waited for."""
    handle = os.open(path, flags | os.O_NONBLOCK | os.O_NOFOLLOW | os.O_CLOEXEC, 0o666)
    if not stat.S_ISREG(os.fstat(handle).st_mode):
        os.close(handle)
        raise OSError(f"{path} is no file")
    return handle
