"""Folders for what a process needs while it runs: gone with it, or at the next start of one like it."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from root.errors import InputError
from spiketrain.record.lock import LOCK, FolderLock

__all__ = ["scratch"]

NEW, USED = "spiketrain-new-", "spiketrain-study-"
"""How the names begin: of a folder that is not locked yet, and of one that is, or whose owner was killed."""


@contextmanager
def scratch() -> Iterator[Path]:
    """Make a folder that nobody else can look into, and remove those that killed processes left.

    Raises:
        InputError: there is no space, or no permission.
    """
    try:
        _remove_abandoned(Path(tempfile.gettempdir()))
        new = Path(tempfile.mkdtemp(prefix=NEW))
        lock = FolderLock(new)
        folder = new.rename(new.with_name(new.name.replace(NEW, USED)))
    except OSError as error:
        raise InputError("TMPDIR", tempfile.gettempdir(), "a folder with space left", str(error)) from None
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        lock.release()


def _remove_abandoned(place: Path) -> None:
    for folder in place.glob(f"{USED}*"):
        status = folder.lstat()
        if status.st_uid != os.getuid() or folder.is_symlink() or not (folder / LOCK).is_file():
            continue
        try:
            lock = FolderLock(folder)
        except (InputError, OSError):
            continue  # its owner is alive
        shutil.rmtree(folder, ignore_errors=True)
        lock.release()
