"""What may go through the wire, as JSON and arrays, and back: weights, phases, recordings and plain values.

Nothing is unpickled. A kind is made by its own constructor from fields whose types are checked against their
annotations, so what comes out is what this process could have made itself, or an error.
"""

from __future__ import annotations

import math
import types
from collections.abc import Callable, Mapping
from dataclasses import fields, is_dataclass
from functools import cache
from typing import Any, Union, get_args, get_origin, get_type_hints

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from chips.card import Card
from chips.wire.frames import FrameError
from root.errors import InputError
from spiking import presentation

__all__ = ["pack", "unpack"]

KINDS = {
    kind.__name__: kind
    for kind in (
        Card,
        presentation.Change,
        presentation.Controller,
        presentation.CurrentDrive,
        presentation.Noise,
        presentation.Phase,
        presentation.Plasticity,
        presentation.Recording,
        presentation.Relay,
        presentation.SpikeDrive,
        presentation.Weights,
    )
}
"""The dataclasses that may go through the wire, by name: none of them can hold what a chip is made of."""

DEPTH = 16
"""Nested deeper than anything that is sent."""

SCALARS = (bool, int, float, str, type(None))

Arrays = list[NDArray[Any]]

UNKNOWN = "values as this version packs them"


def pack(value: object, arrays: Arrays) -> Any:
    """Return `value` as JSON can say it; its tensors go to `arrays` and are named by their places there.

    Raises:
        TypeError: it is nothing that may go through the wire.
    """
    if isinstance(value, SCALARS):
        odd = isinstance(value, float) and not math.isfinite(value)
        return {"float": repr(value)} if odd else value
    if isinstance(value, Tensor):
        arrays.append(np.ascontiguousarray(value.detach().cpu().numpy()))
        return {"tensor": len(arrays) - 1}
    if isinstance(value, Mapping):
        return {"map": [[pack(key, arrays), pack(inner, arrays)] for key, inner in value.items()]}
    if isinstance(value, tuple | list):
        kind = "tuple" if isinstance(value, tuple) else "list"  # names are those of the network, known there
        return {kind: [pack(inner, arrays) for inner in value]}
    return {"set": sorted(map(str, value))} if isinstance(value, frozenset) else _kind(value, arrays)


def _kind(value: object, arrays: Arrays) -> Any:
    name = type(value).__name__
    if KINDS.get(name) is not type(value):
        raise TypeError(f"{name} cannot go through the wire")
    assert is_dataclass(value)
    return {"kind": name, "of": {f.name: pack(getattr(value, f.name), arrays) for f in fields(value)}}


def unpack(plain: Any, arrays: Arrays, depth: int = DEPTH) -> Any:
    """Return what `pack` packed.

    Raises:
        FrameError: nothing that may go through the wire was packed so.
        InputError: a kind does not take what it would be made of.
    """
    if isinstance(plain, SCALARS):
        return plain
    reader = READERS.get(next(iter(plain), "")) if isinstance(plain, dict) else None
    if reader is None or depth == 0 or len(plain) != (2 if "kind" in plain else 1):
        raise FrameError(UNKNOWN)
    try:
        return reader(plain, arrays, depth - 1)
    except (InputError, FrameError):
        raise
    except (TypeError, ValueError, LookupError):
        raise FrameError(UNKNOWN) from None


def _tensor(plain: dict[str, Any], arrays: Arrays, _: int) -> Tensor:
    index = plain["tensor"]
    if type(index) is not int or index < 0:
        raise FrameError(UNKNOWN)
    return torch.from_numpy(arrays[index])


def _float(plain: dict[str, Any], _: Arrays, __: int) -> float:
    return {"nan": math.nan, "inf": math.inf, "-inf": -math.inf}[plain["float"]]


def _items(values: Any, arrays: Arrays, depth: int) -> list[Any]:
    if not isinstance(values, list):
        raise FrameError(UNKNOWN)
    return [unpack(value, arrays, depth) for value in values]


def _set(plain: dict[str, Any], arrays: Arrays, depth: int) -> frozenset[str]:
    found = _items(plain["set"], arrays, depth)
    if not all(isinstance(name, str) for name in found):
        raise FrameError(UNKNOWN)
    return frozenset(found)


def _map(plain: dict[str, Any], arrays: Arrays, depth: int) -> dict[str | int, Any]:
    found = {}
    for key, inner in plain["map"]:
        if type(key) not in (str, int):
            raise FrameError(UNKNOWN)
        found[key] = unpack(inner, arrays, depth)
    return found


def _made(plain: dict[str, Any], arrays: Arrays, depth: int) -> Any:
    name = plain["kind"]
    hints = _hints(name)
    values = {key: unpack(value, arrays, depth) for key, value in plain["of"].items()}
    for key, value in values.items():
        if key not in hints or not _fits(value, hints[key]):
            raise FrameError(f"fields of {name} of their types: {key} is none")
    return KINDS[name](**values)


READERS: dict[str, Callable[[dict[str, Any], Arrays, int], Any]] = {
    "tensor": _tensor,
    "float": _float,
    "tuple": lambda plain, arrays, depth: tuple(_items(plain["tuple"], arrays, depth)),
    "list": lambda plain, arrays, depth: _items(plain["list"], arrays, depth),
    "set": _set,
    "map": _map,
    "kind": _made,
}


@cache
def _hints(name: str) -> dict[str, Any]:
    return get_type_hints(KINDS[name])


def _fits(value: Any, hint: Any) -> bool:
    """Return whether a value is of an annotation's type."""
    origin, inside = get_origin(hint), get_args(hint)
    if origin in (Union, types.UnionType):
        return any(_fits(value, each) for each in inside)
    if origin is tuple:
        wanted = (inside[0],) * len(value) if inside[-1] is Ellipsis and isinstance(value, tuple) else inside
        return isinstance(value, tuple) and len(value) == len(wanted) and all(map(_fits, value, wanted))
    if origin is frozenset:
        return isinstance(value, frozenset) and all(_fits(item, inside[0]) for item in value)
    if origin is Mapping:
        pairs = value.items() if isinstance(value, dict) else [(None, None)]
        return all(_fits(key, inside[0]) and _fits(inner, inside[1]) for key, inner in pairs)
    number = {float: (int, float), int: (int,)}.get(hint)
    return type(value) in number if number else isinstance(value, hint)
