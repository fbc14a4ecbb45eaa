# ruff: noqa: PLR0917 (compiled functions take arrays, and by position)
r"""The loop of networks of several neuron models, and of synapses that learn in every step.

What neurons emit is a number each, 1 for a spike, so that populations that spike and such that do not can
stand side by side. It is compiled as one text with its parts and the neurons' steps; see `generated`.

A synapse that learns is looked up when its neuron emits something; see `rows`. A neuron that learns from its
first spike on, in step :math:`T_i`, begins with :math:`-\eta \sum_a Q_{ai} A_{aj}(T_i)`.
"""

from __future__ import annotations

import numpy as np

from spiking.simulators.compiled.arrays import (
    FUSED,
    Chips,
    Learning,
    Network,
    Recorded,
    Samples,
    Sums,
    Variables,
)
from spiking.simulators.compiled.parts import (
    Array,
    add_scaled,
    clear,
    control,
    copy,
    fade,
    in_both_types,
    part,
    store,
)
from spiking.simulators.compiled.rows import (
    add_learned_rows,
    add_rows,
    add_to,
    arriving,
    gather,
    to_traces,
)

__all__ = ["compiled", "simulate"]


# --- the neurons' steps
@part
def advance(
    group: int, own: Array, constants: Array, current: Array, emitted: Array, first: int, last: int
) -> None:
    """Advance the neurons ``first`` to ``last`` of a group: here such that emit their current.

    The modules that `generated` makes of this file have the steps of a network's models in its place.
    """
    for j in range(first, last):
        emitted[j] = current[j]


# ---
@part
def push(u: Array, feedback: Array, current: Array) -> None:
    """Set `current` to ``u @ feedback``."""
    clear(current)
    for k in range(u.shape[0]):
        add_scaled(feedback[k], u[k], current)


@part
def deliver(
    to: Array,
    direct: bool,
    t: int,
    network: Network,
    learning: Learning,
    sent: Array,
    under_way: Array,
    listed: tuple[Array, Array],
    weights: Array,
    learnt: tuple[Array, Array, Array, Array, Array],
) -> None:
    """Add what arrives through connections that act in their own step, or through others, to `to`."""
    index, values = listed
    effect, begun, sums, open_, found = learnt
    for w in range(network.post.shape[0]):
        if network.direct[w] != direct:
            continue
        layer, before, size, place = network.post[w], network.before[w], network.size[w], network.weights[w]
        first, width = network.edges[layer - 1], network.edges[layer] - network.edges[layer - 1]
        wait = 0 if direct else network.wait[w]
        slot = network.ring[w] + (t % wait) * size if wait > 0 else 0
        number = arriving(sent, before, size, under_way, slot, wait, index, values)
        if learning.steps.shape[0] > 0 and learning.steps[w] != 0:
            fed, step, alone = (open_, found), learning.steps[w], learning.alone[w]
            add_learned_rows(
                listed,
                number,
                weights,
                effect,
                place,
                width,
                to,
                first,
                alone,
                begun[w],
                step,
                sums,
                before,
                fed,
            )
        else:
            add_rows(index, values, number, weights, place, width, to, first)


@part
def open_up(
    j: int,
    layer: int,
    network: Network,
    chips: Chips,
    learning: Learning,
    c: int,
    b: int,
    sums: Array,
    total: Array,
    open_: Array,
    weights: Array,
) -> None:
    """Let a neuron learn from now on: what its synapses would have learned before is taken from them."""
    edges, outputs = network.edges, total.shape[0]
    for k in range(outputs):
        open_[k, j] = chips.feedback[c, k, j]
        learning.biases[c, b, j] -= open_[k, j] * total[k]
    for w in range(network.post.shape[0]):
        if network.post[w] != layer or learning.steps[w] == 0:
            continue
        first, width, before = edges[layer - 1], edges[layer] - edges[layer - 1], network.before[w]
        for i in range(network.size[w]):
            missed = sums[0, 0] * 0
            for k in range(outputs):
                missed += open_[k, j] * sums[k, before + i]
            place = network.weights[w] + i * width + j - first
            learning.weights[c, b, place] -= missed
            weights[place] -= learning.effect[c, place] * learning.steps[w] * missed


def simulate(  # noqa: PLR0912, PLR0915 (a fused loop is one function)
    item_first: int,
    stride: int,
    network: Network,
    chips: Chips,
    samples: Samples,
    start: Variables,
    sums: Sums,
    recorded: Recorded,
    learning: Learning,
) -> None:
    """Run every `stride`-th (chip, sample) from `item_first` on, in place; in docs/model.md's step order."""
    batch, steps = samples.window.shape
    columns, outputs = start.synapse.shape[2], start.trace.shape[2]
    connections, edges = network.post.shape[0], network.edges
    layers, inputs = edges.shape[0] - 1, samples.values.shape[2]
    kind, clock = start.synapse.dtype, chips.clock
    states, has_shadow = start.neurons.shape[0], sums.basal.shape[0] > 0
    learns = learning.steps.shape[0] > 0
    gated = learns and learning.clock[2] > 0
    own, own_shadow = np.empty((states, columns), kind), np.empty((states, columns), kind)
    synapse, current, fed = np.empty(columns, kind), np.empty(columns, kind), np.zeros(columns, kind)
    basal, bias = np.empty(columns, kind), np.empty(columns, kind)
    sent, shadow_emitted = np.zeros(inputs + columns, kind), np.zeros(columns, kind)
    given, emitted = sent[:inputs], sent[inputs:]  # what the input sends, and neurons
    trace, integral, u = np.empty(outputs, kind), np.empty(outputs, kind), np.zeros(outputs, kind)
    found, most = np.empty(columns, kind), max(inputs, columns) + 1
    listed = np.empty(most, np.int64), np.empty(most, kind)
    under_way = np.empty(start.under_way.shape[2], kind)
    # what learns: traces of the inputs and the neurons, A, the sum of u, and Q where it is open
    seen, spiked = np.zeros(inputs + columns, kind), np.zeros(columns, np.bool_)
    rows = max(outputs, FUSED)
    products, total = np.zeros((rows, inputs + columns), kind), np.zeros(outputs, kind)
    open_ = np.zeros((rows, columns), kind)
    own_weights = np.zeros(chips.weights.shape[1] if learns else 0, kind)
    for item in range(item_first, start.synapse.shape[0] * batch, stride):
        c, b = item // batch, item % batch
        is_controlled = samples.controlled[b]
        window, gains = samples.window[b], samples.gains[c, b]
        target = samples.target[c if samples.target.shape[0] > 1 else 0, b]
        further = outputs if target.shape[0] > outputs else 0  # from the target of a step to the next one's
        drive = samples.values[b]
        changing = drive.shape[0] > 1
        constants, decay, feedback = chips.constants[c], chips.synapse_decay[c], chips.feedback[c]
        readout, shadow_constants, shift = chips.readout[c], chips.shadow_constants[c], chips.shadow_bias[c]
        weights, learnt = chips.weights[c], (learning.effect[c], learning.begun[c], products, open_, found)
        if learns:
            copy(weights, own_weights)
            weights = own_weights
            products[:] = 0
            open_[:] = 0
            clear(seen)
            clear(total)
            for j in range(columns):
                spiked[j] = False
            at_once = edges[layers - 1] if gated else 0  # outputs learn at once, or all do
            for j in range(at_once, edges[layers]):
                spiked[j] = True
                for k in range(outputs):
                    open_[k, j] = feedback[k, j]
        for state in range(states):
            copy(start.neurons[state, c, b], own[state])
            if has_shadow:
                copy(start.shadows[state, c, b], own_shadow[state])
        copy(start.synapse[c, b], synapse)
        copy(start.trace[c, b], trace)
        copy(start.integral[c, b], integral)
        copy(start.under_way[c, b], under_way)
        copy(chips.bias[c], bias)
        clear(u)
        for t in range(steps):
            weight = window[t]
            if t == 0 or changing:
                for i in range(inputs):
                    given[i] = drive[t, i]
            if is_controlled:
                control(target, t * further, trace, integral, readout, gains, u)
            copy(synapse, current)
            add_to(bias, current)
            deliver(current, True, t, network, learning, sent, under_way, listed, weights, learnt)
            if samples.injected.shape[0] > 0:
                chip = c if samples.injected.shape[0] > 1 else 0
                for j in range(columns):
                    current[j] += samples.injected[chip, b, j]
            if has_shadow:
                for j in range(columns):
                    basal[j] = current[j] + shift[j]
                for group in range(network.groups.shape[0]):
                    a, z = network.groups[group, 0], network.groups[group, 1]
                    advance(group, own_shadow, shadow_constants, basal, shadow_emitted, a, z)
            if is_controlled:
                push(u, feedback, fed)
                add_to(fed, current)
                if learns and weight != 0:
                    gather(u, weight, seen, products, total)
                    for layer in range(1, layers + 1):
                        if learning.bias_steps[layer - 1] != 0:
                            for j in range(edges[layer - 1], edges[layer]):
                                for k in range(outputs):
                                    factor = learning.bias_steps[layer - 1] * weight * u[k]
                                    bias[j] += factor * open_[k, j]
            for group in range(network.groups.shape[0]):
                a, z = network.groups[group, 0], network.groups[group, 1]
                advance(group, own, constants, current, emitted, a, z)
            fade(synapse, decay)
            for k in range(outputs):
                trace[k] *= clock[0]
            deliver(synapse, False, t, network, learning, sent, under_way, listed, weights, learnt)
            if learns:
                share = learning.clock[1] - learning.clock[0]
                to_traces(given, 0, inputs, learning.values[0], share, seen, 0)
                for layer in range(1, layers + 1):
                    a, z = edges[layer - 1], edges[layer]
                    to_traces(emitted, a, z, learning.values[layer], share, seen, inputs + a)
                    for j in range(a, z if gated else a):
                        if emitted[j] != 0 and not spiked[j]:
                            spiked[j] = True
                            open_up(j, layer, network, chips, learning, c, b, products, total, open_, weights)
            for k in range(outputs):
                trace[k] += clock[1] * emitted[columns - outputs + k]
            if weight != 0:
                for j in range(columns):
                    sums.emitted[c, b, j] += weight * emitted[j]
                    if has_shadow:
                        sums.basal[c, b, j] += weight * shadow_emitted[j]
                if is_controlled:
                    for k in range(outputs):
                        sums.control[c, b, k] += weight * u[k]
            store(recorded.spikes, c, b, t, emitted)
            store(recorded.voltage, c, b, t, own[0])
            store(recorded.current, c, b, t, synapse)
            store(recorded.control, c, b, t, u)
            store(recorded.readout, c, b, t, trace)
        for state in range(states):
            copy(own[state], start.neurons[state, c, b])
            if has_shadow:
                copy(own_shadow[state], start.shadows[state, c, b])
        copy(synapse, start.synapse[c, b])
        copy(trace, start.trace[c, b])
        copy(integral, start.integral[c, b])
        copy(under_way, start.under_way[c, b])
        if not learns:
            continue
        for w in range(connections):
            layer, before = network.post[w], network.before[w]
            first, width = edges[layer - 1], edges[layer] - edges[layer - 1]
            if learning.steps[w] != 0:
                for i in range(network.size[w]):
                    for k in range(outputs):
                        for j in range(width):
                            place = network.weights[w] + i * width + j
                            learning.weights[c, b, place] += open_[k, first + j] * products[k, before + i]
        for k in range(outputs):
            for j in range(columns):
                learning.biases[c, b, j] += open_[k, j] * total[k]


compiled = in_both_types(simulate)
"""The loop for a type of numbers."""
