"""Plasticity inside a machine, on tensors: what synapses sum while a block runs, and what it changes."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from typing import final

import torch
from torch import Tensor

from root.errors import UnsupportedError
from spiking.blocks.block import Block
from spiking.blocks.recordings import Outcome, input_rates
from spiking.blocks.snapshots import join
from spiking.hardware import Hardware
from spiking.network import Network
from spiking.neurons.base import Values
from spiking.presentation import Change, CurrentDrive, Plasticity

__all__ = ["Traces", "changed", "check_one_at_a_time", "difference", "in_batches"]


def check_one_at_a_time(block: Block) -> None:
    """Raise `UnsupportedError` where several samples would change the same synapses in every step."""
    if block.plasticity is not None and block.plasticity.steps and block.batch > 1:
        allowed = "1, where synapses change in every step of time"
        raise UnsupportedError("training.batch", block.batch, allowed, "Use the simulator torch.")


def difference(
    network: Network, block: Block, sums: Sequence[Tensor], basal: Sequence[Tensor]
) -> tuple[Change, ...]:
    """Return what the difference between neurons and their shadows comes to; see `Plasticity`.

    Args:
        network: the description.
        block: what was run.
        sums: per layer 1 to L, window-weighted sums of the emissions, ``(chips, batch, n)``.
        basal: the same for the shadows.
    """
    assert block.plasticity is not None
    total = block.window[0].sum().to(sums[0])
    scales = [network.emission_value(layer + 1) / total for layer in range(network.depth)]
    inputs = input_rates(network, block.drive, block.window[0]).to(sums[0])
    rates = [inputs.unsqueeze(0), *(s * scale for s, scale in zip(sums, scales, strict=True))]
    errors = [(a - b) * scale for a, b, scale in zip(sums, basal, scales, strict=True)]
    return tuple(
        _change(rates[c.pre], errors[c.post - 1], _step(block.plasticity, index) / block.batch)
        for index, c in enumerate(network.connections)
    )


def _step(plasticity: Plasticity, index: int) -> float:
    return plasticity.steps[index] if plasticity.steps else 1.0


def _change(pre: Tensor, post: Tensor, factor: float | Tensor) -> Change:
    pre = pre.expand(post.shape[0], -1, -1)
    return Change(torch.matmul(pre.transpose(1, 2), post) * factor, post.sum(1) * factor)


@final
class Traces:
    """Synapses that sum feedback current times presynaptic trace in every step; see `Plasticity`.

    Args:
        network: the description.
        block: what is run; with `Plasticity.trace_ms`.
        like: says type and device.
    """

    def __init__(self, network: Network, block: Block, like: Tensor) -> None:
        assert block.plasticity is not None
        assert block.plasticity.trace_ms is not None
        self.network, self.block, self.plasticity = network, block, block.plasticity
        self.keep = math.exp(-network.dt_ms / block.plasticity.trace_ms)
        chips = like.shape[0]
        self.traces = [like.new_zeros(chips, block.batch, n) for n in network.sizes]
        self.spiked = [trace > 0 for trace in self.traces]
        self.changes = [
            Change(
                like.new_zeros(chips, network.sizes[c.pre], network.sizes[c.post]),
                like.new_zeros(chips, network.sizes[c.post]),
            )
            for c in network.connections
        ]
        if isinstance(block.drive, CurrentDrive):
            self.inputs = block.drive.values.to(like)
        else:
            self.inputs = block.drive.spikes.to(like) * network.spike_value
        self.total = float(block.window[0].sum())

    def emit(self, t: int, emitted: Sequence[Tensor]) -> None:
        """Take in what the layers 1 to L emit in step t, and the input."""
        now = self.inputs if self.inputs.ndim == 2 else self.inputs[:, t]
        values = [e * self.network.emission_value(layer + 1) for layer, e in enumerate(emitted)]
        for trace, spiked, value in zip(self.traces, self.spiked, [now, *values], strict=True):
            trace.lerp_(value.expand_as(trace), 1.0 - self.keep)
            spiked.logical_or_(value != 0)

    def step(self, feedback: Sequence[Tensor], weight: Tensor) -> list[Change]:
        """Sum one step up and return what it adds.

        Args:
            feedback: the feedback currents of layers 1 to L, ``(chips, batch, n)``.
            weight: averaging weights of this step, ``(1, batch, 1)``.
        """
        gated = [current * weight for current in feedback]
        for layer in range(self.network.depth - 1 if self.plasticity.from_first_spike else 0):
            gated[layer] = gated[layer] * self.spiked[layer + 1]
        scale = 1.0 / (self.total * self.block.batch)
        added = []
        for index, connection in enumerate(self.network.connections):
            factor = scale * _step(self.plasticity, index)
            change = _change(self.traces[connection.pre], gated[connection.post - 1], factor)
            if not self.plasticity.biases:
                change = Change(change.weight, torch.zeros_like(change.bias))
            self.changes[index].weight.add_(change.weight)
            self.changes[index].bias.add_(change.bias)
            added.append(change)
        return added


def in_batches(
    run: Callable[[Hardware, Block], Outcome], network: Network, hardware: Hardware, block: Block
) -> Outcome:
    """Run a block `Plasticity.batch` samples at a time, each with the weights that the last one left.

    Args:
        run: runs a block whose samples all belong together.
        network: the description.
        hardware: the effective parameters at the beginning.
        block: all samples.
    """
    plasticity = block.plasticity
    assert plasticity is not None
    outcomes = []
    for number, first in enumerate(range(0, block.batch, plasticity.batch)):
        part = block.part(slice(first, first + plasticity.batch))
        outcome = run(hardware.part(number), replace(part, plasticity=replace(plasticity, batch=0)))
        outcomes.append(outcome)
        if plasticity.steps:
            hardware = changed(network, hardware, outcome.changes)
    return _joined(outcomes, mean=not plasticity.steps)


def changed(network: Network, hardware: Hardware, changes: Sequence[Change]) -> Hardware:
    """Return the chips with their synapses and biases changed.

    Args:
        network: the description.
        hardware: the effective parameters.
        changes: one per connection, in units of the programmed weights.
    """
    weights = tuple(
        weight + _effective(change.weight, factor).to(weight)
        for weight, change, factor in zip(hardware.weights, changes, hardware.synapses, strict=True)
    )

    def biased(layers: Sequence[Values]) -> tuple[Values, ...]:
        found = []
        for index, values in enumerate(layers):
            bias = values["bias"]
            for connection, change in zip(network.connections, changes, strict=True):
                bias = bias + change.bias.to(bias) if connection.post == index + 1 else bias
            found.append({**values, "bias": bias})
        return tuple(found)

    return replace(
        hardware, weights=weights, neurons=biased(hardware.neurons), shadows=biased(hardware.shadows)
    )


def _effective(change: Tensor, factor: Tensor | None) -> Tensor:
    return change if factor is None else change * factor.to(change)


def _joined(outcomes: Sequence[Outcome], *, mean: bool) -> Outcome:
    """Put the samples of several outcomes side by side; their changes are added up, or their mean taken."""

    def beside(parts: Iterable[tuple[Tensor, ...]]) -> tuple[Tensor, ...]:
        return tuple(torch.cat(rows, dim=1) for rows in zip(*parts, strict=True))

    first = outcomes[0]
    share = 1.0 / len(outcomes) if mean else 1.0
    controls = [o.control for o in outcomes if o.control is not None]
    return Outcome(
        sums=beside(o.sums for o in outcomes),
        basal=beside(o.basal for o in outcomes),
        control=torch.cat(controls, dim=1) if controls else None,
        apical=beside(o.apical for o in outcomes),
        final=join([o.final for o in outcomes]),
        traces={name: beside(o.traces[name] for o in outcomes) for name in first.traces},
        correlation=tuple(
            torch.stack(rows).sum(0) for rows in zip(*(o.correlation for o in outcomes), strict=True)
        ),
        changes=tuple(
            Change(
                torch.stack([c.weight for c in rows]).sum(0) * share,
                torch.stack([c.bias for c in rows]).sum(0) * share,
            )
            for rows in zip(*(o.changes for o in outcomes), strict=True)
        ),
    )
