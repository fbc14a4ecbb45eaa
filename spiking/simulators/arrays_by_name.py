"""What machines leave in arrays with names, as Lava's runtime does, in real numbers."""

from __future__ import annotations

import math
from collections.abc import Mapping

from torch import Tensor

from spiking.blocks.block import Block
from spiking.blocks.bound import drives
from spiking.blocks.recordings import Outcome
from spiking.blocks.snapshots import oldest_first
from spiking.network import Network
from spiking.neurons.base import State
from spiking.presentation import Change, Snapshot

__all__ = ["outcome"]


def outcome(network: Network, block: Block, found: Mapping[str, Tensor]) -> Outcome:
    """Return what came out; see `Outcome`.

    Args:
        network: the description.
        block: what was run.
        found: arrays by the names of ``runtime.network``.
    """
    layers = range(network.depth)
    traces = {}
    for name in block.record:
        one = (found[f"record.{name}"],) if f"record.{name}" in found else ()
        traces[name] = one or tuple(found[f"record.{name}.{index}"] for index in layers)
    return Outcome(
        sums=tuple(found[f"sum.{index}"] for index in layers),
        basal=tuple(found[f"sum.shadow.{index}"] for index in layers) if block.shadow else (),
        control=found["sum.control"] if block.target is not None else None,
        final=_final(network, block, found),
        traces=traces,
        changes=_changes(network, block, found),
        messages=_layers(network, found, "messages"),
        apical=_layers(network, found, "sum.apical") if block.target is not None else (),
    )


def _changes(network: Network, block: Block, found: Mapping[str, Tensor]) -> tuple[Change, ...]:
    """Return what the synapses summed: all that was changed, or the mean over the presentations."""
    if block.plasticity is None:
        return ()
    share = (
        1.0
        if block.plasticity.steps
        else 1.0 / math.ceil(block.batch / (block.plasticity.batch or block.batch))
    )
    return tuple(
        Change(found[f"change.weight.{index}"] * share, found[f"change.bias.{index}"] * share)
        for index in range(len(network.connections))
    )


def _final(network: Network, block: Block, found: Mapping[str, Tensor]) -> Snapshot:
    neurons = tuple(_state(found, f"layer.{index}.state.") for index in range(network.depth))
    return Snapshot(
        neurons=neurons,
        shadows=tuple(_state(found, f"shadow.{index}.state.") for index in range(network.depth)),
        synapse=tuple(state.pop("synapse") for state in neurons),
        history=tuple(_history(network, block, found, index) for index in range(len(network.connections))),
        trace=found["trace"],
        integral=found["integral"],
        sent=_layers(network, found, "sent"),
        gates=_layers(network, found, "gates"),
    )


def _layers(network: Network, found: Mapping[str, Tensor], name: str) -> tuple[Tensor, ...]:
    """Return what every layer has that has it: layers 0 to L, or the hidden ones, counted from 0."""
    keys = [f"{name}.{index}" for index in range(network.depth + 1)]
    return tuple(found[key] for key in keys if key in found)


def _state(found: Mapping[str, Tensor], prefix: str) -> State:
    return {name[len(prefix) :]: value for name, value in found.items() if name.startswith(prefix)}


def _history(network: Network, block: Block, found: Mapping[str, Tensor], index: int) -> Tensor:
    """Return what is under way, oldest first: machines keep it as a ring."""
    connection, start = network.connections[index], block.start.history[index]
    if connection.delay_steps == 1 or drives(connection, block):
        return start
    return oldest_first(found[f"history.{index}"], block.steps).expand(start.shape)
