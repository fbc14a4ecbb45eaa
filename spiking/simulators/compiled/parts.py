# ruff: noqa: PLR0917 (compiled functions take arrays, and by position)
"""The small parts of the loops: sums, spikes found and counted, what they deliver, and the controller."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar, cast

import numpy as np
from numba import njit
from numpy.typing import NDArray

from spiking.simulators.compiled.arrays import Runs

__all__ = [
    "Array",
    "add_row",
    "add_scaled",
    "add_up",
    "apply",
    "changes",
    "clear",
    "control",
    "copy",
    "count",
    "deliver",
    "deliver_runs",
    "empty",
    "fade",
    "hand_over",
    "hold_back",
    "in_both_types",
    "part",
    "search",
    "store",
]

Array = NDArray[Any]
Function = TypeVar("Function", bound=Callable[..., Any])


def part(function: Function) -> Function:
    """Compile a part of the loop; it takes over the caller's treatment of floating point."""
    return cast(Function, njit(function, forceinline=True))


def in_both_types(function: Callable[..., None]) -> Callable[[Any], Any]:
    """Return what returns a loop compiled for a type of numbers.

    Rounding is that of the reference in float64. In float32 a product and the sum it goes into are
    rounded once instead of twice; terms are never reordered, so that a membrane still cannot
    overshoot the current that it decays to.
    """
    exact = njit(function, nogil=True, cache=True)
    fast = njit(function, nogil=True, cache=True, fastmath={"contract"})
    return lambda dtype: exact if dtype == np.float64 else fast


@part
def copy(source: Array, to: Array) -> None:
    """Write all of an array over another."""
    for j in range(to.shape[0]):
        to[j] = source[j]


@part
def clear(array: Array) -> None:
    """Set an array to 0."""
    for j in range(array.shape[0]):
        array[j] = 0


@part
def add_scaled(values: Array, weight: float, sums: Array) -> None:
    """Add `weight` times `values` to `sums`."""
    for j in range(sums.shape[0]):
        sums[j] += weight * values[j]


@part
def add_row(x: float, weights: Array, row: int, to: Array) -> None:
    """Add x times a row of `weights` to `to`."""
    values = weights[row]
    for j in range(values.shape[0]):
        to[j] += x * values[j]


@part
def apply(values: Array, t: int, weights: Array, drive: Array) -> None:
    """Add ``values[t] @ weights`` to `drive`, input by input, four in a pass; where all four are 0, none."""
    x = values[t]
    whole = x.shape[0] - x.shape[0] % 4
    for i in range(0, whole, 4):
        a, b, d, e = x[i], x[i + 1], x[i + 2], x[i + 3]
        if a != 0 or b != 0 or d != 0 or e != 0:
            p, q, r, s = weights[i], weights[i + 1], weights[i + 2], weights[i + 3]
            for j in range(p.shape[0]):
                drive[j] = drive[j] + a * p[j] + b * q[j] + d * r[j] + e * s[j]
    for i in range(whole, x.shape[0]):
        if x[i] != 0:
            add_row(x[i], weights, i, drive)


@part
def changes(values: Array, t: int) -> bool:
    """Return whether the inputs are others than in the step before: what is held is multiplied once."""
    if t == 0:
        return True
    now, before = values[t], values[t - 1]
    others = False
    for i in range(now.shape[0]):
        others |= now[i] != before[i]
    return others


@part
def fade(array: Array, factors: Array) -> None:
    """Multiply every number by its factor."""
    for j in range(array.shape[0]):
        array[j] *= factors[j]


@part
def search(words: Array, first: int, number: int, index: Array, count: int) -> int:
    """Append the places of the set bytes of `number` words from `first` on to `index`."""
    for place in range(number):
        word = words[first + place]
        if word != 0:
            for k in range(8):
                index[count] = 8 * place + k
                count += int((word >> np.uint64(8 * k)) & np.uint64(1))
    return count


@part
def add_up(emitted: Array, tally: Array) -> None:
    """Count what is emitted, eight neurons in a word; a byte holds 255 steps."""
    for place in range(tally.shape[0]):
        tally[place] += emitted[place]


@part
def empty(tally: Array, weight: float, sums: Array) -> None:
    """Add what was counted in steps of one `weight` to `sums` and begin anew."""
    for j in range(sums.shape[0]):
        sums[j] += weight * tally[j]
        tally[j] = 0


@part
def count(index: Array, first: Any, last: Any, weight: float, sums: Array) -> None:
    """Add `weight` for every spike ``index[first:last]``."""
    for n in range(first, last):
        sums[index[n]] += weight


@part
def deliver(
    index: Array, first: int, last: int, weights: Array, start: int, width: int, synapse: Array, post: int
) -> None:
    """Add the weights of the spikes ``index[first:last]`` to the `width` columns from `post` on.

    The table of weights begins at `start`; four rows are added at a time.
    """
    to = synapse[post:]
    whole = last - (last - first) % 4
    for n in range(first, whole, 4):
        p = weights[start + index[n] * width :]
        q = weights[start + index[n + 1] * width :]
        r = weights[start + index[n + 2] * width :]
        s = weights[start + index[n + 3] * width :]
        for j in range(width):
            to[j] += p[j] + q[j] + r[j] + s[j]
    for n in range(whole, last):
        p = weights[start + index[n] * width :]
        for j in range(width):
            to[j] += p[j]


@part
def deliver_runs(
    index: Array, first: int, last: int, weights: Array, start: int, row: int, wires: Runs, synapse: Array
) -> None:
    """Add the weights of the spikes ``index[first:last]`` along the runs of their synapses.

    The connection's weights begin at `start`, its rows at `row`. Neurons with the same targets, as those of
    one place of an image have, are added up to four at a time. Places are unsigned, so that no element is
    asked whether it counts from the end.
    """
    runs, target, offset, alike = wires.runs, wires.target, wires.offset, wires.alike
    n = first
    while n < last:
        own = row + index[n]
        begin, end, same = runs[own], runs[own + 1], alike[own]
        if n + 3 < last and alike[row + index[n + 3]] == same:
            second, third = runs[row + index[n + 1]] - begin, runs[row + index[n + 2]] - begin
            fourth = runs[row + index[n + 3]] - begin
            for run in range(begin, end):
                to, p = np.uint64(target[run]), np.uint64(start + offset[run])
                q, r = np.uint64(start + offset[run + second]), np.uint64(start + offset[run + third])
                s = np.uint64(start + offset[run + fourth])
                for j in range(np.uint64(offset[run + 1] - offset[run])):
                    synapse[to + j] += weights[p + j] + weights[q + j] + weights[r + j] + weights[s + j]
            n += 4
        elif n + 1 < last and alike[row + index[n + 1]] == same:
            second = runs[row + index[n + 1]] - begin
            for run in range(begin, end):
                to, p = np.uint64(target[run]), np.uint64(start + offset[run])
                q = np.uint64(start + offset[run + second])
                for j in range(np.uint64(offset[run + 1] - offset[run])):
                    synapse[to + j] += weights[p + j] + weights[q + j]
            n += 2
        else:
            for run in range(begin, end):
                to, p = np.uint64(target[run]), np.uint64(start + offset[run])
                for j in range(np.uint64(offset[run + 1] - offset[run])):
                    synapse[to + j] += weights[p + j]
            n += 1


@part
def hold_back(ring: Array, slot: int, source: Array, first: int, number: int, index: Array) -> int:
    """Swap what `slot` of the ring has kept for what is emitted now; list the former in `index`."""
    count = search(ring, slot, number, index, 0)
    for place in range(number):
        ring[slot + place] = source[first + place]
    return count


@part
def control(
    target: Array,
    first: int,
    trace: Array,
    integral: Array,
    readout: Array,
    gains: Array,
    u: Array,
) -> None:
    """Advance the controller, which sees ``readout[0] * trace + readout[1]``."""
    for k in range(trace.shape[0]):
        error = target[first + k] - (readout[0, k] * trace[k] + readout[1, k])
        integral[k] += gains[1, k] * error - gains[2, k] * integral[k]
        u[k] = gains[0, k] * error + integral[k]


@part
def hand_over(values: Array, rows: Array, c: int, b: int, place: int) -> None:
    """Write sums down and begin anew."""
    for j in range(values.shape[0]):
        rows[c, b, place, j] = values[j]
        values[j] = 0


@part
def store(rows: Array, c: int, b: int, t: int, values: Array) -> None:
    """Keep the values of a step, where they are recorded."""
    if rows.shape[0] > 0:
        for j in range(rows.shape[3]):
            rows[c, b, t, j] = values[j]
