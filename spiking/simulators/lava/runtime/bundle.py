"""The file both sides exchange: named arrays and a JSON header, versioned, without pickle.

A bundle is a ``.npz`` archive (every member with a checksum) whose member ``header`` holds the JSON.
"""

from __future__ import annotations

import json
import os
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["VERSION", "Arrays", "BundleError", "read", "write"]

FORMAT = "spiketrain-lava"

VERSION = 2
"""Version of the bundle; both sides must have the same."""

Arrays = dict[str, NDArray[Any]]


class BundleError(ValueError):
    """A bundle is damaged or of another version."""


def write(path: Path, header: Mapping[str, Any], arrays: Mapping[str, NDArray[Any]]) -> None:
    """Write a bundle under a temporary name and rename it, so that a half-written one is never read.

    Raises:
        OSError: the disk is full, or the folder is gone.
    """
    text = json.dumps({"format": FORMAT, "version": VERSION, **header})
    temporary = path.with_name(path.name + ".part")
    try:
        with temporary.open("wb") as file:
            members: dict[str, Any] = {"header": np.frombuffer(text.encode(), np.uint8), **arrays}
            np.savez(file, **members)
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def read(path: Path) -> tuple[dict[str, Any], Arrays]:
    """Read a bundle.

    Raises:
        BundleError: it is damaged, or of another version.
    """
    try:
        # Opened here: numpy leaves a file open that it cannot read as an archive.
        with path.open("rb") as file, np.load(file, allow_pickle=False) as members:
            arrays = {name: members[name] for name in members.files}
        header = json.loads(arrays.pop("header").tobytes())
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile, NotImplementedError) as error:
        raise BundleError(f"{path.name} is not a whole bundle: {error}") from None
    found = (header.get("format"), header.get("version")) if isinstance(header, dict) else None
    if found != (FORMAT, VERSION):
        raise BundleError(f"{path.name} is of format {found}, not {(FORMAT, VERSION)}")
    return header, arrays
