"""The fused loop of LIF networks: one (chip, sample) at a time, all of its steps, in one function.

Every function the loop calls stands in this file, because numba's cache on disk looks at the time stamp
of the file of the outermost function only.

Neurons of all layers lie side by side in columns, each layer padded to whole words of eight (see
:class:`spiking.simulators.compiled.packing.Columns`). All numbers of a padding column are zero, and
0 > 0 is false, so that it never spikes. What is emitted is one byte per neuron, searched eight at a time.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar, cast

import numpy as np
from numba import njit
from numpy.typing import NDArray

from spiking.simulators.compiled.packing import Chips, Recorded, Samples, Sums, Variables, Wires

__all__ = ["CONSTANTS", "STATES", "simulate"]

STATES = ("v", "refractory")
"""The state variables, in the order of the rows of `Variables.neurons`."""

CONSTANTS = ("decay", "threshold", "reset", "refractory_steps")
"""The constants, in the order of the rows of `Chips.constants`; a missing one is zero."""

Array = NDArray[Any]
Function = TypeVar("Function", bound=Callable[..., Any])


def _part(function: Function) -> Function:
    """Compile a part of the loop; it takes over the caller's treatment of floating point."""
    return cast(Function, njit(function))


@_part
def _advance(
    v: Array,
    synapse: Array,
    drive: Array,
    extra: Array,
    decay: Array,
    threshold: Array,
    reset: Array,
    flags: Array,
) -> None:
    """Advance membranes towards ``synapse + drive + extra`` and flag those that spike."""
    for j in range(v.shape[0]):
        current = synapse[j] + drive[j] + extra[j]
        moved = (v[j] - current) * decay[j] + current
        spikes = moved > threshold[j]
        v[j] = reset[j] if spikes else moved
        flags[j] = spikes


@_part
def _advance_held(
    v: Array,
    waiting: Array,
    synapse: Array,
    drive: Array,
    extra: Array,
    constants: Array,
    flags: Array,
) -> None:
    """Do the same for membranes of which some are held after a spike."""
    decay, threshold, reset, held = constants[0], constants[1], constants[2], constants[3]
    none = waiting.dtype.type(0)
    one = waiting.dtype.type(1)
    for j in range(v.shape[0]):
        current = synapse[j] + drive[j] + extra[j]
        moved = (v[j] - current) * decay[j] + current
        moved = reset[j] if waiting[j] > none else moved
        spikes = moved > threshold[j]
        v[j] = reset[j] if spikes else moved
        left = waiting[j] - one
        left = left if left > none else none
        waiting[j] = held[j] if spikes else left
        flags[j] = spikes


@_part
def _control(
    target: Array,
    trace: Array,
    integral: Array,
    readout: Array,
    kp: Array,
    ki: Array,
    leak: float,
    u: Array,
) -> None:
    """Advance the controller, which sees ``readout[0] * trace + readout[1]``."""
    for k in range(u.shape[0]):
        error = target[k] - (readout[0, k] * trace[k] + readout[1, k])
        integral[k] += ki[k] * error - leak * integral[k]
        u[k] = kp[k] * error + integral[k]


@_part
def _feed_back(u: Array, weights: Array, current: Array) -> None:
    """Set `current` to ``u @ weights``, four rows at a time."""
    count = u.shape[0]
    current[:] = 0
    whole = count - count % 4
    for k in range(0, whole, 4):
        a, b, c, d = u[k], u[k + 1], u[k + 2], u[k + 3]
        p, q, r, s = weights[k], weights[k + 1], weights[k + 2], weights[k + 3]
        for j in range(current.shape[0]):
            current[j] += a * p[j] + b * q[j] + c * r[j] + d * s[j]
    for k in range(whole, count):
        a = u[k]
        p = weights[k]
        for j in range(current.shape[0]):
            current[j] += a * p[j]


@_part
def _apply(values: Array, weights: Array, drive: Array) -> None:
    """Add ``values @ weights`` to `drive`, leaving out the zeros."""
    for i in range(values.shape[0]):
        x = values[i]
        if x != 0:
            row = weights[i]
            for j in range(row.shape[0]):
                drive[j] += x * row[j]


@_part
def _search(words: Array, first: int, last: int, index: Array, count: int) -> int:
    """Append the numbers of the set bytes of ``words[first:last]`` to `index`."""
    for place in range(first, last):
        word = words[place]
        if word != 0:
            row = (place - first) * 8
            for k in range(8):
                index[count] = row + k
                count += np.int64((word >> np.uint64(8 * k)) & np.uint64(1))
    return count


@_part
def _deliver(rows: Array, weights: Array, width: int, synapse: Array) -> None:
    """Add the weights of the spikes `rows`, which lie `width` apart, to `synapse`, four at a time."""
    count = rows.shape[0]
    whole = count - count % 4
    for n in range(0, whole, 4):
        p = weights[rows[n] * width :]
        q = weights[rows[n + 1] * width :]
        r = weights[rows[n + 2] * width :]
        s = weights[rows[n + 3] * width :]
        for j in range(width):
            synapse[j] += p[j] + q[j] + r[j] + s[j]
    for n in range(whole, count):
        p = weights[rows[n] * width :]
        for j in range(width):
            synapse[j] += p[j]


def _simulate(  # noqa: PLR0912, PLR0915 (a fused loop is one function)
    first: int,
    stride: int,
    wires: Wires,
    chips: Chips,
    samples: Samples,
    start: Variables,
    sums: Sums,
    recorded: Recorded,
) -> None:
    """Run every `stride`-th (chip, sample) from `first` on, in place; the step order is docs/model.md's."""
    batch, steps = samples.window.shape
    columns, outputs = start.synapse.shape[2], start.trace.shape[2]
    layers = wires.layers.shape[0]
    last = wires.layers[layers - 1]
    kind = start.synapse.dtype
    has_shadow = sums.basal.shape[0] > 0
    held = chips.constants.shape[1] > 3
    shadow_held = has_shadow and chips.shadow_constants.shape[1] > 3
    has_values = samples.values.shape[0] > 0
    # what a step touches is the thread's own, so that no two threads write to one cache line
    v, waiting = np.empty(columns, kind), np.empty(columns, kind)
    shadow, shadow_waiting = np.empty(columns, kind), np.empty(columns, kind)
    synapse, drive, fed_back = np.empty(columns, kind), np.empty(columns, kind), np.zeros(columns, kind)
    trace, integral, u = np.empty(outputs, kind), np.empty(outputs, kind), np.zeros(outputs, kind)
    kp, ki, effort = np.empty(outputs, kind), np.empty(outputs, kind), np.empty(outputs, kind)
    counts, basal = np.empty(columns, kind), np.empty(columns, kind)
    emitted = np.zeros(columns // 8, np.uint64)
    shadow_emitted = np.zeros(columns // 8, np.uint64)
    flags, shadow_flags = emitted.view(np.uint8), shadow_emitted.view(np.uint8)
    index = np.empty(columns + 8, np.int64)
    late = np.empty(8 * wires.words.max() + 8, np.int64)
    starts = np.zeros(layers + 1, np.int64)
    for item in range(first, start.synapse.shape[0] * batch, stride):
        c, b = item // batch, item % batch
        constants, decay = chips.constants[c], chips.synapse_decay[c]
        weights, feedback, readout = chips.weights[c], chips.feedback[c], chips.readout[c]
        gains, is_controlled = samples.gains[b], samples.controlled[b]
        target = samples.target[c if samples.target.shape[0] > 1 else 0, b]
        current = start.drive[c, b if start.drive.shape[1] > 1 else 0]
        ring = start.under_way[c, b]
        kp[:] = gains[0] * readout[2]
        ki[:] = gains[1] * readout[3] * chips.clock[2]
        leak = gains[2]
        v[:] = start.neurons[0, c, b]
        waiting[:] = start.neurons[1, c, b]
        synapse[:] = start.synapse[c, b]
        trace[:] = start.trace[c, b]
        integral[:] = start.integral[c, b]
        drive[:] = current
        counts[:] = 0
        effort[:] = 0
        u[:] = 0
        fed_back[:] = 0
        if has_shadow:
            shadow_constants, shift = chips.shadow_constants[c], chips.shadow_bias[c]
            shadow[:] = start.shadows[0, c, b]
            shadow_waiting[:] = start.shadows[1, c, b]
            basal[:] = 0
        for t in range(steps):
            weight = samples.window[b, t]
            if is_controlled:
                _control(target, trace, integral, readout, kp, ki, leak, u)
                _feed_back(u, feedback, fed_back)
            if has_values:
                drive[:] = current
                _apply(samples.values[b, t], chips.input_weights[c], drive)
            if has_shadow:
                if shadow_held:
                    _advance_held(
                        shadow, shadow_waiting, synapse, drive, shift, shadow_constants, shadow_flags
                    )
                else:
                    _advance(
                        shadow,
                        synapse,
                        drive,
                        shift,
                        shadow_constants[0],
                        shadow_constants[1],
                        shadow_constants[2],
                        shadow_flags,
                    )
                if weight != 0:
                    for n in range(_search(shadow_emitted, 0, columns // 8, index, 0)):
                        basal[index[n]] += weight
            if held:
                _advance_held(v, waiting, synapse, drive, fed_back, constants, flags)
            else:
                _advance(
                    v, synapse, drive, fed_back, constants[0], constants[1], constants[2], flags
                )
            for j in range(columns):
                synapse[j] *= decay[j]
            count = 0
            for layer in range(layers):
                place = wires.layers[layer]
                found = _search(emitted, place, wires.layers[layer] + wires.layer_words[layer], index, count)
                if weight != 0:
                    for n in range(count, found):
                        counts[place * 8 + index[n]] += weight
                count = found
                starts[layer + 1] = count
            for w in range(wires.pre.shape[0]):
                pre, wait, words = wires.pre[w], wires.wait[w], wires.words[w]
                to = synapse[wires.post[w] :]
                table = weights[wires.weights[w] :]
                if wait == 0 and pre > 0:
                    _deliver(index[starts[pre - 1] : starts[pre]], table, wires.width[w], to)
                    continue
                if pre == 0 and samples.spikes.shape[0] == 0:
                    continue
                source = samples.spikes[b, t] if pre == 0 else emitted[wires.layers[pre - 1] :]
                if wait == 0:
                    _deliver(late[: _search(source, 0, words, late, 0)], table, wires.width[w], to)
                    continue
                slot = wires.ring[w] + (t % wait) * words
                number = _search(ring, slot, slot + words, late, 0)
                ring[slot : slot + words] = source[:words]
                _deliver(late[:number], table, wires.width[w], to)
            for k in range(outputs):
                trace[k] *= chips.clock[0]
            for n in range(starts[layers - 1], starts[layers]):
                trace[index[n]] += chips.clock[1]
            if is_controlled and weight != 0:
                for k in range(outputs):
                    effort[k] += weight * u[k]
            if recorded.spikes.shape[0] > 0:
                recorded.spikes[c, b, t] = flags
            if recorded.voltage.shape[0] > 0:
                recorded.voltage[c, b, t] = v
            if recorded.current.shape[0] > 0:
                recorded.current[c, b, t] = synapse
            if recorded.control.shape[0] > 0:
                recorded.control[c, b, t] = u
            if recorded.readout.shape[0] > 0:
                recorded.readout[c, b, t] = trace
        start.neurons[0, c, b] = v
        start.neurons[1, c, b] = waiting
        start.synapse[c, b] = synapse
        start.trace[c, b] = trace
        start.integral[c, b] = integral
        sums.emitted[c, b] = counts
        sums.control[c, b] = effort
        if has_shadow:
            start.shadows[0, c, b] = shadow
            start.shadows[1, c, b] = shadow_waiting
            sums.basal[c, b] = basal


_exact = njit(nogil=True, cache=True)(_simulate)
_fast = njit(nogil=True, cache=True, fastmath={"contract"})(_simulate)


def simulate(first: int, stride: int, wires: Wires, chips: Chips, samples: Samples, *rest: Any) -> None:
    """Run the loop in the type of the arrays.

    Rounding is that of the reference in float64. In float32 a product and the sum it goes into are
    rounded once instead of twice; terms are never reordered, so that a membrane still cannot
    overshoot the current that it decays to.
    """
    kernel = _exact if chips.weights.dtype == np.float64 else _fast
    kernel(first, stride, wires, chips, samples, *rest)
