"""Layered feedback as flat arrays."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import accumulate

import numpy as np

from spiking.feedback import Layered
from spiking.hardware import Hardware
from spiking.network import Network
from spiking.simulators.compiled.arrays import Array, Relays
from spiking.simulators.compiled.columns import Columns, joined_runs
from spiking.simulators.relay import gate_trace

__all__ = ["relays"]


def relays(network: Network, hardware: Hardware, columns: Columns) -> Relays:
    """Return the relay of a network with layered feedback, or empty arrays.

    Args:
        network: the description.
        hardware: the effective parameters.
        columns: where the layers lie.
    """
    kind, path, relay = columns.kind, network.feedback, hardware.relay
    if not isinstance(path, Layered) or relay is None:
        flat, integers = np.zeros(0, kind), np.zeros(0, np.int64)
        table, curves = np.zeros((0, 0), kind), np.zeros((0, 0, 0), kind)
        return Relays(
            integers,
            integers,
            integers,
            table,
            table,
            curves,
            flat,
            flat,
            flat,
            flat,
            integers,
            joined_runs((), ()),
        )
    kept, added = gate_trace(network, path)
    sizes = [own.count for own in network.feedback_synapses]
    synapses = [
        np.asarray(weights.numpy(), kind).reshape(hardware.chips, -1) for weights in hardware.feedback
    ]
    chips = max(curve.shape[0] for curve in relay.gates)
    strength = np.zeros((hardware.chips, columns.total), kind)
    curves = np.zeros((chips, columns.total, relay.points), kind)
    low, scale = np.zeros(columns.total, kind), np.ones(columns.total, kind)
    for layer, (first, size) in enumerate(zip(columns.first[:-1], columns.sizes[:-1], strict=True)):
        own = slice(first, first + size)
        strength[:, own] = relay.strength[layer].numpy()[:, None]
        curves[:, own] = relay.gates[layer].numpy()
        low[own] = relay.low[layer]
        scale[own] = (relay.points - 1) / (relay.high[layer] - relay.low[layer])
    return Relays(
        first=_integers(columns.first),
        size=_integers(columns.sizes),
        weights=_integers([*accumulate(sizes, initial=0)][:-1]),
        synapses=np.ascontiguousarray(np.concatenate(synapses, axis=1)),
        strength=strength,
        curves=curves,
        low=low,
        scale=scale,
        added=np.asarray(added, kind),
        clock=np.asarray([kept], kind),
        every=_integers([path.refresh_steps(network.dt_ms)]),
        wires=joined_runs(network.feedback_synapses, [0] * network.depth),
    )


def _integers(values: Sequence[int]) -> Array:
    return np.asarray(values, dtype=np.int64)
