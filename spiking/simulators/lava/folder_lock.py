"""A lock between processes that ends with its holder, whatever ends it."""

from __future__ import annotations

import fcntl
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

__all__ = ["folder_lock"]


@contextmanager
def folder_lock(path: Path) -> Iterator[None]:
    """Hold the lock file `path` exclusively, waiting for whoever holds it."""
    with path.open("a") as handle:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield
