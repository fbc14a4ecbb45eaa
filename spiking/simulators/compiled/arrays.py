"""What the kernels take: a block as flat arrays, by what they are about; what one does not need is empty.

Layers 1 to L lie side by side along the last axis, see :class:`spiking.simulators.flat.columns.Columns`.
"""

from __future__ import annotations

from typing import Annotated, Any, NamedTuple

from numpy.typing import NDArray

__all__ = [
    "FUSED",
    "ROWS",
    "Array",
    "Chips",
    "Learning",
    "Network",
    "Packed",
    "Recorded",
    "Relays",
    "Runs",
    "Samples",
    "Sums",
    "Variables",
    "WindowSums",
    "Wires",
]

Array = NDArray[Any]

Row = Annotated[Array, 1]
Table = Annotated[Array, 2]
Cube = Annotated[Array, 3]
Block = Annotated[Array, 4]
"""Arrays by their number of dimensions, which an empty one has too."""

ROWS = 5
"""Rows of feedback weights that the fused loop adds up at a time; their number is a multiple of it there."""

FUSED = 3
"""Outputs whose teaching is summed up on the way; arrays over the outputs have as many rows at least."""


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

    rows: Row
    runs: Row
    target: Row
    offset: Row
    alike: Row


class Wires(NamedTuple):
    """Layers and connections of the fused loop as integers.

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

    layers: Row
    layer_words: Row
    pre: Row
    words: Row
    post: Row
    width: Row
    weights: Row
    wait: Row
    ring: Row
    wired: Runs


class Network(NamedTuple):
    """Populations and connections of the loop in `mixed` as integers.

    Args:
        groups: per group of layers of one model, its first column and the one after its last.
        edges: per layer 1 to L, its first column; one more at the end.
        before: per connection, where its presynaptic population begins among all that send: the input, then
            the columns.
        size: neurons of that population.
        post: the index of the postsynaptic layer.
        weights: where its matrix begins.
        wait: for how many steps emissions are held back.
        ring: where those under way begin.
        direct: whether it carries input currents, which act in their own step.
    """

    groups: Table
    edges: Row
    before: Row
    size: Row
    post: Row
    weights: Row
    wait: Row
    ring: Row
    direct: Row


class Chips(NamedTuple):
    """What differs between chips; the axis of the chips is the first.

    Args:
        constants: of the neurons, those of a group in its own order, ``(chips, constants, columns)``.
        shadow_constants: the same for the shadows, as many, or empty.
        bias: ``(chips, columns)``.
        shadow_bias: what the shadows' biases have beyond the neurons', ``(chips, columns)``, or empty.
        synapse_decay: decay of the synaptic currents, ``(chips, columns)``.
        weights: increments of the synaptic current per spike, all connections, ``(chips, total)``; of input
            currents, in `mixed`, the current itself.
        input_weights: currents per unit of input, ``(chips, inputs, columns)`` up to the last column that any
            input reaches, for values in every step; empty in `mixed`.
        feedback: ``(chips, rows, columns)``, in the fused loop a multiple of `ROWS`, those beyond n_out zero.
        readout: gain and offset of what the controller sees, ``(chips, 2, n_out)``, or empty.
        clock: decay and increment of the read-out trace, the same for all chips.
    """

    constants: Cube
    shadow_constants: Cube
    bias: Table
    shadow_bias: Table
    synapse_decay: Table
    weights: Table
    input_weights: Cube
    feedback: Cube
    readout: Cube
    clock: Row


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

    first: Row
    size: Row
    weights: Row
    synapses: Table
    strength: Table
    curves: Cube
    low: Row
    scale: Row
    added: Row
    clock: Row
    every: Row
    wires: Runs


class Learning(NamedTuple):
    """Synapses that learn; all empty where none does.

    Args:
        clock: what a presynaptic trace keeps of itself in a step, 1, and whether hidden neurons learn from
            their first spike on (1 or 0).
        values: per layer 0 to L, the rate that an emission counts as.
        steps: per connection, its step size over the window and the samples; 0 where nothing changes.
        bias_steps: the same for the biases of layers 1 to L.
        effect: what a change of 1 adds to what stands in `Chips.weights`, ``(chips, total)``.
        alone: per connection, whether all its weights are what `begun` says, times `effect`.
        begun: for each of these what its synapses have learned before, B in `rows`, 0 for others,
            ``(chips, connections, n_out or FUSED, inputs + columns)``.
        weights: out: the sums per synapse, ``(chips, batch, total)``.
        biases: out: the sums per neuron, ``(chips, batch, columns)``.
    """

    clock: Row
    values: Row
    steps: Row
    bias_steps: Row
    effect: Table
    alone: Row
    begun: Block
    weights: Cube
    biases: Cube


class Samples(NamedTuple):
    """What differs between samples.

    Args:
        window: averaging weights, ``(batch, steps)``.
        spikes: input spikes, eight in a word, ``(batch, steps * words)``, or empty.
        values: inputs of every step, ``(batch, steps, inputs)``, or empty; in `mixed`, spikes too, and one
            step where they stand still.
        injected: in `mixed`, constant currents, ``(chips or 1, batch, columns)``, or empty.
        controlled: whether the loop is closed, ``(batch,)``.
        gains: kp, ki and leak of a step on the chips, ``(chips, batch, 3, n_out)``.
        target: ``(chips or 1, batch, n_out)``, or those of all windows or steps one after the other.
    """

    window: Table
    spikes: Table
    values: Cube
    injected: Cube
    controlled: Row
    gains: Block
    target: Cube


class Variables(NamedTuple):
    """The dynamic state, overwritten by that after the last step, and the currents that never change.

    Args:
        neurons: ``(variables, chips, batch, columns)``.
        shadows: the same, or empty.
        synapse: ``(chips, batch, columns)``.
        under_way: emissions held back, ``(chips, batch, words)``.
        trace: ``(chips, batch, n_out)``.
        integral: ``(chips, batch, n_out)``.
        drive: bias, constant input and injected current, ``(chips, batch or 1, columns)``; empty in `mixed`.
        gates: the activity that gates see, ``(chips, batch, columns)``, or empty.
    """

    neurons: Block
    shadows: Block
    synapse: Cube
    under_way: Cube
    trace: Cube
    integral: Cube
    drive: Cube
    gates: Cube


class Sums(NamedTuple):
    """Window sums of what was emitted, of u and of what was relayed; empty where there is none."""

    emitted: Cube
    basal: Cube
    control: Cube
    apical: Cube


class WindowSums(NamedTuple):
    """The same in every window, which has an axis behind that of the batch.

    Args:
        emitted, basal, control, apical: see `Sums`.
        ends: the read-out trace at the end of every window.
    """

    emitted: Block
    basal: Block
    control: Block
    apical: Block
    ends: Block


class Recorded(NamedTuple):
    """Traces, ``(chips, batch, steps, columns or n_out)``; empty where not asked for."""

    spikes: Block
    voltage: Block
    current: Block
    control: Block
    readout: Block


class Packed(NamedTuple):
    """What a kernel takes: the fused loop `Wires` and `Relays`, that in `mixed` `Network` and `Learning`."""

    wires: Wires | Network
    chips: Chips
    samples: Samples
    start: Variables
    sums: Sums | WindowSums
    recorded: Recorded
    more: Relays | Learning
