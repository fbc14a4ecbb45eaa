"""Where a task's files are, and the errors for files that cannot be read."""

from __future__ import annotations

from pathlib import Path

from rate_bridge.errors import InputError

__all__ = ["MAX_BYTES", "locate"]

MAX_BYTES = 4_000_000_000
"""Largest array that is read, unpacked: a file cannot fill the memory."""


def locate(name: str, data_dir: Path | None, key: str) -> Path:
    """Return the readable file called `name`, within `data_dir` unless its path is absolute.

    Raises:
        InputError: there is none.
    """
    path = (data_dir or Path()) / name
    fix = "--data-dir names the folder of the data" if data_dir is None else f"Looked in {data_dir}"
    if path.is_dir():
        raise InputError(key, str(path), "a file, not a folder")
    if not path.is_file():
        raise InputError(key, str(path), "an existing file", fix)
    return path
