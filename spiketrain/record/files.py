"""Files that are either there as a whole or not at all: temporary name, fsync, rename."""

from __future__ import annotations

import json
import math
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import yaml
from safetensors import safe_open
from safetensors.torch import save
from torch import Tensor

__all__ = [
    "is_leftover",
    "plain",
    "read_json",
    "read_tensors",
    "read_yaml",
    "write_bytes",
    "write_json",
    "write_tensors",
    "write_text",
    "write_yaml",
]

_NOTE = "json"
"""The one key of a tensor file's header: with several, their order in the file would be arbitrary."""


def write_bytes(path: Path, data: bytes) -> None:
    """Put `data` at `path`; whoever reads, at any moment, finds the old content or the new, whole.

    Raises:
        OSError: the disk is full, or the folder cannot be written to; the old file is still there.
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        with temporary.open("wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    _sync_folder(path.parent)


def _sync_folder(folder: Path) -> None:
    """Make the rename itself survive a power cut."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def is_leftover(name: str) -> bool:
    """Return whether a file of this name was left by a writer that was killed."""
    return name.startswith(".") and name.endswith(".tmp")


def write_text(path: Path, text: str) -> None:
    """Write UTF-8 text; see `write_bytes`."""
    write_bytes(path, text.encode())


def write_json(path: Path, content: object) -> None:
    """Write JSON; NaN and infinities become null, tensors and arrays become lists."""
    write_text(path, _dumps(content, indent=2) + "\n")


def read_json(path: Path) -> Any:
    """Read JSON."""
    return json.loads(path.read_text(encoding="utf-8"))


def write_yaml(path: Path, content: object) -> None:
    """Write YAML that `read_yaml` turns into the same values, in the same order of keys."""
    write_text(path, yaml.safe_dump(plain(content), sort_keys=False, allow_unicode=True))


def read_yaml(path: Path) -> Any:
    """Read YAML; nothing in it is executed."""
    return yaml.safe_load(path.read_text(encoding="utf-8"))


def write_tensors(path: Path, tensors: Mapping[str, Tensor], note: object = None) -> None:
    """Write tensors by name, and with them a note that JSON can hold, as one file.

    Args:
        path: where to.
        tensors: any shapes and types; they are copied to the CPU.
        note: read back by `read_tensors` as it was, apart from NaN, which becomes null.
    """
    # Safetensors refuses tensors that share memory or are not contiguous: copies are neither.
    copies = {name: tensor.detach().cpu().contiguous().clone() for name, tensor in tensors.items()}
    write_bytes(path, save(copies, metadata={_NOTE: _dumps(note)}))


def read_tensors(path: Path) -> tuple[dict[str, Tensor], Any]:
    """Read what `write_tensors` wrote: the tensors and the note."""
    with safe_open(path, framework="pt") as file:
        note = (file.metadata() or {}).get(_NOTE, "null")
        return {name: file.get_tensor(name) for name in file.keys()}, json.loads(note)  # noqa: SIM118


def _dumps(content: object, indent: int | None = None) -> str:
    return json.dumps(_finite(plain(content)), indent=indent, allow_nan=False, ensure_ascii=False)


def plain(value: object) -> Any:
    """Return `value` in terms of dicts, lists, strings, numbers, booleans and None."""
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    if isinstance(value, set | frozenset):
        return sorted(plain(item) for item in value)
    if isinstance(value, Tensor | np.ndarray | np.generic):
        return value.tolist()
    if value is None or isinstance(value, str | bool | int | float):
        return value
    return str(value)


def _finite(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _finite(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_finite(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
