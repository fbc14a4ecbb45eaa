"""Where what is made once on a machine is kept: programs, and environments."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from root.errors import InputError

__all__ = ["cache_folder", "writing_to"]


def cache_folder(name: str) -> Path:
    """Return the folder `name` in the platform's cache folder, or in ``$XDG_CACHE_HOME``."""
    given = os.environ.get("XDG_CACHE_HOME")
    own = Path.home() / ("Library/Caches" if sys.platform == "darwin" else ".cache")
    return (Path(given) if given else own) / "spiketrain" / name


@contextmanager
def writing_to(folder: Path) -> Iterator[None]:
    """Make a folder and write to it.

    Raises:
        InputError: it cannot be made, or not be written to.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        yield
    except OSError as error:
        fix = "set XDG_CACHE_HOME to a folder that can be written"
        raise InputError("XDG_CACHE_HOME", str(folder), f"a folder for programs ({error})", fix) from error
