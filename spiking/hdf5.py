"""HDF5 files that hold no more than they are: looked through before anything is read from them.

HDF5 can refer to other files (external links, external storage, virtual data sets), to itself in circles
(links), and to nothing (chunks that were never written read as zeros; a compressed byte holds 1032 at most).
What this program reads has none of that: a tree of groups by hard links, and data sets whose values are in
the file, as they are or compressed by deflate or LZF.

Source: The HDF Group, HDF5 File Format Specification 3.0; Deutsch 1996, RFC 1951.
"""

from __future__ import annotations

import math
import struct
import zlib
from collections.abc import Iterator
from typing import Any

import h5py

from root.arrays import DEFLATE

__all__ = ["MAX_UNPACKED", "RefusedError", "check", "check_array", "check_lists"]

MAX_UNPACKED = 1_000_000_000
"""Most bytes that all data sets of a file may unpack to."""

MAX_OBJECTS = 50_000
MAX_DEPTH = 16
MAX_TEXTS = 100_000
MAX_TEXT_BYTES = 10_000_000
"""Of texts of varying length: they are stored apart, so that many may be one and the same long one."""

ENTRY = struct.Struct("<IQI")
"""How a text of varying length is stored: its length, and the heap and the place in it where it is."""

FILTERS = frozenset(
    {h5py.h5z.FILTER_DEFLATE, h5py.h5z.FILTER_SHUFFLE, h5py.h5z.FILTER_FLETCHER32, h5py.h5z.FILTER_LZF}
)
NUMBERS = frozenset("biuf")


class RefusedError(ValueError):
    """What HDF5 would allow and this program does not."""


def check(file: h5py.File, content: bytes) -> None:
    """Look at everything in an open file; no value of a data set is read.

    Args:
        file: the open file.
        content: its bytes.

    Raises:
        RefusedError: it refers to something outside itself, or holds more than it can.
    """
    if file.id.get_create_plist().get_sizes() != (8, 8):
        raise RefusedError("addresses of another length than 8 bytes")
    unpacked = 0
    for number, (name, item) in enumerate(_walk(file, "", 0)):
        if number >= MAX_OBJECTS:
            raise RefusedError(f"more than {MAX_OBJECTS} objects, links followed")
        if isinstance(item, h5py.Dataset):
            unpacked += _bytes(name, item, content)
            if unpacked > MAX_UNPACKED:
                raise RefusedError(f"data sets of more than {MAX_UNPACKED} bytes in all")
        elif not isinstance(item, h5py.Group):
            raise RefusedError(f"{name} is neither a group nor a data set")


def check_array(name: str, item: h5py.Dataset) -> None:
    """Look at one data set of numbers; none of its values is read.

    Args:
        name: what to call it.
        item: the data set.

    Raises:
        RefusedError: it refers to something outside the file, holds more than it can, or no numbers or short
            texts.
    """
    made = item.id.get_create_plist()
    if made.get_layout() != h5py.h5d.VIRTUAL and item.dtype.kind == "O":
        raise RefusedError(f"{name} holds values of varying length")
    _bytes(name, item, b"")


def check_lists(name: str, item: h5py.Dataset) -> None:
    """Look at one data set of lists of numbers, one of any length in every row; none is read.

    What they come to in all the reader has to count: several rows may be one and the same list.

    Args:
        name: what to call it.
        item: the data set.

    Raises:
        RefusedError: it refers to something outside the file, or holds no lists of numbers.
    """
    made = item.id.get_create_plist()
    if made.get_layout() == h5py.h5d.VIRTUAL:
        raise RefusedError(f"{name} is a virtual data set")
    if made.get_external_count():
        raise RefusedError(f"{name} has external storage")
    if not {made.get_filter(index)[0] for index in range(made.get_nfilters())} <= FILTERS:
        raise RefusedError(f"{name} is compressed in another way than deflate or LZF")
    kind = h5py.check_vlen_dtype(item.dtype)
    if kind is None or kind.kind not in NUMBERS:
        raise RefusedError(f"{name} of type {item.dtype} holds no lists of numbers")


def _walk(group: h5py.Group, place: str, depth: int) -> Iterator[tuple[str, Any]]:
    if depth > MAX_DEPTH:
        raise RefusedError(f"groups more than {MAX_DEPTH} deep, at {place}")
    for key in group:
        name = f"{place}/{key}"
        if group.id.links.get_info(key.encode("utf-8", "surrogateescape")).type != h5py.h5l.TYPE_HARD:
            raise RefusedError(f"{name} is a link to somewhere else, in this file or another")
        item = group[key]
        yield name, item
        if isinstance(item, h5py.Group):
            yield from _walk(item, name, depth + 1)


def _bytes(name: str, item: Any, content: bytes) -> int:
    """Return what a data set unpacks to, having checked that it is all in the file."""
    made = item.id.get_create_plist()
    layout = made.get_layout()
    if layout == h5py.h5d.VIRTUAL:  # before anything else: even its shape may be another file's
        raise RefusedError(f"{name} is a virtual data set")
    if made.get_external_count():
        raise RefusedError(f"{name} has external storage")
    filters = {made.get_filter(index)[0] for index in range(made.get_nfilters())}
    if not filters <= FILTERS:
        raise RefusedError(f"{name} is compressed in another way than deflate or LZF")
    if item.shape is None:
        raise RefusedError(f"{name} is empty")
    kind = item.dtype
    size: int = kind.itemsize * math.prod(item.shape)
    texts = h5py.check_string_dtype(kind)
    if texts is not None and texts.length is None:
        if not filters <= {h5py.h5z.FILTER_DEFLATE}:
            raise RefusedError(f"{name} holds texts that are compressed in another way than deflate")
        return size + _text_bytes(name, item, filters, content)
    if kind.kind not in NUMBERS and texts is None:
        raise RefusedError(f"{name} holds values of type {kind}, neither numbers nor texts")
    stored = item.id.get_storage_size()
    most = stored if not filters else DEFLATE * stored
    if layout != h5py.h5d.COMPACT and size > most:
        raise RefusedError(f"{name} of shape {item.shape} is larger than what is stored of it")
    return size


def _text_bytes(name: str, item: Any, filters: set[int], content: bytes) -> int:
    """Return the bytes of texts of varying length, by what the file says of each: length and place."""
    if item.size > MAX_TEXTS:
        raise RefusedError(f"{name} has more than {MAX_TEXTS} texts")
    total = 0
    for packed in _places(name, item, content):
        raw = zlib.decompressobj().decompress(packed, MAX_TEXTS * ENTRY.size) if filters else packed
        total += sum(length for length, _, _ in ENTRY.iter_unpack(raw[: len(raw) - len(raw) % ENTRY.size]))
    if total > MAX_TEXT_BYTES:
        raise RefusedError(f"{name} has texts of more than {MAX_TEXT_BYTES} bytes")
    return total


def _places(name: str, item: Any, content: bytes) -> Iterator[bytes]:
    """Yield the stored bytes of a data set, compressed as they are."""
    layout = item.id.get_create_plist().get_layout()
    if layout == h5py.h5d.CHUNKED:
        for index in range(item.id.get_num_chunks()):
            chunk = item.id.get_chunk_info(index)
            yield content[chunk.byte_offset : chunk.byte_offset + chunk.size]
    elif layout == h5py.h5d.CONTIGUOUS:
        start = item.id.get_offset()
        yield content[start : start + ENTRY.size * item.size] if start is not None else b""
    else:
        raise RefusedError(f"{name} holds texts within its header")
