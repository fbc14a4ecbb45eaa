# ruff: noqa: PLR0917 (compiled functions take arrays, and by position)
"""The parts of the fused loop that close it: how the controller's signal reaches the layers."""

from __future__ import annotations

from typing import Any

import numpy as np

from spiking.simulators.compiled.arrays import Relays, Runs
from spiking.simulators.compiled.parts import Array, part

__all__ = ["feed_back", "gate", "reach", "refresh", "spread", "watch"]


@part
def feed_back(u: Array, weights: Array, rows: int, current: Array) -> None:
    """Set `current` to ``u @ weights`` of the first `rows` rows, in blocks of five, which is `ROWS`."""
    for k in range(0, rows, 5):
        a, b, c, d, e = u[k], u[k + 1], u[k + 2], u[k + 3], u[k + 4]
        p, q, r, s, t = weights[k], weights[k + 1], weights[k + 2], weights[k + 3], weights[k + 4]
        if k == 0:
            for j in range(current.shape[0]):
                current[j] = a * p[j] + b * q[j] + c * r[j] + d * s[j] + e * t[j]
        else:
            for j in range(current.shape[0]):
                current[j] += a * p[j] + b * q[j] + c * r[j] + d * s[j] + e * t[j]


@part
def gate(x: Any, curve: Array, low: Any, scale: Any) -> Any:
    """Return the value at `x` of straight lines between the points of `curve`."""
    place, last = (x - low) * scale, curve.shape[0] - 1
    if not place > 0:
        return curve[0]
    if place >= last:
        return curve[last]
    below = int(place)
    return curve[below] + (place - below) * (curve[below + 1] - curve[below])


@part
def spread(passed: Array, above: int, weights: Array, start: int, row: int, wires: Runs, to: Array) -> None:
    """Add what `above` neurons pass on along the runs of their feedback synapses, four alike at a time."""
    runs, target, offset, alike = wires.runs, wires.target, wires.offset, wires.alike
    n = 0
    while n < above:
        own = row + n
        begin, end, a = runs[own], runs[own + 1], passed[n]
        if n + 3 < above and alike[own + 3] == alike[own]:
            b, d, e = passed[n + 1], passed[n + 2], passed[n + 3]
            second, third, fourth = runs[own + 1] - begin, runs[own + 2] - begin, runs[own + 3] - begin
            for run in range(begin, end):
                first, p = np.uint64(target[run]), np.uint64(start + offset[run])
                q, r = np.uint64(start + offset[run + second]), np.uint64(start + offset[run + third])
                s = np.uint64(start + offset[run + fourth])
                for j in range(np.uint64(offset[run + 1] - offset[run])):
                    to[first + j] += (
                        a * weights[p + j] + b * weights[q + j] + d * weights[r + j] + e * weights[s + j]
                    )
            n += 4
        else:
            for run in range(begin, end):
                first, p = np.uint64(target[run]), np.uint64(start + offset[run])
                for j in range(np.uint64(offset[run + 1] - offset[run])):
                    to[first + j] += a * weights[p + j]
            n += 1


@part
def refresh(u: Array, seen: Array, relays: Relays, c: int, apical: Array, passed: Array) -> None:
    """Set what hidden layers receive, from the outputs' control signal downwards, four rows at a time."""
    synapses, curves = relays.synapses[c], relays.curves[c if relays.curves.shape[0] > 1 else 0]
    layers = relays.size.shape[0]
    for layer in range(layers - 2, -1, -1):
        above, width, first = relays.size[layer + 1], relays.size[layer], relays.first[layer]
        for i in range(above):
            if layer == layers - 2:
                passed[i] = u[i]
            else:
                j = relays.first[layer + 1] + i
                passed[i] = gate(seen[j], curves[j], relays.low[j], relays.scale[j]) * apical[j]
        to, start, row = apical[first:], relays.weights[layer], relays.wires.rows[layer]
        for j in range(width):
            to[j] = 0
        if row >= 0:
            spread(passed, above, synapses, start, row, relays.wires, to)
            continue
        table = synapses[start:]
        whole = above - above % 4
        for i in range(0, whole, 4):
            a, b, d, e = passed[i], passed[i + 1], passed[i + 2], passed[i + 3]
            p, q = table[i * width :], table[(i + 1) * width :]
            r, s = table[(i + 2) * width :], table[(i + 3) * width :]
            for j in range(width):
                to[j] += a * p[j] + b * q[j] + d * r[j] + e * s[j]
        for i in range(whole, above):
            a, p = passed[i], table[i * width :]
            for j in range(width):
                to[j] += a * p[j]


@part
def reach(u: Array, relays: Relays, c: int, apical: Array, current: Array) -> None:
    """Set the feedback currents: what was relayed to hidden layers, and what outputs get themselves."""
    strength, layers = relays.strength[c], relays.size.shape[0]
    first, width = relays.first[layers - 1], relays.size[layers - 1]
    table = relays.synapses[c][relays.weights[layers - 1] :]
    for j in range(first):
        current[j] = strength[j] * apical[j]
    for j in range(width):
        current[first + j] = 0
    for k in range(width):
        for j in range(width):
            current[first + j] += u[k] * table[k * width + j]


@part
def watch(index: Array, starts: Array, layers: int, relays: Relays, seen: Array) -> None:
    """Let the activities that gates see decay, and add what hidden layers emit."""
    kept = relays.clock[0]
    for j in range(relays.first[layers - 1]):
        seen[j] *= kept
    for layer in range(layers - 1):
        first, added = relays.first[layer], relays.added[layer]
        for n in range(starts[layer], starts[layer + 1]):
            seen[first + index[n]] += added
