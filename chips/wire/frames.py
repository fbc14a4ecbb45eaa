"""Frames: a fixed prefix, a JSON header, and arrays as raw little-endian bytes.

::

    "STCW"  version  0   header bytes  body bytes     header (JSON)    body
    4       u16      u16 u32           u64            ...              arrays, one after the other

The header says type and shape of every array; lengths are checked against limits and against each other
before anything is read by them.
"""

from __future__ import annotations

import json
import math
import struct
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["HEADER", "PREFIX", "VERSION", "FrameError", "body_of", "frame", "header_of", "lengths"]

VERSION = 1

MAGIC = b"STCW"

PREFIX = struct.Struct("<4sHHIQ")

HEADER = 1 << 20
"""Longest header in bytes."""

TYPES = {
    name: np.dtype(name).newbyteorder("<")
    for name in ("bool", "uint8", "int32", "int64", "float32", "float64")
}

AXES, LONGEST = 8, 1 << 31
"""Most axes of an array, and the longest."""


class FrameError(ValueError):
    """What came through the wire is no frame of this version, or says nothing that is understood.

    Args:
        wanted: what would have been one, in words.
        lost: whether nobody can tell any more where the next frame begins.
    """

    def __init__(self, wanted: str, *, lost: bool = False) -> None:
        super().__init__(wanted)
        self.wanted, self.lost = wanted, lost


def frame(header: dict[str, Any], arrays: Sequence[NDArray[Any]] = ()) -> list[bytes | memoryview]:
    """Return the pieces of a frame, to be sent in order; arrays are not copied.

    Args:
        header: what JSON can say; the key ``arrays`` is the frame's own.
        arrays: contiguous ones of a type from `TYPES`.

    Raises:
        TypeError: an array is of another type.
    """
    kinds = []
    for array in arrays:
        if array.dtype.name not in TYPES:
            raise TypeError(f"arrays of {array.dtype} cannot go through the wire")
        kinds.append([array.dtype.name, list(array.shape)])
    text = json.dumps({**header, "arrays": kinds}, allow_nan=False, separators=(",", ":")).encode()
    raw = [a.astype(TYPES[a.dtype.name], copy=False).reshape(-1).view(np.uint8).data for a in arrays]
    prefix = PREFIX.pack(MAGIC, VERSION, 0, len(text), sum(piece.nbytes for piece in raw))
    return [prefix + text, *raw]


def lengths(prefix: bytes, most: int) -> tuple[int, int]:
    """Return how long header and body are.

    Args:
        prefix: the first bytes of a frame.
        most: longest body in bytes.

    Raises:
        FrameError: they are no frame's, another version's, or too long.
    """
    magic, version, zero, header, body = PREFIX.unpack(prefix)
    if magic != MAGIC or zero != 0:
        raise FrameError("a frame, which begins with STCW", lost=True)
    if version != VERSION:
        raise FrameError(f"frames of version {VERSION}, not {version}", lost=True)
    if header > HEADER:
        raise FrameError(f"a header of at most {HEADER} bytes, not {header}", lost=True)
    if body > most:
        raise FrameError(f"a body of at most {most} bytes, not {body}", lost=True)
    return header, body


def header_of(raw: bytes) -> dict[str, Any]:
    """Return a frame's header.

    Raises:
        FrameError: it is no JSON object with arrays.
    """
    try:
        header = json.loads(raw)
    except (ValueError, RecursionError):
        raise FrameError("a header in JSON") from None
    if not isinstance(header, dict) or not isinstance(header.get("arrays"), list):
        raise FrameError("a header that is an object with arrays")
    return header


def body_of(header: dict[str, Any], raw: bytearray) -> list[NDArray[Any]]:
    """Return a frame's arrays, as views of its body.

    Raises:
        FrameError: header and body do not fit.
    """
    arrays, place = [], 0
    for entry in header.pop("arrays"):
        match entry:
            case [str(name), list(shape)] if name in TYPES and len(shape) <= AXES:
                if not all(type(size) is int and 0 <= size <= LONGEST for size in shape):
                    raise FrameError("sizes of arrays that the body can hold")
            case _:
                raise FrameError(f"arrays of {', '.join(TYPES)}, each with a shape")
        size = math.prod(shape) * TYPES[name].itemsize
        if place + size > len(raw):
            raise FrameError("a body as long as its arrays")
        count = math.prod(shape)
        flat = np.frombuffer(raw, TYPES[name], count, place) if count else np.zeros(0, TYPES[name])
        array = flat.reshape(shape)
        if name == "bool" and bool((array.view(np.uint8) > 1).any()):
            raise FrameError("truth values of 0 or 1")
        arrays.append(np.require(array.astype(np.dtype(name), copy=place % 8 != 0), requirements=["W"]))
        place += size
    if place != len(raw):
        raise FrameError("a body as long as its arrays")
    return arrays
