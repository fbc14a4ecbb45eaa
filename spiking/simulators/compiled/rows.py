# ruff: noqa: PLR0917 (compiled functions take arrays, and by position)
r"""Parts of the loop in `mixed`: what emissions add to currents, row by row, and what synapses have learned.

Synapses that learn are never changed one by one. What one of them has learned is, for the feedback weights Q,
the control signal u and the presynaptic traces x of `Plasticity`,

.. math:: \Delta w_{ij} = \eta \sum_a Q_{ai} A_{aj}, \qquad A_{aj} = \sum_t u_a(t)\, x_j(t)

so that A is kept and a synapse looked up when its neuron emits something. Where all that was ever written
has this form too, as after earlier presentations, :math:`w_{ij} = \sum_a Q_{ai} B_{aj}`, B is read and no
table of weights, which would take half of the time.

Inner loops run from 0 over a stretch of an array, so that no place is asked whether it counts from the end,
and several neurons are computed at once. Terms are added in the order of the neurons that emit.
"""

from __future__ import annotations

from typing import Any

from spiking.simulators.compiled.arrays import FUSED
from spiking.simulators.compiled.parts import Array, add_scaled, clear, part

__all__ = ["add_learned_rows", "add_rows", "add_to", "arriving", "gather", "learned", "to_traces"]


@part
def add_to(values: Array, sums: Array) -> None:
    """Add values to sums."""
    for j in range(sums.shape[0]):
        sums[j] += values[j]


@part
def arriving(
    emitted: Array, first: int, size: int, ring: Array, slot: int, wait: int, index: Array, values: Array
) -> int:
    """List what is not 0 of what arrives now, and return its number; there is room for one more than all.

    That is what the `size` neurons from `first` on emit; where emissions wait, it is swapped for what `ring`
    has kept from `slot` on.
    """
    count = 0
    given = emitted[first : first + size]
    if wait > 0:
        kept = ring[slot : slot + size]
        for i in range(size):
            x, kept[i] = kept[i], given[i]
            index[count], values[count] = i, x
            count += x != 0
    else:
        for i in range(size):
            index[count], values[count] = i, given[i]
            count += given[i] != 0
    return count


@part
def add_rows(
    index: Array, values: Array, count: int, weights: Array, start: int, width: int, to: Array, first: int
) -> None:
    """Add the listed values times their rows of weights to the `width` columns from `first` on."""
    target = to[first : first + width]
    whole = count - count % 2
    for n in range(0, whole, 2):
        x, y = values[n], values[n + 1]
        p = weights[start + index[n] * width :]
        q = weights[start + index[n + 1] * width :]
        for i in range(width):
            target[i] = (target[i] + x * p[i]) + y * q[i]
    for n in range(whole, count):
        x = values[n]
        p = weights[start + index[n] * width :]
        for i in range(width):
            target[i] += x * p[i]


@part
def learned(
    begun: Array, step: Any, sums: Array, column: int, fed: Array, first: int, width: int, found: Array
) -> None:
    """Set `found` to what a row has learned; see `add_learned_rows`."""
    clear(found)
    for k in range(fed.shape[0]):
        add_scaled(fed[k][first : first + width], begun[k, column] + step * sums[k, column], found)


@part
def add_learned_rows(
    listed: tuple[Array, Array],
    count: int,
    weights: Array,
    effect: Array,
    start: int,
    width: int,
    to: Array,
    first: int,
    alone: bool,
    begun: Array,
    step: Any,
    sums: Array,
    before: int,
    open_: tuple[Array, Array],
) -> None:
    """Do what `add_rows` does with weights and what they have learned since they were written.

    A change of 1 adds `effect` to a weight, `step` is η, `open_` holds Q and room for a row, and `sums` is A,
    in which the presynaptic neurons stand from the column `before` on; all have three rows or more, of zeros
    where there are fewer outputs. Weights are left out where `alone` says that they are `begun`, B, which is
    0 elsewhere.
    """
    index, values = listed
    fed, found = open_
    target = to[first : first + width]
    a, b, c = fed[0][first : first + width], fed[1][first : first + width], fed[2][first : first + width]
    whole = count - count % 2 if fed.shape[0] == FUSED else 0
    for n in range(0, whole, 2):
        x, y, i, j = values[n], values[n + 1], before + index[n], before + index[n + 1]
        e, f = effect[start + index[n] * width :], effect[start + index[n + 1] * width :]
        u, r = begun[0, i] + step * sums[0, i], begun[0, j] + step * sums[0, j]
        v, s = begun[1, i] + step * sums[1, i], begun[1, j] + step * sums[1, j]
        w, t = begun[2, i] + step * sums[2, i], begun[2, j] + step * sums[2, j]
        if alone:
            for m in range(width):
                one = target[m] + x * (e[m] * (u * a[m] + v * b[m] + w * c[m]))
                target[m] = one + y * (f[m] * (r * a[m] + s * b[m] + t * c[m]))
        else:
            p, q = weights[start + index[n] * width :], weights[start + index[n + 1] * width :]
            for m in range(width):
                one = target[m] + x * (p[m] + e[m] * (u * a[m] + v * b[m] + w * c[m]))
                target[m] = one + y * (q[m] + f[m] * (r * a[m] + s * b[m] + t * c[m]))
    for n in range(whole, count):
        x = values[n]
        p, e = weights[start + index[n] * width :], effect[start + index[n] * width :]
        learned(begun, step, sums, before + index[n], fed, first, width, found[:width])
        if alone:
            for m in range(width):
                target[m] += x * (e[m] * found[m])
        else:
            for m in range(width):
                target[m] += x * (p[m] + e[m] * found[m])


@part
def gather(u: Array, weight: Any, seen: Array, sums: Array, total: Array) -> None:
    """Add a step to A: the control signal times presynaptic traces, and to the sum of the signal alone."""
    for k in range(u.shape[0]):
        factor = weight * u[k]
        total[k] += factor
        add_scaled(seen, factor, sums[k])


@part
def to_traces(
    emitted: Array, first: int, last: int, value: Any, share: Any, seen: Array, before: int
) -> None:
    """Let presynaptic traces, from `before` on, follow what the neurons ``first`` to ``last`` emit."""
    given, trace = emitted[first:last], seen[before : before + last - first]
    for j in range(given.shape[0]):
        trace[j] += share * (given[j] * value - trace[j])
