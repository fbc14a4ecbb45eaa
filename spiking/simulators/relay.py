"""Layered feedback in tensors: what the layers receive, pass on, and have received on average."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import final

import torch
from torch import Tensor

from rate_bridge.filters import decay
from spiking.feedback import Layered
from spiking.hardware import Hardware
from spiking.network import Network
from spiking.presentation import Snapshot

__all__ = ["RelayLoop", "gate", "gate_trace"]


def gate(x: Tensor, curve: Tensor, low: float, high: float) -> Tensor:
    """Return the value of every neuron's gate, straight lines between the points of its curve.

    Args:
        x: activities, ``(chips, batch, n)``.
        curve: values at evenly spaced activities from `low` to `high`, ``(chips or 1, n or 1, points)``.
        low: the lowest activity.
        high: the highest.
    """
    chips, _, n = x.shape
    points = curve.shape[-1]
    place = ((x - low) * ((points - 1) / (high - low))).clamp(0, points - 1).transpose(1, 2)
    below = place.long().clamp(max=points - 2)
    curves = curve.expand(chips, n, points)
    first, second = curves.gather(-1, below), curves.gather(-1, below + 1)
    return (first + (place - below) * (second - first)).transpose(1, 2)


def gate_trace(network: Network, path: Layered) -> tuple[float, list[float]]:
    """Return the decay of the gates' traces in a step, and per layer 1 to L - 1 what an emission adds."""
    kept = float(decay(torch.tensor(path.trace_ms, dtype=torch.float64), network.dt_ms))
    return kept, [(1.0 - kept) * network.emission_value(layer) for layer in range(1, network.depth)]


@final
class RelayLoop:
    """The relay of one block under way; see `spiking.feedback.Layered`.

    Args:
        network: the description, with layered feedback.
        hardware: the effective parameters.
        start: where the block starts from.
        to: brings a tensor to the device and the type that are computed with.
    """

    def __init__(
        self, network: Network, hardware: Hardware, start: Snapshot, to: Callable[[Tensor], Tensor]
    ) -> None:
        path, relay = network.feedback, hardware.relay
        assert isinstance(path, Layered)
        assert relay is not None
        self.every = path.refresh_steps(network.dt_ms)
        self.kept, self.added = gate_trace(network, path)
        self.weights = [to(weights) for weights in hardware.feedback]
        self.strength = [to(strength).view(-1, 1, 1) for strength in relay.strength]
        self.curves = [
            (to(curve), low, high)
            for curve, low, high in zip(relay.gates, relay.low, relay.high, strict=True)
        ]
        hidden = start.synapse[:-1]
        given = start.gates or tuple(torch.zeros_like(current) for current in hidden)
        self.traces = [to(trace).clone() for trace in given]
        self.apical = [torch.zeros_like(trace) for trace in self.traces]
        self.sums = [torch.zeros_like(trace) for trace in self.traces]

    def step(self, t: int, control: Tensor) -> Tensor:
        """Return the feedback currents of all layers side by side, ``(chips, batch, neurons)``.

        Args:
            t: the step.
            control: u, ``(chips, batch, n_out)``.
        """
        if t % self.every == 0:
            self._refresh(control)
        hidden = [strength * a for strength, a in zip(self.strength, self.apical, strict=True)]
        return torch.cat([*hidden, torch.matmul(control, self.weights[-1])], dim=-1)

    def _refresh(self, control: Tensor) -> None:
        passed = control
        for layer in reversed(range(len(self.apical))):
            self.apical[layer] = torch.matmul(passed, self.weights[layer])
            passed = gate(self.traces[layer], *self.curves[layer]) * self.apical[layer]

    def emit(self, emitted: Sequence[Tensor]) -> None:
        """Take in what the neurons of layers 1 to L emit."""
        for trace, added, new in zip(self.traces, self.added, emitted, strict=False):
            trace.mul_(self.kept).add_(new, alpha=added)

    def count(self, weight: Tensor) -> None:
        """Add what was received to the sums of the window."""
        for total, apical in zip(self.sums, self.apical, strict=True):
            total.addcmul_(apical, weight)
