"""What a kernel has left in its arrays, as tensors of layers."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from spiking.network import Network
from spiking.neurons.base import State
from spiking.presentation import Snapshot, SpikeDrive
from spiking.simulators.blocks import Block
from spiking.simulators.compiled.arrays import Array
from spiking.simulators.compiled.columns import WORD, Columns, words
from spiking.simulators.compiled.packing import Packed
from spiking.simulators.recordings import Outcome

__all__ = ["unpack"]


def unpack(
    packed: Packed, network: Network, block: Block, columns: Columns, states: Sequence[str]
) -> Outcome:
    """Return the results of a block.

    Args:
        packed: the arrays, after a kernel has run over them.
        network: the description.
        block: what was run.
        columns: where the layers lie.
        states: the kernel's state variables.
    """
    traces: dict[str, tuple[Tensor, ...]] = {}
    for name in block.record:
        trace = getattr(packed.recorded, name)
        by_layer = [trace] if name in {"control", "readout"} else columns.split(trace)
        traces[name] = _tensors(by_layer)
    return Outcome(
        sums=_tensors(columns.split(packed.sums.emitted)),
        basal=_tensors(columns.split(packed.sums.basal)) if block.shadow else (),
        control=None if block.target is None else torch.from_numpy(packed.sums.control),
        final=_final(packed, network, block, columns, states),
        traces=traces,
        apical=_hidden(columns, packed.sums.apical) if block.target is not None else (),
    )


def _hidden(columns: Columns, array: Array) -> tuple[Tensor, ...]:
    """Return the part of every hidden layer of what only networks with layered feedback have."""
    return _tensors(columns.split(array)[:-1]) if array.size else ()


def _tensors(arrays: Sequence[Array]) -> tuple[Tensor, ...]:
    return tuple(torch.from_numpy(array) for array in arrays)


def _final(
    packed: Packed, network: Network, block: Block, columns: Columns, states: Sequence[str]
) -> Snapshot:
    def by_layer(variables: Array) -> tuple[State, ...]:
        named = {name: _tensors(columns.split(row)) for name, row in zip(states, variables, strict=True)}
        return tuple({name: parts[layer] for name, parts in named.items()} for layer in range(network.depth))

    last = packed.start
    return Snapshot(
        neurons=by_layer(last.neurons),
        shadows=by_layer(last.shadows) if block.shadow else ({},) * network.depth,
        synapse=_tensors(columns.split(last.synapse)),
        history=_histories(packed, network, block, columns),
        trace=torch.from_numpy(last.trace),
        integral=torch.from_numpy(last.integral),
        gates=_hidden(columns, last.gates),
    )


def _histories(packed: Packed, network: Network, block: Block, columns: Columns) -> tuple[Tensor, ...]:
    """Return what is still under way, oldest first; step t used slot ``t % wait``."""
    histories = []
    under_way = packed.start.under_way.view(np.uint8)
    for index, connection in enumerate(network.connections):
        wait, size = connection.delay_steps - 1, network.sizes[connection.pre]
        width, first = WORD * words(size), WORD * int(packed.wires.ring[index])
        rows = under_way[..., first : first + wait * width]
        part = rows.reshape(*rows.shape[:2], wait, width)[..., :size]
        if wait and (connection.pre > 0 or isinstance(block.drive, SpikeDrive)):
            part = np.roll(part, -(block.steps % wait), axis=2)
        histories.append(torch.from_numpy(part.astype(columns.kind)))
    return tuple(histories)
