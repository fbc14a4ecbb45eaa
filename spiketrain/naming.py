"""What layers and weights are called wherever a user sees them, and in the files of a run."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any, TypeVar

from torch import Tensor

from spiking.named import Named
from spiking.network import Network
from spiking.presentation import Weights

__all__ = ["connection_names", "layer_names", "named", "of_network", "stored_names", "with_names"]

T = TypeVar("T")

GROUPS = ("forward", "bias", "feedback")
NUMBERED = re.compile(r"(forward|bias|feedback)\.([1-9]\d{0,5})")
"""Names in files of earlier versions; those of populations begin with a letter."""


def layer_names(depth: int, section: Mapping[str, Any] | None = None) -> tuple[str, ...]:
    """Return the names of layers 0 to L: input, hidden (numbered where there are several), output.

    Args:
        depth: L.
        section: the section ``network`` of a config, whose populations have names of their own if it is
            a graph.
    """
    own = (section or {}).get("populations")
    if isinstance(own, Mapping):
        return ("input", *own)
    hidden = ("hidden",) if depth == 2 else tuple(f"hidden {index}" for index in range(1, depth))
    return ("input", *hidden, "output")


def connection_names(depth: int, section: Mapping[str, Any] | None = None) -> tuple[str, ...]:
    """Return the names of the connections of a graph, or of those of a chain that lead from layer to layer.

    Args:
        depth: L.
        section: as for `layer_names`.
    """
    own = (section or {}).get("connections")
    if isinstance(own, Mapping):
        return tuple(own)
    return tuple(f"{pre}->{post}" for pre, post in pairwise(layer_names(depth, section)))


def stored_names(connections: Sequence[str], populations: Sequence[str]) -> dict[str, tuple[str, ...]]:
    """Return what weights are called in files, in the network's order, by their group.

    Args:
        connections: their names.
        populations: names of layers 1 to L.
    """
    own = (connections, populations, populations)
    return {
        group: tuple(f"{group}.{name}" for name in names) for group, names in zip(GROUPS, own, strict=True)
    }


def of_network(network: Network) -> dict[str, tuple[str, ...]]:
    """Return the same for a network."""
    return stored_names(network.connection_names, network.names[1:])


def named(weights: Weights) -> dict[str, Tensor]:
    """Return weights as files have them: ``forward.input->hidden``, ``bias.hidden``, ``feedback.hidden``.

    Args:
        weights: of a model, which have names.
    """
    return {
        f"{group}.{name}": value
        for group in GROUPS
        if isinstance(values := getattr(weights, group), Named)
        for name, value in values.items()
    }


def with_names(tensors: Mapping[str, T], names: Mapping[str, Sequence[str]]) -> dict[str, T]:
    """Return what a file has, with the names of today where it was written with numbers (``forward.1``).

    Args:
        tensors: by the names in the file.
        names: from `stored_names`.
    """
    found = {}
    for key, value in tensors.items():
        match = NUMBERED.fullmatch(key)
        known = names[match[1]] if match else ()
        number = int(match[2]) if match else 0
        found[known[number - 1] if 0 < number <= len(known) else key] = value
    return found
