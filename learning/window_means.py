"""Mean rates over the windows of a presentation, differentiable: counted as a chip counts."""

from __future__ import annotations

from typing import final

import torch
from torch import Tensor

from spiking.presentation import Phase

__all__ = ["WindowMeans", "spread"]


@final
class WindowMeans:
    """Sums of emissions, step by step, that become the rates of a `Recording`.

    Args:
        phase: whose windows they are.
        like: says type and device.
    """

    def __init__(self, phase: Phase, like: Tensor) -> None:
        self._phase = phase
        self._alike = phase.whole and phase.lengths is None
        self._weights = phase.window.to(like) if self._alike else phase.weights.to(like)
        self._size = phase.steps // phase.windows
        self._sums: list[Tensor] = []

    def add(self, t: int, emitted: Tensor) -> None:
        """Take in what is emitted in step t, ``(chips, batch, n)``."""
        weight = self._weights[t] if self._alike else self._weights[:, t].view(1, -1, 1)
        if t % self._size == 0:
            self._sums.append(torch.zeros_like(emitted))
        self._sums[-1] = self._sums[-1] + weight * emitted

    def rates(self, value: float) -> Tensor:
        """Return the means, one row per window that counts, ``(chips, rows, n)``.

        Args:
            value: the rate that an emission in every step means.
        """
        if self._alike:
            return self._sums[0] * (value / self._weights.sum())
        sample, window = (places.to(self._weights.device) for places in self._phase.rows)
        total = self._weights.reshape(len(self._weights), self._phase.windows, -1).sum(2)[sample, window]
        return torch.stack(self._sums, dim=2)[:, sample, window] * (value / total.unsqueeze(1))


def spread(phase: Phase, errors: Tensor, value: float) -> Tensor:
    """Return what errors of mean rates are for every emission, ``(chips, batch, time, n)``.

    Args:
        phase: whose windows they are.
        errors: of every row, ``(chips, rows, n)``.
        value: the rate that an emission in every step means.
    """
    weights = phase.weights.reshape(phase.batch, phase.windows, -1).to(errors)
    sample, window = (places.to(errors.device) for places in phase.rows)
    own = weights[sample, window]
    shares = (value / own.sum(1, keepdim=True) * own).unsqueeze(2)
    found = errors.new_zeros(len(errors), *weights.shape, errors.shape[-1])
    found[:, sample, window] = errors.unsqueeze(2) * shares
    return found.flatten(2, 3)
