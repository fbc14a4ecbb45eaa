"""Files of runs and studies: whole or not there at all (temporary name, fsync, rename), and read with care.

A folder may have been damaged, or come from somebody else: what is read is bounded and checked like any other
input, and refused by its file (`DamagedError`).
"""

from __future__ import annotations

import json
import math
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from safetensors.torch import save
from torch import Tensor

from root.errors import DamagedError, InputError
from root.files import checksum, read_regular
from spiketrain.reading import MAX_NODES, dump_yaml, parse
from spiking import tensor_files

__all__ = [
    "digest",
    "is_leftover",
    "json_bytes",
    "json_of",
    "plain",
    "read_json",
    "read_tensors",
    "read_yaml",
    "remove_leftovers",
    "tensor_bytes",
    "tensors_of",
    "write_bytes",
    "write_json",
    "write_tensors",
    "write_text",
    "write_yaml",
    "yaml_bytes",
]

_NOTE = "json"
"""The one key of a tensor file's header: with several, their order in the file would be arbitrary."""

MAX_TEXT_BYTES = 200_000_000
"""Largest JSON, YAML or CSV file that is read."""

MAX_CONFIG_BYTES = 2_000_000

KEYS = ".dask-jobqueue.worker."
"""How the names of the files begin that hold the keys for SLURM's jobs, in a study's folder."""


def write_bytes(path: Path, data: bytes) -> None:
    """Put `data` at `path`; whoever reads, at any moment, finds the old content or the new, whole.

    Raises:
        OSError: the disk is full, or the folder cannot be written to; it names `path`, and the old file is
            still there.
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    temporary.unlink(missing_ok=True)  # of a killed process of the same number
    try:
        with temporary.open("xb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    except BaseException as error:
        temporary.unlink(missing_ok=True)
        if isinstance(error, OSError):
            error.filename = str(path)  # a write that fails names no file
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
    """Return whether a file of this name was left by a process that was killed."""
    return (name.startswith(".") and name.endswith(".tmp")) or name.startswith(KEYS)


def remove_leftovers(*folders: Path) -> None:
    """Remove what killed processes left in `folders`, where there are such; nobody else may write there."""
    for folder in folders:
        for path in folder.iterdir() if folder.is_dir() else ():
            if is_leftover(path.name) and not (path.is_dir() and not path.is_symlink()):
                path.unlink(missing_ok=True)


def write_text(path: Path, text: str) -> None:
    """Write UTF-8 text; see `write_bytes`."""
    write_bytes(path, text.encode())


def json_bytes(content: object) -> bytes:
    """Return JSON; NaN and infinities become null, tensors and arrays become lists."""
    return (_dumps(content, indent=2) + "\n").encode()


def write_json(path: Path, content: object) -> None:
    """Write JSON; see `json_bytes`."""
    write_bytes(path, json_bytes(content))


def read_json(path: Path) -> Any:
    """Read JSON.

    Raises:
        DamagedError: it cannot be read, or is no JSON.
    """
    return json_of(read_regular(path, str(path), "JSON file", MAX_TEXT_BYTES, DamagedError), str(path))


def json_of(content: bytes, place: str) -> Any:
    """Return what a JSON file says.

    Args:
        content: of the file.
        place: what to call it.

    Raises:
        DamagedError: it is no JSON.
    """
    try:
        return json.loads(content)
    except (ValueError, RecursionError) as error:
        raise DamagedError(place, "a damaged file", "a whole JSON file", f"{error}") from None


def yaml_bytes(content: object) -> bytes:
    """Return YAML that `read_yaml` turns into the same values, in the same order of keys."""
    return dump_yaml(plain(content)).encode()


def write_yaml(path: Path, content: object) -> None:
    """Write YAML; see `yaml_bytes`."""
    write_bytes(path, yaml_bytes(content))


def read_yaml(path: Path, *, nodes: int = MAX_NODES, size: int = MAX_CONFIG_BYTES) -> dict[str, Any]:
    """Read a mapping in YAML; see `spiketrain.reading.parse`.

    Args:
        path: where it is.
        nodes: most values.
        size: most bytes.

    Raises:
        DamagedError: it cannot be read, or is not what `write_yaml` writes.
    """
    content = read_regular(path, str(path), "YAML file", size, DamagedError)
    try:
        data = parse(content.decode("utf-8"), str(path), nodes)
    except UnicodeDecodeError as error:
        raise DamagedError(str(path), f"byte {error.start}", "a text in UTF-8") from None
    except InputError as error:
        raise DamagedError(error.key, error.given, error.allowed, error.fix) from None
    if not isinstance(data, dict):
        raise DamagedError(str(path), data, "a mapping of keys and values")
    return data


def tensor_bytes(tensors: Mapping[str, Tensor], note: object = None) -> bytes:
    """Return tensors by name, and with them a note that JSON can hold, as the content of one file.

    Args:
        tensors: any shapes and types; they are copied to the CPU.
        note: read back by `tensors_of` as it was, apart from NaN, which becomes null.
    """
    # Safetensors refuses tensors that share memory or are not contiguous: copies are neither.
    copies = {name: tensor.detach().cpu().contiguous().clone() for name, tensor in tensors.items()}
    return bytes(save(copies, metadata={_NOTE: _dumps(note)}))


def tensors_of(content: bytes, place: str) -> tuple[dict[str, Tensor], Any]:
    """Return what `tensor_bytes` was given: the tensors and the note.

    Args:
        content: of the file.
        place: what to call it.

    Raises:
        DamagedError: that is no such content.
    """
    return _with_note(*tensor_files.tensors_of(content, place, place, DamagedError), place)


def write_tensors(path: Path, tensors: Mapping[str, Tensor], note: object = None) -> None:
    """Write tensors and a note; see `tensor_bytes`."""
    write_bytes(path, tensor_bytes(tensors, note))


def read_tensors(path: Path) -> tuple[dict[str, Tensor], Any]:
    """Read what `write_tensors` wrote: the tensors and the note.

    Raises:
        DamagedError: it cannot be read.
    """
    return _with_note(*tensor_files.read_tensors(path, str(path), DamagedError), str(path))


def _with_note(
    tensors: dict[str, Tensor], notes: Mapping[str, str], place: str
) -> tuple[dict[str, Tensor], Any]:
    try:
        return tensors, json.loads(notes.get(_NOTE, "null"))
    except (ValueError, TypeError, RecursionError) as error:
        raise DamagedError(f"{place}: the note in its header", "a damaged text", "JSON", f"{error}") from None


def digest(tensors: Mapping[str, Tensor], note: object) -> str:
    """Return what tells some tensors and a note that JSON can hold from any others."""
    arrays: dict[str, Any] = {name: tensor.detach().cpu().numpy() for name, tensor in tensors.items()}
    return checksum({**arrays, " note": np.frombuffer(_dumps(note).encode(), dtype=np.uint8)})


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
