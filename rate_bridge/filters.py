"""The discrete constants that turn time constants and spikes into currents and rates."""

from __future__ import annotations

import torch
from torch import Tensor

__all__ = ["decay", "spike_value", "steps", "whole_steps", "window"]


def decay(tau_ms: Tensor, dt_ms: float) -> Tensor:
    r"""Return :math:`a = e^{-dt/\tau}`, with :math:`a = 0` where :math:`\tau = 0` (no filter)."""
    return torch.where(tau_ms > 0, torch.exp(-dt_ms / tau_ms.clamp(min=torch.finfo(tau_ms.dtype).tiny)), 0.0)


def steps(time_ms: Tensor, dt_ms: float) -> Tensor:
    """Return the number of steps nearest to `time_ms`, halves rounded up."""
    return torch.floor(time_ms / dt_ms + 0.5)


def whole_steps(time_ms: float, dt_ms: float) -> int | None:
    """Return `time_ms` in steps of `dt_ms`, or None where it is no multiple, or less than one step."""
    count = round(time_ms / dt_ms)
    return None if count < 1 or abs(count * dt_ms - time_ms) > 1e-9 * time_ms else count


def spike_value(max_rate_hz: float, dt_ms: float) -> float:
    r"""Return the rate that a spike in every step means: :math:`1 / (r_{max}\, dt)`, dimensionless.

    A neuron that spikes at `max_rate_hz` has the mean rate 1.
    """
    return 1000.0 / (max_rate_hz * dt_ms)


def window(length: int, last: int, shape: str = "rectangular") -> Tensor:
    r"""Return the weights of an averaging window over the last steps of a phase.

    Args:
        length: steps of the phase.
        last: steps of the window, at its end.
        shape: ``"rectangular"`` (weight 1, so that sums are spike counts) or ``"hann"``,
            :math:`\sin^2(\pi (k + 1/2) / n)`, which forgives spikes at the window's edges.

    Returns:
        weights of shape ``(length,)``, float64, zero before the window.
    """
    weights = torch.zeros(length, dtype=torch.float64)
    if shape == "hann":
        k = torch.arange(last, dtype=torch.float64)
        weights[length - last :] = torch.sin(torch.pi * (k + 0.5) / last) ** 2
    else:
        weights[length - last :] = 1.0
    return weights
