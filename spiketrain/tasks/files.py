"""Where a task's files are, and how much of what is in them fits into the memory."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from root.arrays import Header
from root.errors import InputError

__all__ = ["COPIES", "MEMORY_BYTES", "afford", "locate", "taken"]

MEMORY_BYTES = 8_000_000_000
"""What data may take where nothing else is said: the default of ``limits.memory_gb``."""

COPIES = 4
"""Of the values in float64, at the worst moment: as read, scaled, as tensors, split."""


def locate(name: str, data_dir: Path | None, key: str) -> Path:
    """Return the file called `name`, within `data_dir` unless its path is absolute.

    Raises:
        InputError: there is none.
    """
    path = (data_dir or Path()) / name
    fix = "--data-dir names the folder of the data" if data_dir is None else f"Looked in {data_dir}"
    try:
        if path.is_dir():
            raise InputError(key, str(path), "a file, not a folder")
        if not path.is_file():
            raise InputError(key, str(path), "an existing file", fix)
    except OSError as error:
        raise InputError(key, str(path), "an existing file", error.strerror or "") from None
    return path


def taken(*headers: Header) -> int:
    """Return how many bytes arrays and their copies in float64 take."""
    return sum(header.nbytes + 8 * COPIES * header.size for header in headers)


def afford(source: str, headers: Mapping[str, Header], memory_bytes: int) -> None:
    """Look at headers before anything is unpacked, or made.

    Args:
        source: where the arrays come from.
        headers: of the arrays.
        memory_bytes: what there is for them.

    Raises:
        InputError: the arrays, and their copies in float64, would take more.
    """
    needed = taken(*headers.values())
    if needed > memory_bytes:
        shapes = ", ".join(f"{name} {header.shape}" for name, header in headers.items())
        raise InputError(
            "limits.memory_gb",
            f"data that take about {needed / 1e9:.3g} GB ({shapes} of {source})",
            f"at most {max(memory_bytes, 0) / 1e9:.3g} GB beside the run itself",
            "fewer or smaller samples, or a higher limits.memory_gb",
        )
