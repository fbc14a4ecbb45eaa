"""A block as the arrays of the fused loop, and what is under way as tensors again."""

from __future__ import annotations

from itertools import accumulate
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from spiking.presentation import SpikeDrive
from spiking.simulators.bound import drives, readout_trace
from spiking.simulators.compiled.arrays import Chips, Recorded, Relays, Samples, Sums, Variables, Wires
from spiking.simulators.compiled.given import Given, integers
from spiking.simulators.compiled.wires import WORD, as_bytes, joined_runs
from spiking.simulators.flat.packing import Flat
from spiking.simulators.snapshots import oldest_first

__all__ = ["Packed", "histories", "pack"]


class Packed(NamedTuple):
    """What the kernel takes."""

    wires: Wires
    chips: Chips
    samples: Samples
    start: Variables
    sums: Sums
    recorded: Recorded
    relays: Relays


def pack(flat: Flat, wires: Wires) -> Packed:
    """Return arrays of which a kernel overwrites start, sums and recorded.

    Args:
        flat: the block.
        wires: layers and connections.
    """
    network, block, columns, given = flat.network, flat.block, flat.columns, Given(flat)
    spikes = np.zeros((0, 0), np.uint64)
    if isinstance(block.drive, SpikeDrive):
        spikes = as_bytes(block.drive.spikes, columns).view(np.uint64).reshape(block.batch, -1)
    under_way = [as_bytes(history, columns) for history in block.start.history]
    held = [part.reshape(*part.shape[:2], part.shape[2] * part.shape[3]) for part in under_way]
    return Packed(
        wires,
        Chips(
            constants=given(flat.constants.neurons, 3),
            shadow_constants=given(flat.constants.shadows, 3),
            shadow_bias=given(flat.shadow_bias, 2),
            synapse_decay=given(flat.constants.decay, 2),
            weights=given(flat.weights(direct=False), 2),
            input_weights=given(flat.input_weights, 3),
            feedback=given(flat.feedback, 3),
            readout=given(flat.readout, 3),
            clock=given.numbers(readout_trace(network)),
        ),
        Samples(
            window=given(flat.window, 2),
            spikes=spikes,
            values=given(flat.values, 3),
            controlled=given.controlled(),
            gains=given(flat.gains_of_loop, 4),
            target=given(flat.target, 3),
        ),
        Variables(
            neurons=given(flat.neurons, 4),
            shadows=given(flat.shadows, 4),
            synapse=given(flat.synapse, 3),
            under_way=np.ascontiguousarray(np.concatenate(held, axis=2)).view(np.uint64),
            trace=given(flat.trace, 3),
            integral=given(flat.integral, 3),
            drive=given(flat.drive, 3),
            gates=given(flat.gates, 3),
        ),
        given.sums(),
        given.recorded(),
        _relays(flat, given),
    )


def _relays(flat: Flat, given: Given) -> Relays:
    """Return layered feedback as arrays, all empty where feedback is direct."""
    columns, relay = flat.columns, flat.relay
    synapses = () if relay is None else flat.network.feedback_synapses
    kept, added = flat.gate_trace
    low, scale = (None, None) if flat.gate_range is None else flat.gate_range
    return Relays(
        first=integers(columns.first if relay else []),
        size=integers(columns.sizes if relay else []),
        weights=integers([*accumulate((own.count for own in synapses), initial=0)][:-1]),
        synapses=given(flat.relay_weights, 2),
        strength=given(flat.strength, 2),
        curves=given(flat.curves, 3),
        low=given(low, 1),
        scale=given(scale, 1),
        added=given.numbers(added),
        clock=given.numbers([kept] if relay else []),
        every=integers([relay[0].refresh_steps(flat.network.dt_ms)] if relay else []),
        wires=joined_runs(synapses, [0] * len(synapses)),
    )


def histories(flat: Flat, packed: Packed) -> tuple[Tensor, ...]:
    """Return what is still under way on every connection, after a kernel has run."""
    found, columns = [], flat.columns
    under_way = torch.from_numpy(packed.start.under_way.view(np.uint8))
    for index, connection in enumerate(flat.network.connections):
        wait, size = connection.delay_steps - 1, flat.network.sizes[connection.pre]
        width, first = WORD * columns.count(size), WORD * int(packed.wires.ring[index])
        part = under_way[..., first : first + wait * width]
        ring = part.reshape(*part.shape[:2], wait, width)[..., :size]
        moved = ring if drives(connection, flat.block) else oldest_first(ring, flat.block.steps)
        found.append(moved.to(columns.dtype))
    return tuple(found)
