"""Recordings and weights with the names of a network's populations and connections."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TypeVar

from spiking.named import Named
from spiking.network import Network
from spiking.presentation import Recording, Weights

__all__ = ["named_recording", "named_weights"]

T = TypeVar("T")


def named_recording(network: Network, recording: Recording) -> Recording:
    """Return a recording whose values can be asked for by name.

    Args:
        network: what was recorded.
        recording: of a phase, in the network's order.
    """
    names = network.names

    def neurons(values: Sequence[T]) -> tuple[T, ...]:
        return Named(names[1:], values) if len(values) == network.depth else tuple(values)

    return replace(
        recording,
        rates=Named(names, recording.rates),
        basal=neurons(recording.basal),
        correlation=neurons(recording.correlation),
        apical=neurons(recording.apical),
        changes=Named(network.connection_names, recording.changes) if recording.changes else (),
        traces={
            name: trace if name in {"control", "readout"} else neurons(trace)
            for name, trace in recording.traces.items()
        },
    )


def named_weights(network: Network, weights: Weights) -> Weights:
    """Return weights that can be asked for by name.

    Args:
        network: what they are for.
        weights: in the network's order.
    """
    names = network.names[1:]
    return replace(
        weights,
        forward=Named(network.connection_names, weights.forward),
        bias=Named(names, weights.bias),
        feedback=Named(names, weights.feedback) if weights.feedback else (),
    )
