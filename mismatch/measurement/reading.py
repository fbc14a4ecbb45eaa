"""Files of measured devices, as labs write them: arrays by name, with holes where a fit failed.

=====================  ==============================================================================
``threshold``          of neurons, ``(n,)`` or, of several dies, ``(dies, n)``
``threshold.2``        the same, for layer 2 alone
``threshold_at``       operating points ``(points,)``: then ``threshold`` is ``(n, points)``
``weight``             of synapses, ``(n_pre, n_post)`` or ``(dies, n_pre, n_post)``
``dead``               neurons that do nothing: their numbers, or true in their places
``unusable``           synapses that do nothing: pairs ``(k, 2)`` of numbers, or a matrix of truth values
=====================  ==============================================================================

A ``.npz`` file holds such arrays, a ``.csv`` file columns with these names and a row per neuron, a ``.npy``
file one array, whose name the config says.
"""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, final

import numpy as np
from numpy.typing import NDArray

from root.arrays import Archive, read_npy
from root.errors import InputError
from root.files import checksum, read_regular
from root.texts import is_number

__all__ = ["BROKEN", "SYNAPSES", "Measurement", "Quantity", "read_measurement"]

MAX_BYTES = 500_000_000
"""Largest file of measured devices, unpacked."""

SYNAPSES = "weight"
"""The quantity that belongs to synapses; all others belong to neurons."""

BROKEN = ("dead", "unusable")
"""Names of fault maps."""

AT = "_at"

ROBUST = 1.4826
"""Median absolute deviations per standard deviation of a normal distribution."""

Array = NDArray[np.float64]


@final
@dataclass(frozen=True)
class Quantity:
    """What was measured of one parameter.

    Args:
        name: the parameter.
        layer: the layer it belongs to, from 1; None for all.
        values: ``(dies, n)``, ``(dies, n_pre, n_post)`` or, with `points`, ``(dies, n, points)``; NaN where
            there is no value that can be used.
        points: operating points, rising, ``(points,)``, or None.
        failed: number of values that the file does not have.
        outliers: number of values that were left out as too far from the others.
    """

    name: str
    layer: int | None
    values: Array
    points: Array | None
    failed: int
    outliers: int

    @property
    def good(self) -> Array:
        """The values that can be used, ``(count,)``."""
        flat = self.values.reshape(-1)
        return np.asarray(flat[np.isfinite(flat)])

    @property
    def factors(self) -> Array:
        """The values over the mean of all devices, at every operating point for itself; NaN for none."""
        axes = tuple(range(self.values.ndim - (self.points is not None)))
        return np.asarray(self.values / np.nanmean(self.values, axis=axes, keepdims=True))


@final
@dataclass(frozen=True)
class Measurement:
    """What a file holds.

    Args:
        quantities: of neurons and synapses.
        dead: per layer, or None for all, numbers of neurons, ``(k,)``.
        unusable: per connection, from 1, or None for all, pairs of numbers ``(k, 2)``.
        sha256: checksum of all arrays.
    """

    quantities: tuple[Quantity, ...]
    dead: Mapping[int | None, NDArray[np.int64]]
    unusable: Mapping[int | None, NDArray[np.int64]]
    sha256: str


def read_measurement(path: Path, parameter: str | None = None, outliers: float | None = 6.0) -> Measurement:
    """Return what a file holds, cleaned.

    Args:
        path: a ``.npz``, ``.csv`` or ``.npy`` file.
        parameter: what the array of a ``.npy`` file is.
        outliers: values are left out that are farther from the median than so many robust standard deviations
            (1.4826 times the median absolute deviation, at every operating point for itself); None: none.

    Raises:
        InputError: the file cannot be read, or an array has no such shape or no values.
    """
    arrays = _arrays(path, parameter)
    quantities, dead, unusable = [], {}, {}
    for name, array in arrays.items():
        base, layer = _split(name)
        if base.endswith(AT):
            if name[: -len(AT)] not in arrays and base[: -len(AT)] not in arrays:
                raise InputError("file", f"{path}, with {name}", f"{base[: -len(AT)]} beside it")
            continue
        if base == "dead":
            dead[layer] = _numbers(path, name, array)
        elif base == "unusable":
            unusable[layer] = _pairs(path, name, array)
        else:
            points = arrays.get(
                f"{base}{AT}" if layer is None else f"{base}{AT}.{layer}", arrays.get(f"{base}{AT}")
            )
            quantities.append(_quantity(path, (base, layer), array, points, outliers))
    if not quantities and not dead and not unusable:
        raise InputError("file", str(path), "one or more arrays of measured values")
    return Measurement(tuple(quantities), dead, unusable, checksum(arrays))


def _split(name: str) -> tuple[str, int | None]:
    base, dot, layer = name.rpartition(".")
    return (base, int(layer)) if dot and layer.isascii() and layer.isdigit() and int(layer) else (name, None)


def _quantity(
    path: Path,
    place: tuple[str, int | None],
    array: NDArray[Any],
    points: NDArray[Any] | None,
    limit: float | None,
) -> Quantity:
    name, layer = place
    try:
        values = np.array(array, dtype=np.float64)
    except (TypeError, ValueError):
        raise InputError("file", f"{path}, whose {name} holds texts", "numbers") from None
    axes = 2 if name == SYNAPSES or points is not None else 1
    if values.ndim not in (axes, axes + 1):
        shapes = {1: "(n,) or (dies, n)", 2: "(n_pre, n_post) or (n, points), or several dies of them"}[axes]
        raise InputError("file", f"{path}, whose {name} has the shape {values.shape}", shapes)
    values = values if values.ndim == axes + 1 else values[None]
    if points is not None:
        points = np.asarray(points, dtype=np.float64).reshape(-1)
        if len(points) != values.shape[-1] or len(points) < 2 or not (np.diff(points) > 0).all():
            given = f"{path}, whose {name} has {values.shape[-1]} columns for {len(points)} operating points"
            raise InputError("file", given, "rising operating points, two or more, one a column")
    values[~np.isfinite(values)] = np.nan
    failed = int(np.isnan(values).sum())
    columns = values.reshape(-1, len(points) if points is not None else 1)  # a view: one per operating point
    if (np.isfinite(columns).sum(0) >= 2).all():
        far = _far(values, points, limit)
        values[far] = np.nan
        if (np.isfinite(columns).sum(0) >= 2).all() and (np.nanmean(columns, axis=0) > 0).all():
            return Quantity(name, layer, values, points, failed, int(far.sum()))
    given = f"{path}, whose {name} holds {int(np.isfinite(values).sum())} values that can be used"
    raise InputError("file", given, "2 or more, at every operating point, of a mean > 0")


def _far(values: Array, points: Array | None, limit: float | None) -> NDArray[np.bool_]:
    """Return where values are too far from the others."""
    if limit is None:
        return np.zeros(values.shape, dtype=bool)
    axes = tuple(range(values.ndim - (points is not None)))
    with np.errstate(invalid="ignore"):
        middle = np.nanmedian(values, axis=axes, keepdims=True)
        spread = ROBUST * np.nanmedian(np.abs(values - middle), axis=axes, keepdims=True)
        far: NDArray[np.bool_] = np.abs(values - middle) > limit * np.where(spread > 0, spread, math.inf)
    return far


def _numbers(path: Path, name: str, array: NDArray[Any]) -> NDArray[np.int64]:
    """Return the numbers of neurons of a map, or of a list."""
    if array.dtype == bool:
        return np.flatnonzero(array)
    if array.ndim != 1 or not _whole(array):
        raise InputError(
            "file", f"{path}, whose {name} is {array.dtype} {array.shape}", "numbers of neurons, (k,)"
        )
    return array.astype(np.int64)


def _pairs(path: Path, name: str, array: NDArray[Any]) -> NDArray[np.int64]:
    if array.dtype == bool and array.ndim == 2:
        return np.argwhere(array).astype(np.int64)
    if array.ndim != 2 or array.shape[1] != 2 or not _whole(array):
        allowed = "pairs of numbers of neurons, (k, 2), or a matrix of truth values"
        raise InputError("file", f"{path}, whose {name} is {array.dtype} {array.shape}", allowed)
    return array.astype(np.int64)


def _whole(array: NDArray[Any]) -> bool:
    return array.dtype.kind in "iuf" and bool(((array >= 0) & (array == np.floor(array))).all())


def _arrays(path: Path, parameter: str | None) -> dict[str, NDArray[Any]]:
    if (path.suffix == ".npy") != (parameter is not None):
        allowed = (
            "what a .npy file measures, such as threshold"
            if path.suffix == ".npy"
            else "nothing: the file says it"
        )
        raise InputError("parameter", parameter, allowed)
    if parameter is not None:
        return {parameter: read_npy(path, "file", MAX_BYTES)}
    if path.suffix == ".csv":
        return _columns(path)
    if path.suffix != ".npz":
        raise InputError("file", str(path), "a file that ends in .npz, .csv or .npy")
    with Archive(path, "file") as archive:
        size = sum(archive.header(name).nbytes for name in archive.names)
        if size > MAX_BYTES:
            raise InputError("file", f"{path}, of {size} bytes", f"at most {MAX_BYTES} bytes")
        return {name: archive.read(name) for name in archive.names}


def _columns(path: Path) -> dict[str, NDArray[Any]]:
    """Return the columns of a table by name; a cell that is empty or no number is a fit that failed."""
    content = read_regular(path, "file", "table of measured values", MAX_BYTES)
    try:
        rows = [row for row in csv.reader(io.StringIO(content.decode("utf-8-sig"), newline="")) if row]
    except (UnicodeDecodeError, csv.Error) as error:
        raise InputError("file", str(path), "a table, in UTF-8", str(error)) from None
    if len(rows) < 2 or any(is_number(cell) for cell in rows[0]):
        raise InputError("file", str(path), "a line of names, and a row per neuron")
    names = [name.strip() for name in rows[0]]
    table = [[_cell(row[k]) if k < len(row) else math.nan for k in range(len(names))] for row in rows[1:]]
    columns = dict(zip(names, np.array(table).T, strict=True))
    layers = columns.pop("layer", None)
    columns.pop("neuron", None)
    for name in ("dead",):
        if name in columns:
            columns[name] = np.nan_to_num(columns[name]) > 0
    if layers is None:
        return columns
    return {
        f"{name}.{int(layer)}": values[layers == layer]
        for layer in np.unique(layers[np.isfinite(layers)])
        for name, values in columns.items()
    }


def _cell(text: str) -> float:
    return float(text) if is_number(text.strip()) else math.nan
