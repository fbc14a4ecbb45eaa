"""What a kernel takes: a block as flat arrays, by what they are about.

Layers 1 to L lie side by side along the last axis, see :class:`spiking.simulators.flat.columns.Columns`.
"""

from __future__ import annotations

from typing import Any, NamedTuple

from numpy.typing import NDArray

__all__ = ["ROWS", "Array", "Chips", "Recorded", "Relays", "Runs", "Samples", "Sums", "Variables", "Wires"]

Array = NDArray[Any]

ROWS = 5
"""Rows of feedback weights that a kernel adds up at a time; their number is a multiple of it."""


class Runs(NamedTuple):
    """Synapses of groups, each from one population to another, where they are no matrices.

    A run is synapses of one neuron onto neighbours, whose weights stand side by side.

    Args:
        rows: per group, where its first neuron before the synapses stands in `runs`, or -1 where all are
            joined to all and the weights are a matrix.
        runs: per neuron before the synapses of the others, its first run; one more after each group's last.
        target: per run, its first column.
        offset: per run, its first weight, from where the group's weights start; one more after the last of
            each group.
        alike: as `runs`: which neurons, side by side, have runs of the same targets and lengths.
    """

    rows: Array
    runs: Array
    target: Array
    offset: Array
    alike: Array


class Wires(NamedTuple):
    """Layers and connections as integers.

    Args:
        layers: per layer 1 to L, its first word.
        layer_words: per layer 1 to L, its words.
        pre: per connection, the index of the presynaptic layer.
        words: its words.
        post: the first column of the postsynaptic layer.
        width: the size of the postsynaptic layer.
        weights: where the weights start.
        wait: for how many steps emissions are held back.
        ring: where those under way start, in words; step t uses slot ``t % wait``.
        wired: the synapses of connections that are no matrices.
    """

    layers: Array
    layer_words: Array
    pre: Array
    words: Array
    post: Array
    width: Array
    weights: Array
    wait: Array
    ring: Array
    wired: Runs


class Chips(NamedTuple):
    """What differs between chips; the axis of the chips is the first.

    Args:
        constants: constants of the neuron model, ``(chips, constants, columns)``.
        shadow_constants: the same for the shadows, as many, or empty.
        shadow_bias: what the shadows' biases have beyond the neurons', ``(chips, columns)``, or empty.
        synapse_decay: decay of the synaptic currents, ``(chips, columns)``.
        weights: increments of the synaptic current per spike, all connections, ``(chips, total)``.
        input_weights: currents per unit of input, ``(chips, inputs, columns)`` up to the last column that any
            input reaches, for values in every step.
        feedback: ``(chips, rows, columns)``, the rows a multiple of `ROWS`, those beyond n_out zero.
        readout: gain and offset of what the controller sees, ``(chips, 2, n_out)``, or empty.
        clock: decay and increment of the read-out trace, the same for all chips.
    """

    constants: Array
    shadow_constants: Array
    shadow_bias: Array
    synapse_decay: Array
    weights: Array
    input_weights: Array
    feedback: Array
    readout: Array
    clock: Array


class Relays(NamedTuple):
    """What layered feedback needs; all empty where feedback is direct.

    Args:
        first: per layer 1 to L, its first column.
        size: per layer 1 to L, its size.
        weights: per layer 1 to L, where its feedback weights start in `synapses`.
        synapses: feedback weights of all layers, row by row or synapse by synapse, ``(chips, total)``.
        strength: κ, 0 for outputs, ``(chips, columns)``.
        curves: values of the gates, ``(chips or 1, columns, points)``.
        low: lowest rate of every neuron's curve, ``(columns,)``.
        scale: points per unit of rate, ``(columns,)``.
        added: what an emission adds to the activity that a gate sees, per layer 1 to L - 1.
        clock: decay of that activity.
        every: steps between two refreshes, ``(1,)``.
        wires: the feedback synapses of layers that are no matrices, columns counted from the layer's first.
    """

    first: Array
    size: Array
    weights: Array
    synapses: Array
    strength: Array
    curves: Array
    low: Array
    scale: Array
    added: Array
    clock: Array
    every: Array
    wires: Runs


class Samples(NamedTuple):
    """What differs between samples.

    Args:
        window: averaging weights, ``(batch, steps)``.
        spikes: input spikes, eight in a word, ``(batch, steps * words)``, or empty.
        values: inputs of every step, ``(batch, steps, inputs)``, or empty.
        controlled: whether the loop is closed, ``(batch,)``.
        gains: kp, ki and leak of a step on the chips, ``(chips, batch, 3, n_out)``.
        target: ``(chips or 1, batch, n_out)``, or those of all steps one after the other.
    """

    window: Array
    spikes: Array
    values: Array
    controlled: Array
    gains: Array
    target: Array


class Variables(NamedTuple):
    """The dynamic state, overwritten by that after the last step, and the currents that never change.

    Args:
        neurons: ``(variables, chips, batch, columns)``.
        shadows: the same, or empty.
        synapse: ``(chips, batch, columns)``.
        under_way: emissions held back, ``(chips, batch, words)``.
        trace: ``(chips, batch, n_out)``.
        integral: ``(chips, batch, n_out)``.
        drive: bias, constant input and injected current, ``(chips, batch or 1, columns)``.
        gates: the activity that gates see, ``(chips, batch, columns)``, or empty.
    """

    neurons: Array
    shadows: Array
    synapse: Array
    under_way: Array
    trace: Array
    integral: Array
    drive: Array
    gates: Array


class Sums(NamedTuple):
    """Window sums of what was emitted, of u and of what was relayed; empty where there is none."""

    emitted: Array
    basal: Array
    control: Array
    apical: Array


class Recorded(NamedTuple):
    """Traces, ``(chips, batch, steps, columns or n_out)``; empty where not asked for."""

    spikes: Array
    voltage: Array
    current: Array
    control: Array
    readout: Array
