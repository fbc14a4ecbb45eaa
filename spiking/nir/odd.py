"""What keeps ``nir`` from reading a graph, in words: the node, its type, and what it lacks."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import MISSING, fields
from typing import Any

import nir

__all__ = ["unreadable"]

ELSEWHERE = {"metadata", "type", "input_type", "output_type", "shape", "input_shape"}


def unreadable(given: Mapping[str, Any], place: str = "") -> str:
    """Return what is wrong with the content of a graph, or an empty text.

    Args:
        given: the groups and values of a graph in a file.
        place: names of the graphs that it is in, with dots.
    """
    whole = f"The graph {place.rstrip('.')!r}" if place else "It"
    for key in ("nodes", "edges"):
        if key not in given:
            return f"{whole} has no {key}"
    if not isinstance(given["nodes"], Mapping):
        return f"{whole} has values where its nodes should be"
    for name, node in given["nodes"].items():
        found = _node(f"{place}{name}", node)
        if found:
            return found
    return ""


def _node(name: str, node: Any) -> str:
    if not isinstance(node, Mapping) or not isinstance(node.get("type"), str):
        return f"The node {name!r} has no type"
    kind = node["type"]
    known = getattr(nir, kind, None) if kind[:1].isupper() else None
    if not (isinstance(known, type) and issubclass(known, nir.NIRNode)) or known is nir.NIRNode:
        return f"The node {name!r} is of the type {kind!r}, which it does not know"
    if known is nir.NIRGraph:
        return unreadable(node, f"{name}.")
    declared = [field for field in fields(known) if field.init]
    for key in node:
        if key not in ELSEWHERE and key not in {field.name for field in declared}:
            return f"The node {name!r}, {kind}, has a field {key!r}, which it does not know"
    for field in declared:
        left = field.name in ELSEWHERE or field.name in node or _has_default(field)
        if not left:
            return f"The node {name!r}, {kind}, has no {field.name}"
    return ""


def _has_default(field: Any) -> bool:
    return field.default is not MISSING or field.default_factory is not MISSING
