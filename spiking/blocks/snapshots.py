"""The state of a presentation: at its start, cut along the batch axis and joined again."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import torch
from torch import Tensor

from spiking.hardware import Hardware
from spiking.network import Network
from spiking.presentation import Snapshot

__all__ = ["cut", "initial_snapshot", "join", "oldest_first", "with_shadows"]


def oldest_first(ring: Tensor, steps: int) -> Tensor:
    """Return what is under way in order, of a ring of which step t used slot ``t % length``.

    Args:
        ring: ``(chips, batch, length, n)``.
        steps: how many there were.
    """
    return ring.roll(-(steps % ring.shape[2]), 2) if ring.shape[2] else ring


def join(snapshots: Sequence[Snapshot]) -> Snapshot:
    """Put the samples of several snapshots side by side."""
    return snapshots[0] if len(snapshots) == 1 else _map(*snapshots, cat=True)


def cut(snapshot: Snapshot, part: slice | Tensor) -> Snapshot:
    """Return the samples `part` of a snapshot."""
    return _map(snapshot, cat=False, part=part)


def with_shadows(start: Snapshot) -> Snapshot:
    """Let shadows that did not run before start where their neurons are."""
    shadows = zip(start.shadows or ({},) * len(start.neurons), start.neurons, strict=True)
    return replace(
        start,
        shadows=tuple(own or {name: value.clone() for name, value in of.items()} for own, of in shadows),
    )


def initial_snapshot(
    network: Network, hardware: Hardware, uniform: Sequence[Tensor], shadow: bool
) -> Snapshot:
    """Return the state at rest but for the membranes, which start at random below threshold.

    Args:
        network: the description.
        hardware: the effective parameters.
        uniform: per layer, uniform random numbers in [0, 1), ``(chips, batch, n)``.
        shadow: whether the basal shadows run; they start where their neurons do.
    """
    chips, batch, _ = uniform[0].shape
    longest = [c.delay_steps for c in network.connections]
    if hardware.delays:
        longest = [int(steps.max()) for steps in hardware.delays]
    neurons, shadows = [], []
    for layer, values, noise in zip(network.layers, hardware.neurons, uniform, strict=True):
        neurons.append(layer.neuron.initial_state(values, noise))
        shadows.append({name: value.clone() for name, value in neurons[-1].items()} if shadow else {})
    zeros = uniform[0].new_zeros
    return Snapshot(
        neurons=tuple(neurons),
        shadows=tuple(shadows),
        synapse=tuple(zeros(chips, batch, layer.size) for layer in network.layers),
        history=tuple(
            zeros(chips, batch, steps - 1, network.sizes[c.pre])
            for c, steps in zip(network.connections, longest, strict=True)
        ),
        trace=zeros(chips, batch, network.outputs),
        integral=zeros(chips, batch, network.outputs),
    )


def _map(start: Snapshot, *others: Snapshot, cat: bool, part: slice | Tensor | None = None) -> Snapshot:
    """Apply one operation along the batch axis to every tensor of snapshots."""
    everyone = (start, *others)

    def do(tensors: list[Tensor]) -> Tensor:
        return torch.cat(tensors, dim=1) if cat else tensors[0][:, part]

    def states(pick: str) -> tuple[dict[str, Tensor], ...]:
        rows = [getattr(s, pick) for s in everyone]
        count = min(len(row) for row in rows)
        return tuple({k: do([row[i][k] for row in rows]) for k in rows[0][i]} for i in range(count))

    def tensors(pick: str) -> tuple[Tensor, ...]:
        rows = [getattr(s, pick) for s in everyone]
        return tuple(do([row[i] for row in rows]) for i in range(len(rows[0])))

    def optional(pick: str) -> tuple[Tensor, ...]:
        """Do the same to what may be left out where it is 0."""
        rows = [getattr(s, pick) for s in everyone]
        if not any(rows):
            return ()
        known = next(row for row in rows if row)
        full = [
            row or tuple(k.new_zeros(k.shape[0], s.trace.shape[1], k.shape[2]) for k in known)
            for row, s in zip(rows, everyone, strict=True)
        ]
        return tuple(do([row[i] for row in full]) for i in range(len(known)))

    return Snapshot(
        sent=optional("sent"),
        gates=optional("gates"),
        neurons=states("neurons"),
        shadows=states("shadows"),
        synapse=tensors("synapse"),
        history=tensors("history"),
        trace=do([s.trace for s in everyone]),
        integral=do([s.integral for s in everyone]),
    )
