"""Nested states, such as an optimiser's, as tensors and JSON, and back to the same bits."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

__all__ = ["pack_state", "unpack_state"]


def pack_state(state: object, prefix: str = "state") -> tuple[dict[str, Tensor], Any]:
    """Split a nested state into its tensors and a JSON description of everything else.

    JSON knows neither integer keys, tuples, nor NaN, so containers are written with their kind:
    ``{"dict": [[key, value], ...]}``, ``{"list": [...]}``, ``{"tuple": [...]}``,
    ``{"tensor": name}`` and ``{"float": "nan"}``; other values stand for themselves.

    Args:
        state: dicts, lists and tuples of tensors, strings, numbers, booleans and None.
        prefix: how the names of the tensors begin.

    Returns:
        copies of the tensors by name, and the description.

    Raises:
        TypeError: there is something else in the state.
    """
    tensors: dict[str, Tensor] = {}
    return tensors, _pack(state, prefix, tensors)


def _pack(value: object, name: str, tensors: dict[str, Tensor]) -> Any:
    if isinstance(value, Tensor):
        tensors[name] = value.detach().cpu().clone(memory_format=torch.contiguous_format)
        return {"tensor": name}
    if isinstance(value, Mapping):
        items = enumerate(value.items())
        return {"dict": [[_scalar(key), _pack(item, f"{name}.{n}", tensors)] for n, (key, item) in items]}
    if isinstance(value, list | tuple):
        kind = "tuple" if isinstance(value, tuple) else "list"
        return {kind: [_pack(item, f"{name}.{n}", tensors) for n, item in enumerate(value)]}
    return _scalar(value)


def _scalar(value: object) -> Any:
    if isinstance(value, float) and not math.isfinite(value):
        return {"float": repr(value)}
    if value is None or isinstance(value, str | bool | int | float):
        return value
    raise TypeError(f"a state may not hold a {type(value).__name__}")


def unpack_state(tensors: Mapping[str, Tensor], description: Any) -> Any:
    """Put together again what `pack_state` took apart.

    Args:
        tensors: at least those of `pack_state`; others are not looked at.
        description: as `pack_state` gave it, or as it came back from JSON.

    Returns:
        the state; its tensors are copies.
    """
    if not isinstance(description, dict):
        return description
    ((kind, content),) = description.items()
    if kind == "tensor":
        return tensors[content].clone()
    if kind == "float":
        return float(content)
    if kind == "dict":
        return {_key(key): unpack_state(tensors, value) for key, value in content}
    items = [unpack_state(tensors, value) for value in content]
    return tuple(items) if kind == "tuple" else items


def _key(key: Any) -> Any:
    return float(key["float"]) if isinstance(key, dict) else key
