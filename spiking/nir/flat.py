"""A graph with graphs in it as one graph, with one way in and one way out."""

from __future__ import annotations

from dataclasses import dataclass
from typing import final

import nir

from root.errors import InputError, UnsupportedError
from spiking.nir.stored import KEY

__all__ = ["Flat", "flat"]

MOST_NODES = 1000


@final
@dataclass(frozen=True)
class Flat:
    """A graph without graphs in it.

    Args:
        nodes: by name, those of inner graphs as ``outer.inner``; inner inputs and outputs pass on what comes.
        before: by name, the nodes that lead there.
        entry: the name of the input.
        exit: the name of the output.
        notes: what was odd.
    """

    nodes: dict[str, nir.NIRNode]
    before: dict[str, list[str]]
    entry: str
    exit: str
    notes: tuple[str, ...]


def flat(graph: nir.NIRGraph) -> Flat:
    """Return `graph` in one level.

    Raises:
        InputError: an edge leads to a node that is not there.
        UnsupportedError: a graph in it, or itself, has several inputs or outputs, or too many nodes.
    """
    nodes: dict[str, nir.NIRNode] = {}
    edges: list[tuple[str, str]] = []
    entry, out = _add(graph, "", nodes, edges)
    before: dict[str, list[str]] = {name: [] for name in nodes}
    twice = 0
    for source, target in edges:
        twice += source in before[target]
        before[target] += [] if source in before[target] else [source]
    notes = (f"{twice} edges that stand there twice are taken once",) if twice else ()
    return Flat(nodes, before, entry, out, notes)


def _add(
    graph: nir.NIRGraph, place: str, nodes: dict[str, nir.NIRNode], edges: list[tuple[str, str]]
) -> tuple[str, str]:
    """Add a graph's nodes and edges, and return its input and its output."""
    ends: dict[str, tuple[str, str]] = {}  # by a node's name in this graph, where to enter and leave it
    for own, node in graph.nodes.items():
        name = f"{place}{own}"
        if isinstance(node, nir.NIRGraph):
            ends[own] = _add(node, f"{name}.", nodes, edges)
        else:
            nodes[name], ends[own] = node, (name, name)
        if len(nodes) > MOST_NODES:
            raise UnsupportedError(KEY, f"more than {MOST_NODES} nodes", f"a graph of {MOST_NODES} at most")
    for source, target in graph.edges:
        for end in (source, target):
            if end not in ends:
                allowed = f"edges between its nodes: {', '.join(ends)}"
                raise InputError(KEY, f"an edge ({source}, {target}) in a graph without {end!r}", allowed)
        edges.append((ends[source][1], ends[target][0]))
    return _only(graph, nir.Input, place), _only(graph, nir.Output, place)


def _only(graph: nir.NIRGraph, kind: type[nir.NIRNode], place: str) -> str:
    found = [name for name, node in graph.nodes.items() if isinstance(node, kind)]
    if len(found) != 1:
        given = f"{len(found)} nodes {kind.__name__}" + (f" in {place.rstrip('.')!r}" if place else "")
        raise UnsupportedError(KEY, given, f"one {kind.__name__}")
    return f"{place}{found[0]}"
