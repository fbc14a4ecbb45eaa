"""A block as arrays for the loop of `mixed`, and what its synapses have learned."""

from __future__ import annotations

from itertools import accumulate

import numpy as np
import torch
from torch import Tensor

from spiking.blocks.bound import drives, emission_values
from spiking.presentation import Change, Plasticity, SpikeDrive
from spiking.readout import readout_trace
from spiking.simulators.compiled.arrays import (
    FUSED,
    Array,
    Chips,
    Learning,
    Network,
    Packed,
    Samples,
    Sums,
    Variables,
)
from spiking.simulators.compiled.given import Given, integers, starts
from spiking.simulators.compiled.learned_before import EXACT, learned_before
from spiking.simulators.flat.packing import Flat

__all__ = ["changes", "pack_mixed"]


def pack_mixed(flat: Flat) -> Packed:
    """Return arrays of which a kernel overwrites start, sums, recorded and what is learned."""
    block, columns, given, constants = flat.block, flat.columns, Given(flat), flat.constants
    for sums in (flat.emitted, flat.basal, flat.control):
        if sums is not None:
            sums.zero_()  # what the loop adds to
    drive = block.drive
    inputs = drive.spikes if isinstance(drive, SpikeDrive) else drive.values
    return Packed(
        _wires(flat),
        given.of(
            Chips,
            constants=constants.neurons,
            shadow_constants=constants.shadows,
            synapse_decay=constants.decay,
            weights=flat.weights(direct=True),
            input_weights=None,
            clock=given.numbers(readout_trace(flat.network)),
        ),
        given.of(
            Samples,
            spikes=None,
            values=columns.to(inputs if inputs.ndim == 3 else inputs.unsqueeze(1)),
            injected=columns.join(block.currents) if block.currents else None,
            controlled=given.controlled(),
            gains=flat.gains_of_loop,
        ),
        given.of(
            Variables,
            under_way=columns.own(torch.cat([part.flatten(2) for part in block.start.history], 2)),
            drive=None,
        ),
        given.of(Sums),
        given.recorded(),
        _learning(flat, given),
    )


def _wires(flat: Flat) -> Network:
    network, edges = flat.network, [*flat.columns.first, flat.columns.total]
    sizes, connections = network.sizes, network.connections
    begins = [*accumulate(sizes, initial=0)]
    cells = [sizes[c.pre] * sizes[c.post] for c in connections]
    rings = [(c.delay_steps - 1) * sizes[c.pre] for c in connections]
    return Network(
        groups=integers([(edges[own.layers[0]], edges[own.layers[-1] + 1]) for own in flat.constants.groups]),
        edges=integers(edges),
        before=integers([begins[c.pre] for c in connections]),
        size=integers([sizes[c.pre] for c in connections]),
        post=integers([c.post for c in connections]),
        weights=starts(cells),
        wait=integers([c.delay_steps - 1 for c in connections]),
        ring=starts(rings),
        direct=np.asarray([drives(c, flat.block) for c in connections], np.bool_),
    )


def _learning(flat: Flat, given: Given) -> Learning:
    network, block, plasticity = flat.network, flat.block, flat.block.plasticity
    if plasticity is None or plasticity.trace_ms is None or flat.loop is None:
        return given.of(Learning, **dict.fromkeys(Learning._fields) | {"alone": np.zeros(0, np.bool_)})
    scale = 1.0 / (float(block.window[0].sum()) * block.batch)
    steps = np.asarray(plasticity.steps or [1.0] * len(network.connections)) * scale
    own = np.zeros(network.depth)
    if plasticity.steps and plasticity.biases:
        for connection, step in zip(network.connections, steps, strict=True):
            own[connection.post - 1] += step
    effect = _effect(flat) if plasticity.steps else [torch.zeros_like(w) for w in flat.hardware.weights]
    flattened = torch.cat([part.flatten(1) for part in effect], dim=1)
    alone, begun = _begun(flat, plasticity)
    return given.of(
        Learning,
        clock=given.numbers([np.exp(-network.dt_ms / plasticity.trace_ms), 1.0, plasticity.from_first_spike]),
        values=given.numbers(emission_values(network, block)),
        steps=given.numbers(steps),
        bias_steps=given.numbers(own),
        effect=flat.columns.to(flattened),
        alone=alone,
        begun=begun,
        weights=flat.columns.room(*flat.pairs, flattened.shape[1]),
        biases=torch.zeros_like(flat.emitted),
    )


def _begun(flat: Flat, plasticity: Plasticity) -> tuple[Array, Tensor]:
    """Return which connections' weights are products with the feedback weights, and of what."""
    network, hardware, columns = flat.network, flat.hardware, flat.columns
    begins = [*accumulate(network.sizes, initial=0)]
    alone = np.zeros(len(network.connections), np.bool_)
    rows = max(network.outputs, FUSED)
    begun = columns.room(hardware.chips, len(alone), rows, network.inputs + columns.total)
    all_learn = bool(plasticity.steps) and not plasticity.from_first_spike
    for index, (c, weights) in enumerate(zip(network.connections, hardware.weights, strict=True)):
        if not all_learn or plasticity.steps[index] == 0:
            continue
        exact = EXACT[str(columns.dtype).removeprefix("torch.")]
        found = learned_before(weights, hardware.synapses[index], hardware.feedback[c.post - 1], exact)
        if found is not None:
            first = begins[c.pre]
            alone[index] = True
            begun[:, index, : network.outputs, first : first + found.shape[1]] = found.mT
    return alone, begun


def _effect(flat: Flat) -> list[Tensor]:
    """Return per connection what a change of 1 adds to its weights."""
    triples = zip(flat.hardware.weights, flat.gains, flat.hardware.synapses, strict=True)
    return [
        torch.ones_like(weight) * gain * (1.0 if factor is None else factor)
        for weight, gain, factor in triples
    ]


def changes(flat: Flat, packed: Packed) -> tuple[Change, ...]:
    """Return what the synapses have learned, one change per connection."""
    plasticity, network, chips = flat.block.plasticity, flat.network, flat.hardware.chips
    if plasticity is None:
        return ()
    sizes, learning = network.sizes, packed.more
    assert isinstance(learning, Learning)
    shapes = [(sizes[c.pre], sizes[c.post]) for c in network.connections]
    if not learning.steps.size:
        return tuple(Change(torch.zeros(chips, *pair), torch.zeros(chips, pair[1])) for pair in shapes)
    weights = torch.split(_summed(learning.weights), [before * behind for before, behind in shapes], dim=1)
    biases = flat.columns.split(_summed(learning.biases))
    found = []
    for connection, part, shape, step in zip(
        network.connections, weights, shapes, learning.steps, strict=True
    ):
        share = float(step) if plasticity.biases else 0.0
        found.append(Change(part.view(chips, *shape) * float(step), biases[connection.post - 1] * share))
    return tuple(found)


def _summed(array: Array) -> Tensor:
    return torch.from_numpy(array.sum(1))
