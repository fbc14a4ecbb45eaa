"""Tensors in safetensors files, wherever such a file comes from.

The format is a header in JSON and the bytes of the tensors, one after the other without gaps, which the
library checks: a file cannot hold more than its own size, so that size is all that has to be bounded.

Source: https://github.com/huggingface/safetensors (the format).
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from safetensors import SafetensorError
from safetensors.torch import load
from torch import Tensor

from root.errors import InputError
from root.files import read_regular

__all__ = ["MAX_BYTES", "read_tensors", "tensors_of"]

MAX_BYTES = 16_000_000_000

LENGTH = 8
"""Bytes of the header's length, at the beginning."""

UNREADABLE = (SafetensorError, LookupError, MemoryError, RecursionError, RuntimeError, TypeError, ValueError)
"""What a damaged file makes the library and JSON say."""


def read_tensors(
    path: Path, key: str, wrong: type[InputError] = InputError, limit: int = MAX_BYTES
) -> tuple[dict[str, Tensor], dict[str, str]]:
    """Return the tensors in a file by name, and the texts in its header.

    Args:
        path: where it is.
        key: what to blame.
        wrong: the error to raise.
        limit: largest size in bytes.

    Raises:
        InputError: it cannot be read, or is damaged.
    """
    return tensors_of(read_regular(path, key, "safetensors file", limit, wrong), str(path), key, wrong)


def tensors_of(
    content: bytes, source: str, key: str, wrong: type[InputError] = InputError
) -> tuple[dict[str, Tensor], dict[str, str]]:
    """Return the tensors in a file's content by name, and the texts in its header.

    Args:
        content: of the file.
        source: what to call it.
        key: what to blame.
        wrong: the error to raise.

    Raises:
        InputError: it is damaged.
    """
    try:
        tensors = load(content)
        header: Any = json.loads(content[LENGTH : LENGTH + int.from_bytes(content[:LENGTH], "little")])
    except UNREADABLE as error:
        raise wrong(key, source, "a whole safetensors file", f"{error}") from None
    return tensors, dict(header.get("__metadata__") or {})
