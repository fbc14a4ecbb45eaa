# ruff: noqa: PLR0917 (compiled functions take arrays, and by position)
"""The fused loop of LIF networks: one (chip, sample) at a time, all of its steps, in one function.

Every function the loop calls stands in this file, because numba's cache on disk looks at the time stamp
of the file of the outermost function only.

Neurons of all layers lie side by side in columns, each layer padded to whole words of eight (see
:class:`spiking.simulators.compiled.columns.Columns`). All numbers of a padding column are zero, and
0 > 0 is false, so that it never spikes. What is emitted is one byte per neuron, searched and added up
eight at a time.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar, cast

import numpy as np
from numba import njit
from numpy.typing import NDArray

from spiking.simulators.compiled.arrays import (
    ROWS,
    Chips,
    Recorded,
    Relays,
    Runs,
    Samples,
    Sums,
    Variables,
    Wires,
)

__all__ = ["CONSTANTS", "STATES", "simulate"]

# --- the neuron: what stands between such marks is another in the modules that `generated` makes of this file
STATES = ("v", "refractory")
"""The state variables, in the order of the rows of `Variables.neurons`."""

CONSTANTS = ("decay", "threshold", "reset", "refractory_steps")
"""The constants, in the order of the rows of `Chips.constants`; the last may be missing."""

FREE = 3
"""The number of constants where no neuron is held; `_advance` then takes shadows along."""
# ---

Array = NDArray[Any]
Function = TypeVar("Function", bound=Callable[..., Any])


def _part(function: Function) -> Function:
    """Compile a part of the loop; it takes over the caller's treatment of floating point."""
    return cast(Function, njit(function, forceinline=True))


@_part
def _copy(source: Array, to: Array) -> None:
    for j in range(to.shape[0]):
        to[j] = source[j]


@_part
def _clear(array: Array) -> None:
    for j in range(array.shape[0]):
        array[j] = 0


@_part
def _move(v: float, current: float, decay: float) -> float:
    return (v - current) * decay + current


@_part
def _advance(
    v: Array,
    shadow: Array | None,
    synapse: Array,
    drive: Array,
    extra: Array,
    shift: Array,
    constants: Array,
    shadow_constants: Array,
    factors: Array,
    flags: Array,
    shadow_flags: Array,
) -> None:
    """Advance membranes towards ``synapse + drive + extra`` and flag those that spike.

    Shadows, or None, go towards ``synapse + drive + shift`` in the same pass; then `synapse` decays.
    """
    decay, threshold, reset = constants[0], constants[1], constants[2]
    for j in range(v.shape[0]):
        given = synapse[j] + drive[j]
        moved = _move(v[j], given + extra[j], decay[j])
        spikes = moved > threshold[j]
        v[j] = reset[j] if spikes else moved
        flags[j] = spikes
        if shadow is not None:
            moved = _move(shadow[j], given + shift[j], shadow_constants[0, j])
            spikes = moved > shadow_constants[1, j]
            shadow[j] = shadow_constants[2, j] if spikes else moved
            shadow_flags[j] = spikes
        synapse[j] *= factors[j]


@_part
def _advance_fed(
    v: Array,
    shadow: Array | None,
    synapse: Array,
    drive: Array,
    extra: Array,
    u: Array,
    feedback: Array,
    shift: Array,
    constants: Array,
    shadow_constants: Array,
    factors: Array,
    flags: Array,
    shadow_flags: Array,
) -> None:
    """Do the same with the current of the last rows of feedback weights, which need not be stored."""
    decay, threshold, reset = constants[0], constants[1], constants[2]
    k = feedback.shape[0] - ROWS
    a, b, c, d, e = u[k], u[k + 1], u[k + 2], u[k + 3], u[k + 4]
    p, q, r, s, t = feedback[k], feedback[k + 1], feedback[k + 2], feedback[k + 3], feedback[k + 4]
    for j in range(v.shape[0]):
        fed = extra[j] + (a * p[j] + b * q[j] + c * r[j] + d * s[j] + e * t[j])
        given = synapse[j] + drive[j]
        moved = _move(v[j], given + fed, decay[j])
        spikes = moved > threshold[j]
        v[j] = reset[j] if spikes else moved
        flags[j] = spikes
        if shadow is not None:
            moved = _move(shadow[j], given + shift[j], shadow_constants[0, j])
            spikes = moved > shadow_constants[1, j]
            shadow[j] = shadow_constants[2, j] if spikes else moved
            shadow_flags[j] = spikes
        synapse[j] *= factors[j]


# --- the neuron's step
@_part
def _advance_held(
    own: Array, synapse: Array, drive: Array, extra: Array, constants: Array, flags: Array
) -> None:
    """Advance membranes, ``own[0]``, of which some are held after a spike, for ``own[1]`` steps."""
    v, waiting = own[0], own[1]
    decay, threshold, reset, held = constants[0], constants[1], constants[2], constants[3]
    none = waiting.dtype.type(0)
    one = waiting.dtype.type(1)
    for j in range(v.shape[0]):
        current = synapse[j] + drive[j] + extra[j]
        moved = _move(v[j], current, decay[j])
        moved = reset[j] if waiting[j] > none else moved
        spikes = moved > threshold[j]
        v[j] = reset[j] if spikes else moved
        left = waiting[j] - one
        left = left if left > none else none
        waiting[j] = held[j] if spikes else left
        flags[j] = spikes


# ---
@_part
def _control(
    target: Array,
    trace: Array,
    integral: Array,
    readout: Array,
    gains: Array,
    dt: float,
    u: Array,
) -> None:
    """Advance the controller, which sees ``readout[0] * trace + readout[1]``."""
    for k in range(trace.shape[0]):
        error = target[k] - (readout[0, k] * trace[k] + readout[1, k])
        integral[k] += gains[1] * readout[3, k] * dt * error - gains[2] * integral[k]
        u[k] = gains[0] * readout[2, k] * error + integral[k]


@_part
def _feed_back(u: Array, weights: Array, rows: int, current: Array) -> None:
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


@_part
def _gate(x: Any, curve: Array, low: Any, scale: Any) -> Any:
    """Return the value at `x` of straight lines between the points of `curve`."""
    place, last = (x - low) * scale, curve.shape[0] - 1
    if not place > 0:
        return curve[0]
    if place >= last:
        return curve[last]
    below = int(place)
    return curve[below] + (place - below) * (curve[below + 1] - curve[below])


@_part
def _spread(passed: Array, above: int, weights: Array, start: int, row: int, wires: Runs, to: Array) -> None:
    """Add what `above` neurons pass on along the runs of their feedback synapses, four alike at a time."""
    runs, target, offset, alike = wires.runs, wires.target, wires.offset, wires.alike
    n = 0
    while n < above:
        own = row + n
        i = runs[own]
        four = n + 3 < above and alike[min(own + 3, row + above - 1)] == alike[own]
        second, third, fourth = 0, 0, 0
        a, b, d, e = passed[n], passed[n], passed[n], passed[n]
        if four:
            second, third, fourth = runs[own + 1] - i, runs[own + 2] - i, runs[own + 3] - i
            b, d, e = passed[n + 1], passed[n + 2], passed[n + 3]
        for run in range(i, runs[own + 1]):
            first, p = np.uint64(target[run]), np.uint64(start + offset[run])
            length = np.uint64(offset[run + 1] - offset[run])
            if four:
                q = np.uint64(start + offset[run + second])
                r, s = np.uint64(start + offset[run + third]), np.uint64(start + offset[run + fourth])
                for j in range(length):
                    to[first + j] += (
                        a * weights[p + j] + b * weights[q + j] + d * weights[r + j] + e * weights[s + j]
                    )
            else:
                for j in range(length):
                    to[first + j] += a * weights[p + j]
        n += 4 if four else 1


@_part
def _refresh(u: Array, seen: Array, relays: Relays, c: int, apical: Array, passed: Array) -> None:
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
                passed[i] = _gate(seen[j], curves[j], relays.low[j], relays.scale[j]) * apical[j]
        to, start, row = apical[first:], relays.weights[layer], relays.wires.rows[layer]
        for j in range(width):
            to[j] = 0
        if row >= 0:
            _spread(passed, above, synapses, start, row, relays.wires, to)
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


@_part
def _reach(u: Array, relays: Relays, c: int, apical: Array, current: Array) -> None:
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


@_part
def _watch(index: Array, starts: Array, layers: int, relays: Relays, seen: Array) -> None:
    """Let the activities that gates see decay, and add what hidden layers emit."""
    kept = relays.clock[0]
    for j in range(relays.first[layers - 1]):
        seen[j] *= kept
    for layer in range(layers - 1):
        first, added = relays.first[layer], relays.added[layer]
        for n in range(starts[layer], starts[layer + 1]):
            seen[first + index[n]] += added


@_part
def _add_scaled(values: Array, weight: float, sums: Array) -> None:
    for j in range(sums.shape[0]):
        sums[j] += weight * values[j]


@_part
def _add_row(x: float, weights: Array, row: int, to: Array) -> None:
    values = weights[row]
    for j in range(values.shape[0]):
        to[j] += x * values[j]


@_part
def _apply(values: Array, t: int, weights: Array, drive: Array) -> None:
    """Add ``values[t] @ weights`` to `drive`, leaving out the zeros."""
    for i in range(values.shape[1]):
        if values[t, i] != 0:
            _add_row(values[t, i], weights, i, drive)


@_part
def _decay(array: Array, factors: Array) -> None:
    for j in range(array.shape[0]):
        array[j] *= factors[j]


@_part
def _search(words: Array, first: int, number: int, index: Array, count: int) -> int:
    """Append the places of the set bytes of `number` words from `first` on to `index`."""
    for place in range(number):
        word = words[first + place]
        if word != 0:
            for k in range(8):
                index[count] = 8 * place + k
                count += int((word >> np.uint64(8 * k)) & np.uint64(1))
    return count


@_part
def _add_up(emitted: Array, tally: Array) -> None:
    """Count what is emitted, eight neurons in a word; a byte holds 255 steps."""
    for place in range(tally.shape[0]):
        tally[place] += emitted[place]


@_part
def _empty(tally: Array, weight: float, sums: Array) -> None:
    """Add what was counted in steps of one `weight` to `sums` and begin anew."""
    for j in range(sums.shape[0]):
        sums[j] += weight * tally[j]
        tally[j] = 0


@_part
def _count(index: Array, first: Any, last: Any, weight: float, sums: Array) -> None:
    for n in range(first, last):
        sums[index[n]] += weight


@_part
def _deliver(
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


@_part
def _deliver_runs(
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
        i, same = runs[own], alike[own]
        four = n + 3 < last and alike[row + index[min(n + 3, last - 1)]] == same
        two = n + 1 < last and alike[row + index[min(n + 1, last - 1)]] == same
        second = runs[row + index[n + 1]] - i if two else 0
        third = runs[row + index[n + 2]] - i if four else 0
        fourth = runs[row + index[n + 3]] - i if four else 0
        for run in range(i, runs[own + 1]):
            to, p = np.uint64(target[run]), np.uint64(start + offset[run])
            q = np.uint64(start + offset[run + second])
            length = np.uint64(offset[run + 1] - offset[run])
            if four:
                r, s = np.uint64(start + offset[run + third]), np.uint64(start + offset[run + fourth])
                for j in range(length):
                    synapse[to + j] += weights[p + j] + weights[q + j] + weights[r + j] + weights[s + j]
            elif two:
                for j in range(length):
                    synapse[to + j] += weights[p + j] + weights[q + j]
            else:
                for j in range(length):
                    synapse[to + j] += weights[p + j]
        n += 4 if four else (2 if two else 1)


@_part
def _hold_back(ring: Array, slot: int, source: Array, first: int, number: int, index: Array) -> int:
    """Swap what `slot` of the ring has kept for what is emitted now; list the former in `index`."""
    count = _search(ring, slot, number, index, 0)
    for place in range(number):
        ring[slot + place] = source[first + place]
    return count


@_part
def _store(rows: Array, c: int, b: int, t: int, values: Array) -> None:
    if rows.shape[0] > 0:
        for j in range(rows.shape[3]):
            rows[c, b, t, j] = values[j]


def _simulate(  # noqa: PLR0912, PLR0915 (a fused loop is one function)
    first: int,
    stride: int,
    wires: Wires,
    chips: Chips,
    samples: Samples,
    start: Variables,
    sums: Sums,
    recorded: Recorded,
    relays: Relays,
) -> None:
    """Run every `stride`-th (chip, sample) from `first` on, in place; the step order is docs/model.md's.

    No view is made within a step, except in parts that keep it to themselves: its reference count
    would be shared between the threads.
    """
    batch, steps = samples.window.shape
    columns, outputs = start.synapse.shape[2], start.trace.shape[2]
    places, layer_words = wires.layers, wires.layer_words
    layers, connections = places.shape[0], wires.pre.shape[0]
    kind = start.synapse.dtype
    clock = chips.clock
    has_shadow = sums.basal.shape[0] > 0
    held = chips.constants.shape[1] > FREE
    rows = chips.feedback.shape[1]
    relayed = relays.size.shape[0] > 0
    every = relays.every[0] if relayed else 1
    has_values, has_spikes = samples.values.shape[0] > 0, samples.spikes.shape[0] > 0
    # what a step touches is the thread's own, so that no two threads write to one cache line
    states = start.neurons.shape[0]
    own, own_shadow = np.empty((states, columns), kind), np.empty((states, columns), kind)
    v, shadow = own[0], own_shadow[0]
    synapse, drive, fed_back = np.empty(columns, kind), np.empty(columns, kind), np.empty(columns, kind)
    counts, basal = np.empty(columns, kind), np.empty(columns, kind)
    trace, integral, effort = np.empty(outputs, kind), np.empty(outputs, kind), np.empty(outputs, kind)
    u = np.empty(max(chips.feedback.shape[1], outputs), kind)
    seen, apical, received, passed = (
        np.zeros(columns, kind),
        np.zeros(columns, kind),
        np.zeros(columns, kind),
        np.zeros(columns, kind),
    )
    emitted, shadow_emitted = np.zeros(columns // 8, np.uint64), np.zeros(columns // 8, np.uint64)
    flags, shadow_flags = emitted.view(np.uint8), shadow_emitted.view(np.uint8)
    tally, shadow_tally = np.zeros(columns // 8, np.uint64), np.zeros(columns // 8, np.uint64)
    tallied, shadow_tallied = tally.view(np.uint8), shadow_tally.view(np.uint8)
    most = columns // 8
    for w in range(connections):
        most = max(most, wires.words[w])
    index, late = np.empty(8 * most + 8, np.int64), np.empty(8 * most + 8, np.int64)
    starts = np.zeros(layers + 1, np.int64)
    for item in range(first, start.synapse.shape[0] * batch, stride):
        c, b = item // batch, item % batch
        is_controlled = samples.controlled[b]
        window, gains = samples.window[b], samples.gains[b]
        target = samples.target[c if samples.target.shape[0] > 1 else 0, b]
        current = start.drive[c, b if start.drive.shape[1] > 1 else 0]
        constants, decay = chips.constants[c], chips.synapse_decay[c]
        weights, feedback, readout = chips.weights[c], chips.feedback[c], chips.readout[c]
        values, input_weights = samples.values[b], chips.input_weights[c]
        spikes, ring = samples.spikes[b], start.under_way[c, b]
        shadow_constants, shift = chips.shadow_constants[c], chips.shadow_bias[c]
        for state in range(states):
            _copy(start.neurons[state, c, b], own[state])
        _copy(start.synapse[c, b], synapse)
        _copy(start.trace[c, b], trace)
        _copy(start.integral[c, b], integral)
        _copy(current, drive)
        if has_shadow:
            for state in range(states):
                _copy(start.shadows[state, c, b], own_shadow[state])
        counted, unit = 0, window[0]
        _clear(counts)
        _clear(basal)
        _clear(effort)
        _clear(u)
        _clear(fed_back)
        fed = is_controlled and not relayed
        received_weight = clock[0] * 0
        if relayed:
            _copy(start.gates[c, b], seen)
            _clear(apical)
            _clear(received)
        for t in range(steps):
            weight = window[t]
            if has_values:
                _copy(current, drive)
                _apply(values, t, input_weights, drive)
            if is_controlled:
                _control(target, trace, integral, readout, gains, clock[2], u)
                if relayed:
                    if t % every == 0:
                        _add_scaled(apical, received_weight, received)
                        received_weight = clock[0] * 0
                        _refresh(u, seen, relays, c, apical, passed)
                    received_weight += weight
                    _reach(u, relays, c, apical, fed_back)
                else:
                    _feed_back(u, feedback, rows if held else rows - ROWS, fed_back)
            if held:
                if has_shadow:
                    _advance_held(own_shadow, synapse, drive, shift, shadow_constants, shadow_flags)
                _advance_held(own, synapse, drive, fed_back, constants, flags)
                _decay(synapse, decay)
            # --- nobody is held
            elif fed and has_shadow:
                _advance_fed(
                    v,
                    shadow,
                    synapse,
                    drive,
                    fed_back,
                    u,
                    feedback,
                    shift,
                    constants,
                    shadow_constants,
                    decay,
                    flags,
                    shadow_flags,
                )
            elif fed:
                _advance_fed(
                    v,
                    None,
                    synapse,
                    drive,
                    fed_back,
                    u,
                    feedback,
                    shift,
                    constants,
                    shadow_constants,
                    decay,
                    flags,
                    shadow_flags,
                )
            elif has_shadow:
                _advance(
                    v,
                    shadow,
                    synapse,
                    drive,
                    fed_back,
                    shift,
                    constants,
                    shadow_constants,
                    decay,
                    flags,
                    shadow_flags,
                )
            else:
                _advance(
                    v,
                    None,
                    synapse,
                    drive,
                    fed_back,
                    shift,
                    constants,
                    shadow_constants,
                    decay,
                    flags,
                    shadow_flags,
                )
            # --- end
            if weight != 0:
                if counted == 255 or weight != unit:
                    _empty(tallied, unit, counts)
                    _empty(shadow_tallied, unit, basal)
                    counted, unit = 0, weight
                counted += 1
                _add_up(emitted, tally)
                if has_shadow:
                    _add_up(shadow_emitted, shadow_tally)
            for layer in range(layers):
                before = starts[layer]
                starts[layer + 1] = _search(emitted, places[layer], layer_words[layer], index, before)
            if relayed:
                _watch(index, starts, layers, relays, seen)
            for w in range(connections):
                pre, wait, words = wires.pre[w], wires.wait[w], wires.words[w]
                table, width, post, row = wires.weights[w], wires.width[w], wires.post[w], wires.wired.rows[w]
                if pre == 0 and not has_spikes:
                    continue
                if pre > 0 and wait == 0:
                    begin, end = starts[pre - 1], starts[pre]
                    if row < 0:
                        _deliver(index, begin, end, weights, table, width, synapse, post)
                    else:
                        _deliver_runs(index, begin, end, weights, table, row, wires.wired, synapse)
                    continue
                slot = wires.ring[w] + (t % wait) * words if wait > 0 else 0
                if pre > 0:
                    found = _hold_back(ring, slot, emitted, places[pre - 1], words, late)
                elif wait > 0:
                    found = _hold_back(ring, slot, spikes, t * words, words, late)
                else:
                    found = _search(spikes, t * words, words, late, 0)
                if row < 0:
                    _deliver(late, 0, found, weights, table, width, synapse, post)
                else:
                    _deliver_runs(late, 0, found, weights, table, row, wires.wired, synapse)
            for k in range(outputs):
                trace[k] *= clock[0]
            _count(index, starts[layers - 1], starts[layers], clock[1], trace)
            if is_controlled and weight != 0:
                for k in range(outputs):
                    effort[k] += weight * u[k]
            _store(recorded.spikes, c, b, t, flags)
            _store(recorded.voltage, c, b, t, v)
            _store(recorded.current, c, b, t, synapse)
            _store(recorded.control, c, b, t, u)
            _store(recorded.readout, c, b, t, trace)
        _empty(tallied, unit, counts)
        _empty(shadow_tallied, unit, basal)
        for state in range(states):
            _copy(own[state], start.neurons[state, c, b])
        _copy(synapse, start.synapse[c, b])
        _copy(trace, start.trace[c, b])
        _copy(integral, start.integral[c, b])
        _copy(counts, sums.emitted[c, b])
        _copy(effort, sums.control[c, b])
        if relayed:
            _add_scaled(apical, received_weight, received)
            _copy(received, sums.apical[c, b])
            _copy(seen, start.gates[c, b])
        if has_shadow:
            for state in range(states):
                _copy(own_shadow[state], start.shadows[state, c, b])
            _copy(basal, sums.basal[c, b])


_exact = njit(nogil=True, cache=True)(_simulate)
_fast = njit(nogil=True, cache=True, fastmath={"contract"})(_simulate)


def simulate(first: int, stride: int, wires: Wires, chips: Chips, samples: Samples, *rest: Any) -> None:
    """Run the loop in the type of the arrays.

    Rounding is that of the reference in float64. In float32 a product and the sum it goes into are
    rounded once instead of twice; terms are never reordered, so that a membrane still cannot
    overshoot the current that it decays to.
    """
    _kernel(chips.weights.dtype)(first, stride, wires, chips, samples, *rest)


def ready(dtype: Any) -> bool:
    """Return whether the loop for a type is compiled, or read from the disk, in this process."""
    return bool(_kernel(dtype).signatures)


def _kernel(dtype: Any) -> Any:
    return _exact if dtype == np.float64 else _fast
