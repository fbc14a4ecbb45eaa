"""Layered feedback in tensors: what the layers receive, pass on, and have received on average."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import final

import torch
from torch import Tensor

from spiking.blocks.bound import BoundRelay

__all__ = ["RelayLoop", "gate"]


def gate(x: Tensor, curve: Tensor, low: float, scale: float) -> Tensor:
    """Return the value of every neuron's gate, straight lines between the points of its curve.

    Args:
        x: activities, ``(chips, batch, n)``.
        curve: values at evenly spaced activities, ``(chips or 1, n or 1, points)``.
        low: the lowest of these.
        scale: points per unit of activity.
    """
    chips, _, n = x.shape
    points = curve.shape[-1]
    place = ((x - low) * scale).clamp(0, points - 1).transpose(1, 2)
    below = place.long().clamp(max=points - 2)
    curves = curve.expand(chips, n, points)
    first, second = curves.gather(-1, below), curves.gather(-1, below + 1)
    return (first + (place - below) * (second - first)).transpose(1, 2)


@final
class RelayLoop:
    """The relay of one block under way; see `spiking.feedback.Layered`.

    Args:
        bound: it on the chips.
        feedback: the feedback weights of all layers.
        to: brings a tensor to the device and the type that are computed with.
    """

    def __init__(self, bound: BoundRelay, feedback: Sequence[Tensor], to: Callable[[Tensor], Tensor]) -> None:
        self.every, self.kept, self.added = bound.every, bound.kept, bound.added
        self.weights = [to(weights) for weights in feedback]
        self.strength = [to(strength) for strength in bound.strength]
        self.curves = [*zip(map(to, bound.curves), bound.low, bound.scale, strict=True)]
        self.traces = [to(trace).clone() for trace in bound.seen]
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
