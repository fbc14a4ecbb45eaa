# ruff: noqa: PLR0917 (compiled functions take arrays, and by position)
r"""The loop of networks of several neuron models, and of synapses that learn in every step.

What neurons emit is a number each, 1 for a spike, so that populations that spike and such that do not can
stand side by side. All functions stand in this file for the reason that is given in `lif`.

Synapses that learn are never changed one by one. What one of them has learned is, for the feedback weights Q,
the control signal u and the presynaptic traces x of `Plasticity`,

.. math:: \Delta w_{ij} = \eta \sum_a Q_{ai} A_{aj}, \qquad A_{aj} = \sum_t u_a(t)\, x_j(t)

so that A is kept and a synapse looked up when its neuron emits something. A neuron that learns from its first
spike on, in step :math:`T_i`, begins with :math:`-\eta \sum_a Q_{ai} A_{aj}(T_i)`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar, cast

import numpy as np
from numba import njit
from numpy.typing import NDArray

from spiking.simulators.compiled.mixed_arrays import (
    Chips,
    Learning,
    Network,
    Recorded,
    Samples,
    Sums,
    Variables,
)

__all__ = ["ready", "simulate"]

Array = NDArray[Any]
Function = TypeVar("Function", bound=Callable[..., Any])


def _part(function: Function) -> Function:
    """Compile a part of the loop; it takes over the caller's treatment of floating point."""
    return cast(Function, njit(function, forceinline=True))


# --- the neurons' steps
@_part
def _advance(
    group: int, own: Array, constants: Array, current: Array, emitted: Array, first: int, last: int
) -> None:
    """Advance the neurons ``first`` to ``last`` of a group: here such that emit their current.

    The modules that `generated` makes of this file have the steps of a network's models in its place.
    """
    for j in range(first, last):
        emitted[j] = current[j]


# ---
@_part
def _copy(source: Array, to: Array) -> None:
    for j in range(to.shape[0]):
        to[j] = source[j]


@_part
def _clear(array: Array) -> None:
    for j in range(array.shape[0]):
        array[j] = 0


@_part
def _control(
    target: Array, t: int, trace: Array, integral: Array, readout: Array, gains: Array, dt: float, u: Array
) -> None:
    """Advance the controller, which sees ``readout[0] * trace + readout[1]``."""
    for k in range(trace.shape[0]):
        error = target[t, k] - (readout[0, k] * trace[k] + readout[1, k])
        integral[k] += gains[1] * readout[3, k] * dt * error - gains[2] * integral[k]
        u[k] = gains[0] * readout[2, k] * error + integral[k]


@_part
def _feed_back(u: Array, feedback: Array, current: Array) -> None:
    for j in range(current.shape[0]):
        current[j] = 0
    for k in range(u.shape[0]):
        for j in range(current.shape[0]):
            current[j] += u[k] * feedback[k, j]


@_part
def _learned(
    sums: Array, column: int, step: float, open_: Array, first: int, width: int, learned: Array
) -> None:
    """Set `learned` to what the synapses of the neuron of a column have learned."""
    for i in range(width):
        learned[i] = 0
    for k in range(sums.shape[0]):
        factor = step * sums[k, column]
        for i in range(width):
            learned[i] += factor * open_[k, first + i]


@_part
def _deliver(
    x: float,
    weights: Array,
    effect: Array,
    start: int,
    width: int,
    learns: bool,
    learned: Array,
    to: Array,
    first: int,
) -> None:
    """Add x times a row of weights, and of what they have learned, to the columns from `first` on."""
    if learns:
        for i in range(width):
            to[first + i] += x * (weights[start + i] + effect[start + i] * learned[i])
    else:
        for i in range(width):
            to[first + i] += x * weights[start + i]


@_part
def _open(
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
    edges, inputs = network.edges, network.inputs[0]
    outputs = sums.shape[0]
    for k in range(outputs):
        open_[k, j] = chips.feedback[c, k, j]
        learning.biases[c, b, j] -= open_[k, j] * total[k]
    for w in range(network.pre.shape[0]):
        if network.post[w] != layer or learning.steps[w] == 0:
            continue
        pre, first, width = network.pre[w], edges[layer - 1], edges[layer] - edges[layer - 1]
        before = 0 if pre == 0 else inputs + edges[pre - 1]
        size = inputs if pre == 0 else edges[pre] - edges[pre - 1]
        for i in range(size):
            missed = sums[0, 0] * 0
            for k in range(outputs):
                missed += open_[k, j] * sums[k, before + i]
            place = network.weights[w] + i * width + j - first
            learning.weights[c, b, place] -= missed
            weights[place] -= learning.effect[c, place] * learning.steps[w] * missed


@_part
def _store(rows: Array, c: int, b: int, t: int, values: Array) -> None:
    if rows.shape[0] > 0:
        for j in range(rows.shape[3]):
            rows[c, b, t, j] = values[j]


def _simulate(  # noqa: PLR0912, PLR0915 (a fused loop is one function)
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
    connections, edges = network.pre.shape[0], network.edges
    layers, inputs = edges.shape[0] - 1, network.inputs[0]
    kind, clock = start.synapse.dtype, chips.clock
    states, has_shadow = start.neurons.shape[0], sums.basal.shape[0] > 0
    learns = learning.steps.shape[0] > 0
    own, own_shadow = np.empty((states, columns), kind), np.empty((states, columns), kind)
    synapse, current, fed = np.empty(columns, kind), np.empty(columns, kind), np.zeros(columns, kind)
    basal, bias = np.empty(columns, kind), np.empty(columns, kind)
    emitted, shadow_emitted = np.zeros(columns, kind), np.zeros(columns, kind)
    trace, integral, u = np.empty(outputs, kind), np.empty(outputs, kind), np.zeros(outputs, kind)
    learned = np.zeros(max(columns, 1), kind)
    under_way = np.empty(start.under_way.shape[2], kind)
    # what learns: traces of the inputs and the neurons, A, the sum of u, and Q where it is open
    seen, spiked = np.zeros(inputs + columns, kind), np.zeros(columns, np.bool_)
    products, total = np.zeros((outputs, inputs + columns), kind), np.zeros(outputs, kind)
    open_ = np.zeros((outputs, columns), kind)
    own_weights = np.zeros(chips.weights.shape[1] if learns else 0, kind)
    for item in range(item_first, start.synapse.shape[0] * batch, stride):
        c, b = item // batch, item % batch
        is_controlled = samples.controlled[b]
        window, gains = samples.window[b], samples.gains[b]
        target = samples.target[c if samples.target.shape[0] > 1 else 0, b]
        moves = target.shape[0] > 1
        values = samples.inputs[b]
        changing = values.shape[0] > 1
        constants, decay, feedback = chips.constants[c], chips.synapse_decay[c], chips.feedback[c]
        readout, shadow_constants, shift = chips.readout[c], chips.shadow_constants[c], chips.shift[c]
        weights, effect = chips.weights[c], learning.effect[c]
        if learns:
            _copy(weights, own_weights)
            weights = own_weights
            products[:] = 0
            open_[:] = 0
            _clear(seen)
            _clear(total)
            for j in range(columns):
                spiked[j] = False
            at_once = edges[layers - 1] if learning.clock[2] > 0 else 0  # outputs learn at once, or all do
            for j in range(at_once, edges[layers]):
                spiked[j] = True
                for k in range(outputs):
                    open_[k, j] = feedback[k, j]
        for state in range(states):
            _copy(start.neurons[state, c, b], own[state])
            if has_shadow:
                _copy(start.shadows[state, c, b], own_shadow[state])
        _copy(start.synapse[c, b], synapse)
        _copy(start.trace[c, b], trace)
        _copy(start.integral[c, b], integral)
        _copy(start.under_way[c, b], under_way)
        _copy(chips.bias[c], bias)
        _clear(u)
        for t in range(steps):
            weight, now = window[t], t if changing else 0
            if is_controlled:
                _control(target, t if moves else 0, trace, integral, readout, gains, clock[2], u)
            for j in range(columns):
                current[j] = synapse[j] + bias[j]
            for w in range(connections):
                if not network.direct[w]:
                    continue
                layer = network.post[w]
                first, width = edges[layer - 1], edges[layer] - edges[layer - 1]
                changes = learns and learning.steps[w] != 0
                for i in range(inputs):
                    if values[now, i] != 0:
                        if changes:
                            _learned(products, i, learning.steps[w], open_, first, width, learned)
                        _deliver(
                            values[now, i],
                            weights,
                            effect,
                            network.weights[w] + i * width,
                            width,
                            changes,
                            learned,
                            current,
                            first,
                        )
            if samples.injected.shape[0] > 0:
                chip = c if samples.injected.shape[0] > 1 else 0
                for j in range(columns):
                    current[j] += samples.injected[chip, b, j]
            if has_shadow:
                for j in range(columns):
                    basal[j] = current[j] + shift[j]
                for group in range(network.groups.shape[0]):
                    a, z = network.groups[group, 0], network.groups[group, 1]
                    _advance(group, own_shadow, shadow_constants, basal, shadow_emitted, a, z)
            if is_controlled:
                _feed_back(u, feedback, fed)
                for j in range(columns):
                    current[j] += fed[j]
                if learns and weight != 0:
                    for k in range(outputs):
                        factor = weight * u[k]
                        total[k] += factor
                        for j in range(inputs + columns):
                            products[k, j] += factor * seen[j]
                    for layer in range(1, layers + 1):
                        if learning.bias_steps[layer - 1] != 0:
                            for j in range(edges[layer - 1], edges[layer]):
                                for k in range(outputs):
                                    factor = learning.bias_steps[layer - 1] * weight * u[k]
                                    bias[j] += factor * open_[k, j]
            for group in range(network.groups.shape[0]):
                a, z = network.groups[group, 0], network.groups[group, 1]
                _advance(group, own, constants, current, emitted, a, z)
            for j in range(columns):
                synapse[j] *= decay[j]
            for k in range(outputs):
                trace[k] *= clock[0]
            for w in range(connections):
                if network.direct[w]:
                    continue
                pre, layer, wait = network.pre[w], network.post[w], network.wait[w]
                first, width = edges[layer - 1], edges[layer] - edges[layer - 1]
                size = inputs if pre == 0 else edges[pre] - edges[pre - 1]
                slot = network.ring[w] + (t % wait) * size if wait > 0 else 0
                changes = learns and learning.steps[w] != 0
                for i in range(size):
                    x = values[now, i] if pre == 0 else emitted[edges[pre - 1] + i]
                    if wait > 0:
                        x, under_way[slot + i] = under_way[slot + i], x
                    if x == 0:
                        continue
                    if changes:
                        column = i if pre == 0 else inputs + edges[pre - 1] + i
                        _learned(products, column, learning.steps[w], open_, first, width, learned)
                    _deliver(
                        x,
                        weights,
                        effect,
                        network.weights[w] + i * width,
                        width,
                        changes,
                        learned,
                        synapse,
                        first,
                    )
            if learns:
                kept = learning.clock[0]
                for i in range(inputs):
                    x = values[now, i] * learning.values[0]
                    seen[i] += (learning.clock[1] - kept) * (x - seen[i])
                for layer in range(1, layers + 1):
                    for j in range(edges[layer - 1], edges[layer]):
                        x = emitted[j] * learning.values[layer]
                        seen[inputs + j] += (learning.clock[1] - kept) * (x - seen[inputs + j])
                        if x != 0 and not spiked[j]:
                            spiked[j] = True
                            _open(j, layer, network, chips, learning, c, b, products, total, open_, weights)
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
            _store(recorded.spikes, c, b, t, emitted)
            _store(recorded.voltage, c, b, t, own[0])
            _store(recorded.current, c, b, t, synapse)
            _store(recorded.control, c, b, t, u)
            _store(recorded.readout, c, b, t, trace)
        for state in range(states):
            _copy(own[state], start.neurons[state, c, b])
            if has_shadow:
                _copy(own_shadow[state], start.shadows[state, c, b])
        _copy(synapse, start.synapse[c, b])
        _copy(trace, start.trace[c, b])
        _copy(integral, start.integral[c, b])
        _copy(under_way, start.under_way[c, b])
        if not learns:
            continue
        for w in range(connections):
            pre, layer = network.pre[w], network.post[w]
            first, width = edges[layer - 1], edges[layer] - edges[layer - 1]
            before = 0 if pre == 0 else inputs + edges[pre - 1]
            size = inputs if pre == 0 else edges[pre] - edges[pre - 1]
            if learning.steps[w] != 0:
                for i in range(size):
                    for k in range(outputs):
                        for j in range(width):
                            place = network.weights[w] + i * width + j
                            learning.weights[c, b, place] += open_[k, first + j] * products[k, before + i]
        for k in range(outputs):
            for j in range(columns):
                learning.biases[c, b, j] += open_[k, j] * total[k]


_exact = njit(nogil=True, cache=True)(_simulate)
_fast = njit(nogil=True, cache=True, fastmath={"contract"})(_simulate)


def simulate(first: int, stride: int, network: Network, chips: Chips, *rest: Any) -> None:
    """Run the loop in the type of the arrays; see `lif.simulate` for how float32 is rounded."""
    _kernel(chips.weights.dtype)(first, stride, network, chips, *rest)


def ready(dtype: Any) -> bool:
    """Return whether the loop for a type is compiled, or read from the disk, in this process."""
    return bool(_kernel(dtype).signatures)


def _kernel(dtype: Any) -> Any:
    return _exact if dtype == np.float64 else _fast
