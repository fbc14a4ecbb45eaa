# ruff: noqa: PLR0917 (compiled functions take arrays, and by position)
"""The fused loop: one (chip, sample) at a time, all of its steps, in one function.

It is compiled as one text with its parts and a neuron's step; see `generated`.

Neurons of all layers lie side by side in columns, each layer padded to whole words of eight (see
:class:`spiking.simulators.flat.columns.Columns`). All numbers of a padding column are zero, and
0 > 0 is false, so that it never spikes. What is emitted is one byte per neuron, searched and added up
eight at a time.
"""

from __future__ import annotations

import numpy as np

from spiking.simulators.compiled.arrays import (
    ROWS,
    Chips,
    Recorded,
    Relays,
    Samples,
    Variables,
    WindowSums,
    Wires,
)
from spiking.simulators.compiled.feeding import feed_back, reach, refresh, watch
from spiking.simulators.compiled.lif import FREE, advance, advance_fed, advance_held
from spiking.simulators.compiled.parts import (
    add_scaled,
    add_up,
    apply,
    changes,
    clear,
    control,
    copy,
    count,
    deliver,
    deliver_runs,
    empty,
    fade,
    hand_over,
    hold_back,
    in_both_types,
    search,
    store,
)

__all__ = ["compiled", "simulate"]


def simulate(  # noqa: PLR0912, PLR0915 (a fused loop is one function)
    first: int,
    stride: int,
    wires: Wires,
    chips: Chips,
    samples: Samples,
    start: Variables,
    sums: WindowSums,
    recorded: Recorded,
    relays: Relays,
) -> None:
    """Run every `stride`-th (chip, sample) from `first` on, in place; the step order is docs/model.md's.

    No view is made within a step, except in parts that keep it to themselves: its reference count
    would be shared between the threads.
    """
    batch, steps = samples.window.shape
    size = steps // sums.ends.shape[2]  # of a window
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
        window, gains = samples.window[b], samples.gains[c, b]
        target = samples.target[c if samples.target.shape[0] > 1 else 0, b]
        lasting = steps // (target.shape[0] // outputs) if is_controlled else steps  # how long a target holds
        current = start.drive[c, b if start.drive.shape[1] > 1 else 0]
        constants, decay = chips.constants[c], chips.synapse_decay[c]
        weights, feedback, readout = chips.weights[c], chips.feedback[c], chips.readout[c]
        values, input_weights = samples.values[b], chips.input_weights[c]
        spikes, ring = samples.spikes[b], start.under_way[c, b]
        shadow_constants, shift = chips.shadow_constants[c], chips.shadow_bias[c]
        for state in range(states):
            copy(start.neurons[state, c, b], own[state])
        copy(start.synapse[c, b], synapse)
        copy(start.trace[c, b], trace)
        copy(start.integral[c, b], integral)
        copy(current, drive)
        if has_shadow:
            for state in range(states):
                copy(start.shadows[state, c, b], own_shadow[state])
        counted, unit = 0, window[0]
        place, since, aim, kept = 0, 0, 0, 0
        clear(counts)
        clear(basal)
        clear(effort)
        clear(u)
        clear(fed_back)
        fed = is_controlled and not relayed
        received_weight = clock[0] * 0
        if relayed:
            copy(start.gates[c, b], seen)
            clear(apical)
            clear(received)
        for t in range(steps):
            weight = window[t]
            if has_values and changes(values, t):
                copy(current, drive)
                apply(values, t, input_weights, drive)
            if is_controlled:
                if kept == lasting:  # counted, since a division in every step would be felt
                    aim, kept = aim + outputs, 0
                kept += 1
                control(target, aim, trace, integral, readout, gains, u)
                if relayed:
                    if (t - since) % every == 0:
                        add_scaled(apical, received_weight, received)
                        received_weight = clock[0] * 0
                        refresh(u, seen, relays, c, apical, passed)
                    received_weight += weight
                    reach(u, relays, c, apical, fed_back)
                else:
                    feed_back(u, feedback, rows if held else rows - ROWS, fed_back)
            if held:
                if has_shadow:
                    advance_held(own_shadow, synapse, drive, shift, shadow_constants, shadow_flags)
                advance_held(own, synapse, drive, fed_back, constants, flags)
                fade(synapse, decay)
            # --- nobody is held
            elif fed and has_shadow:
                advance_fed(
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
                advance_fed(
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
                advance(
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
                advance(
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
                    empty(tallied, unit, counts)
                    empty(shadow_tallied, unit, basal)
                    counted, unit = 0, weight
                counted += 1
                add_up(emitted, tally)
                if has_shadow:
                    add_up(shadow_emitted, shadow_tally)
            for layer in range(layers):
                before = starts[layer]
                starts[layer + 1] = search(emitted, places[layer], layer_words[layer], index, before)
            if relayed:
                watch(index, starts, layers, relays, seen)
            for w in range(connections):
                pre, wait, words = wires.pre[w], wires.wait[w], wires.words[w]
                table, width, post, row = wires.weights[w], wires.width[w], wires.post[w], wires.wired.rows[w]
                if pre == 0 and not has_spikes:
                    continue
                if pre > 0 and wait == 0:
                    begin, end = starts[pre - 1], starts[pre]
                    if row < 0:
                        deliver(index, begin, end, weights, table, width, synapse, post)
                    else:
                        deliver_runs(index, begin, end, weights, table, row, wires.wired, synapse)
                    continue
                slot = wires.ring[w] + (t % wait) * words if wait > 0 else 0
                if pre > 0:
                    found = hold_back(ring, slot, emitted, places[pre - 1], words, late)
                elif wait > 0:
                    found = hold_back(ring, slot, spikes, t * words, words, late)
                else:
                    found = search(spikes, t * words, words, late, 0)
                if row < 0:
                    deliver(late, 0, found, weights, table, width, synapse, post)
                else:
                    deliver_runs(late, 0, found, weights, table, row, wires.wired, synapse)
            for k in range(outputs):
                trace[k] *= clock[0]
            count(index, starts[layers - 1], starts[layers], clock[1], trace)
            if is_controlled and weight != 0:
                for k in range(outputs):
                    effort[k] += weight * u[k]
            store(recorded.spikes, c, b, t, flags)
            store(recorded.voltage, c, b, t, v)
            store(recorded.current, c, b, t, synapse)
            store(recorded.control, c, b, t, u)
            store(recorded.readout, c, b, t, trace)
            if t + 1 == since + size:  # a window is over
                empty(tallied, unit, counts)
                hand_over(counts, sums.emitted, c, b, place)
                hand_over(effort, sums.control, c, b, place)
                store(sums.ends, c, b, place, trace)
                if has_shadow:
                    empty(shadow_tallied, unit, basal)
                    hand_over(basal, sums.basal, c, b, place)
                if relayed:
                    add_scaled(apical, received_weight, received)
                    hand_over(received, sums.apical, c, b, place)
                    received_weight = clock[0] * 0
                counted, place, since = 0, place + 1, t + 1
        for state in range(states):
            copy(own[state], start.neurons[state, c, b])
        copy(synapse, start.synapse[c, b])
        copy(trace, start.trace[c, b])
        copy(integral, start.integral[c, b])
        if relayed:
            copy(seen, start.gates[c, b])
        if has_shadow:
            for state in range(states):
                copy(own_shadow[state], start.shadows[state, c, b])


compiled = in_both_types(simulate)
"""The loop for a type of numbers."""
