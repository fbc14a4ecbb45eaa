"""What the loop in `mixed` computes with: tuples of arrays, which need no compiler to be made."""

from __future__ import annotations

from typing import NamedTuple

from spiking.simulators.compiled.arrays import Array

__all__ = ["FUSED", "Chips", "Learning", "Network", "Samples", "Variables"]

FUSED = 3
"""Outputs whose teaching is summed up on the way; arrays over the outputs have as many rows at least."""


class Network(NamedTuple):
    """Populations and connections as integers; layers 1 to L stand side by side in columns.

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

    groups: Array
    edges: Array
    before: Array
    size: Array
    post: Array
    weights: Array
    wait: Array
    ring: Array
    direct: Array


class Chips(NamedTuple):
    """What differs between chips; the axis of the chips is the first.

    Args:
        constants: of the neurons, those of a group in its own order, ``(chips, constants, columns)``.
        shadow_constants: the same for the shadows, or empty.
        bias: ``(chips, columns)``.
        shift: what the shadows' biases have beyond the neurons', or empty.
        synapse_decay: ``(chips, columns)``.
        weights: what an emission adds to a synaptic current, all connections row by row, ``(chips, total)``;
            of input currents, the current itself.
        feedback: ``(chips, n_out, columns)``, or empty.
        readout: gain and offset of what the controller sees, ``(chips, 2, n_out)``, or empty.
        clock: decay and increment of the read-out trace, the same for all chips.
    """

    constants: Array
    shadow_constants: Array
    bias: Array
    shift: Array
    synapse_decay: Array
    weights: Array
    feedback: Array
    readout: Array
    clock: Array


class Samples(NamedTuple):
    """What differs between samples.

    Args:
        window: averaging weights, ``(batch, steps)``.
        inputs: spikes or currents, ``(batch, steps or 1, inputs)``.
        injected: constant currents, ``(chips or 1, batch, columns)``, or empty.
        controlled: whether the loop is closed, ``(batch,)``.
        gains: kp, ki and leak of a step on the chips, ``(chips, batch, 3, n_out)``.
        target: ``(chips or 1, batch, n_out)``, or those of all steps one after the other.
    """

    window: Array
    inputs: Array
    injected: Array
    controlled: Array
    gains: Array
    target: Array


class Variables(NamedTuple):
    """The dynamic state, overwritten by that after the last step.

    Args:
        neurons: ``(variables, chips, batch, columns)``.
        shadows: the same, or empty.
        synapse: ``(chips, batch, columns)``.
        under_way: emissions held back, ``(chips, batch, total)``.
        trace: ``(chips, batch, n_out)``.
        integral: ``(chips, batch, n_out)``.
    """

    neurons: Array
    shadows: Array
    synapse: Array
    under_way: Array
    trace: Array
    integral: Array


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

    clock: Array
    values: Array
    steps: Array
    bias_steps: Array
    effect: Array
    alone: Array
    begun: Array
    weights: Array
    biases: Array
