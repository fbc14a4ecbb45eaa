"""What a kernel has left in its arrays, as tensors of layers."""

from __future__ import annotations

from typing import Any

from torch import Tensor

from spiking.blocks.recordings import Outcome
from spiking.neurons.base import State
from spiking.presentation import Snapshot
from spiking.simulators.flat.packing import Flat

__all__ = ["outcome"]


def outcome(flat: Flat, history: tuple[Tensor, ...], **learned: Any) -> Outcome:
    """Return the results of a block, after a kernel has run.

    Args:
        flat: its arrays.
        history: what is under way on every connection, oldest first.
        learned: fields of `Outcome` that only some kernels have.
    """
    columns, closed = flat.columns, flat.loop is not None
    traces = {
        name: (trace,) if name in {"control", "readout"} else columns.split(trace)
        for name, trace in flat.traces.items()
    }
    return Outcome(
        sums=columns.split(flat.emitted),
        basal=() if flat.basal is None else columns.split(flat.basal),
        control=flat.control if closed else None,
        final=Snapshot(
            neurons=_states(flat, flat.neurons),
            shadows=_states(flat, flat.shadows),
            synapse=columns.split(flat.synapse),
            history=history,
            trace=flat.trace,
            integral=flat.integral,
            gates=_hidden(flat, flat.gates),
        ),
        traces=traces,
        apical=_hidden(flat, flat.apical) if closed else (),
        ends=flat.ends,
        **learned,
    )


def _hidden(flat: Flat, array: Tensor | None) -> tuple[Tensor, ...]:
    """Return the part of every hidden layer of what only networks with layered feedback have."""
    return () if array is None else flat.columns.split(array)[:-1]


def _states(flat: Flat, variables: Tensor | None) -> tuple[State, ...]:
    if variables is None:
        return ({},) * flat.network.depth
    found: list[State] = []
    for own, program in zip(flat.constants.groups, flat.constants.programs, strict=True):
        places = [flat.columns.place(layer + 1) for layer in own.layers]
        found += [
            {name: row[..., place] for name, row in zip(program.states, variables, strict=False)}
            for place in places
        ]
    return tuple(found)
