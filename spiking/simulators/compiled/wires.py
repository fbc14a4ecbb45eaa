"""Connections of the fused loop as integers, and emissions as words."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from itertools import pairwise

import numpy as np
import torch
from torch import Tensor

from spiking.connections import Synapses
from spiking.network import Network
from spiking.simulators.compiled.arrays import Array, Runs, Wires
from spiking.simulators.compiled.given import integers, starts
from spiking.simulators.flat.columns import Columns

__all__ = ["WORD", "as_bytes", "joined_runs", "wires"]

WORD = 8
"""Neurons whose emissions, a byte each, are looked at together."""


def wires(network: Network, columns: Columns) -> Wires:
    """Return layers and connections as integers."""
    sizes, connections = network.sizes, network.connections
    count = [columns.count(sizes[c.pre]) for c in connections]
    wait = [c.delay_steps - 1 for c in connections]
    synapses = [own.count for own in network.synapses]
    rings = [n * w for n, w in zip(count, wait, strict=True)]

    return Wires(
        layers=integers([first // WORD for first in columns.first]),
        layer_words=integers(columns.words),
        pre=integers([c.pre for c in connections]),
        words=integers(count),
        post=integers([columns.first[c.post - 1] for c in connections]),
        width=integers([sizes[c.post] for c in connections]),
        weights=starts(synapses),
        wait=integers(wait),
        ring=starts(rings),
        wired=joined_runs(network.synapses, [columns.first[c.post - 1] for c in connections]),
    )


@lru_cache(maxsize=64)
def _runs(synapses: Synapses) -> Runs:
    """Return the runs of one group, counted from 0."""
    pre, post, _ = (part.numpy() for part in synapses.wiring)
    starts = np.r_[True, (np.diff(pre) != 0) | (np.diff(post) != 1)]
    begins = np.flatnonzero(starts[: len(pre)])  # none, where there is no synapse
    first = np.searchsorted(pre[begins], np.arange(synapses.inputs + 1))
    target, offset = post[begins], np.r_[begins, len(pre)]
    return Runs(np.zeros(1, np.int64), first, target, offset, _alike(first, target, np.diff(offset)))


def _alike(first: Array, target: Array, length: Array) -> Array:
    """Return numbers that change from one neuron to the next where targets or lengths of its runs do."""
    rows = [slice(a, b) for a, b in pairwise(first)]
    changes = [
        not (np.array_equal(target[a], target[b]) and np.array_equal(length[a], length[b]))
        for a, b in pairwise(rows)
    ]
    return np.cumsum(np.r_[0, changes, 1][: len(first)])


def joined_runs(groups: Sequence[Synapses], columns: Sequence[int]) -> Runs:
    """Return the runs of all groups one after the other; offsets have one more for each group.

    Args:
        groups: synapses; those that join all to all have none.
        columns: per group, what is added to its targets.
    """
    rows, parts, place, number = [], [], 0, 0
    for own, column in zip(groups, columns, strict=True):
        rows.append(-1 if own.dense else place)
        if own.dense:
            continue
        _, first, target, offset, alike = _runs(own)
        parts.append((first + number, np.r_[target + column, 0], offset, alike))
        place, number = place + len(first), number + len(offset)
    nothing = (np.zeros(0, np.int64),) * 4
    return Runs(
        np.asarray(rows, np.int64),
        *(np.concatenate(part) for part in zip(*(parts or [nothing]), strict=True)),
    )


def as_bytes(emissions: Tensor, columns: Columns) -> Array:
    """Return emissions of 0 and 1 as bytes, the last axis padded to whole words."""
    size = emissions.shape[-1]
    if size % WORD == 0 and emissions.dtype == torch.bool and emissions.is_contiguous():
        return emissions.numpy().view(np.uint8)
    padded = np.zeros((*emissions.shape[:-1], WORD * columns.count(size)), np.uint8)
    padded[..., :size] = emissions.numpy()
    return padded
