"""HDF5 files that hold no more than they are: looked through before anything is read from them.

HDF5 can refer to other files (external links, external storage, virtual data sets), to itself in circles
(links), and to nothing (chunks that were never written read as zeros; a compressed byte holds 1032 at most).
What this program reads has none of that: a tree of groups by hard links, and data sets whose values are in
the file, as they are or compressed by deflate or LZF.

Source: The HDF Group, HDF5 File Format Specification 3.0; Deutsch 1996, RFC 1951.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import h5py
import numpy as np

from rate_bridge.arrays import DEFLATE

__all__ = ["MAX_UNPACKED", "RefusedError", "check"]

MAX_UNPACKED = 1_000_000_000
"""Most bytes that all data sets of a file may unpack to."""

MAX_OBJECTS = 50_000
MAX_DEPTH = 16
MAX_TEXTS = 100_000
MAX_TEXT_BYTES = 10_000_000
"""Of texts of varying length: they are stored apart, so that many may be one and the same long one."""

FILTERS = frozenset(
    {h5py.h5z.FILTER_DEFLATE, h5py.h5z.FILTER_SHUFFLE, h5py.h5z.FILTER_FLETCHER32, h5py.h5z.FILTER_LZF}
)
NUMBERS = frozenset("biuf")


class RefusedError(ValueError):
    """What HDF5 would allow and this program does not."""


def check(file: h5py.File) -> None:
    """Look at everything in an open file; no value of a data set of numbers is read.

    Raises:
        RefusedError: it refers to something outside itself, or holds more than it can.
    """
    unpacked = 0
    for number, (name, item) in enumerate(_walk(file, "", 0)):
        if number >= MAX_OBJECTS:
            raise RefusedError(f"more than {MAX_OBJECTS} objects, links followed")
        if isinstance(item, h5py.Dataset):
            unpacked += _bytes(name, item)
            if unpacked > MAX_UNPACKED:
                raise RefusedError(f"data sets of more than {MAX_UNPACKED} bytes in all")
        elif not isinstance(item, h5py.Group):
            raise RefusedError(f"{name} is neither a group nor a data set")


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


def _bytes(name: str, item: Any) -> int:
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
        return size + _text_bytes(name, item)
    if kind.kind not in NUMBERS and texts is None:
        raise RefusedError(f"{name} holds values of type {kind}, neither numbers nor texts")
    stored = item.id.get_storage_size()
    most = stored if not filters else DEFLATE * stored
    if layout != h5py.h5d.COMPACT and size > most:
        raise RefusedError(f"{name} of shape {item.shape} is larger than what is stored of it")
    return size


def _text_bytes(name: str, item: Any) -> int:
    """Return the bytes of texts of varying length, read one by one while they are few."""
    if item.size > MAX_TEXTS:
        raise RefusedError(f"{name} has more than {MAX_TEXTS} texts")
    total: int = 0
    for index in np.ndindex(item.shape):
        total += len(item[index])
        if total > MAX_TEXT_BYTES:
            raise RefusedError(f"{name} has texts of more than {MAX_TEXT_BYTES} bytes")
    return total
