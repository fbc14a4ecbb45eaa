"""A block as the arrays of the fused loop."""

from __future__ import annotations

import numpy as np

from spiking.presentation import SpikeDrive
from spiking.readout import readout_trace
from spiking.simulators.compiled.arrays import Chips, Packed, Relays, Samples, Variables, WindowSums, Wires
from spiking.simulators.compiled.given import Given, integers, starts
from spiking.simulators.compiled.wires import as_bytes, joined_runs
from spiking.simulators.flat.packing import Flat

__all__ = ["pack"]


def pack(flat: Flat, wires: Wires) -> Packed:
    """Return arrays of which a kernel overwrites start, sums and recorded.

    Args:
        flat: the block.
        wires: layers and connections.
    """
    block, columns, given, constants = flat.block, flat.columns, Given(flat), flat.constants
    spikes = np.zeros((0, 0), np.uint64)
    if isinstance(block.drive, SpikeDrive):
        spikes = as_bytes(block.drive.spikes, columns).view(np.uint64).reshape(block.batch, -1)
    under_way = [as_bytes(history, columns) for history in block.start.history]
    held = [part.reshape(*part.shape[:2], part.shape[2] * part.shape[3]) for part in under_way]
    return Packed(
        wires,
        given.of(
            Chips,
            constants=constants.neurons,
            shadow_constants=constants.shadows,
            synapse_decay=constants.decay,
            weights=flat.weights(direct=False),
            clock=given.numbers(readout_trace(flat.network)),
        ),
        given.of(
            Samples, spikes=spikes, injected=None, controlled=given.controlled(), gains=flat.gains_of_loop
        ),
        given.of(Variables, under_way=np.ascontiguousarray(np.concatenate(held, axis=2)).view(np.uint64)),
        given.of(WindowSums, **given.in_windows()),
        given.recorded(),
        _relays(flat, given),
    )


def _relays(flat: Flat, given: Given) -> Relays:
    """Return layered feedback as arrays, all empty where feedback is direct."""
    columns, relay = flat.columns, flat.relay
    synapses = () if relay is None else flat.network.feedback_synapses
    low, scale = (None, None) if flat.gate_range is None else flat.gate_range
    return given.of(
        Relays,
        first=integers(columns.first if relay else []),
        size=integers(columns.sizes if relay else []),
        weights=starts([own.count for own in synapses]),
        synapses=flat.relay_weights,
        low=low,
        scale=scale,
        added=given.numbers(relay.added if relay else []),
        clock=given.numbers([relay.kept] if relay else []),
        every=integers([relay.every] if relay else []),
        wires=joined_runs(synapses, [0] * len(synapses)),
    )
