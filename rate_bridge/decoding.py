"""Back from spikes to rates: counts in a window and exponential traces."""

from __future__ import annotations

import torch
from torch import Tensor

from rate_bridge.filters import decay, spike_value

__all__ = ["spike_trace", "window_rate"]


def window_rate(spikes: Tensor, weights: Tensor, dt_ms: float, max_rate_hz: float) -> Tensor:
    r"""Return mean rates over a window, :math:`r = \sum_t w_t s_t / (r_{max}\, dt \sum_t w_t)`.

    Args:
        spikes: 0 or 1, ``(..., time, neurons)``.
        weights: of the window, ``(time,)``; see :func:`rate_bridge.filters.window`.
        dt_ms: time step.
        max_rate_hz: the rate that counts as 1.

    Returns:
        rates ``(..., neurons)`` of the type of `weights`.
    """
    scale = spike_value(max_rate_hz, dt_ms) / weights.sum()
    return torch.einsum("...tn,t->...n", spikes.to(weights.dtype), weights * scale)


def spike_trace(
    spikes: Tensor, tau_ms: float, dt_ms: float, max_rate_hz: float, start: Tensor | None = None
) -> Tensor:
    r"""Return the exponential trace of spikes, the rate estimate that a read-out sees.

    .. math::
        x_t = a x_{t-1} + \frac{1 - a}{r_{max}\, dt} s_t, \qquad a = e^{-dt / \tau}

    Regular spikes at a rate r give a trace whose mean tends to r; :math:`\tau = 0` gives the spikes
    themselves, as rates.

    Args:
        spikes: 0 or 1, ``(..., time, neurons)``.
        tau_ms: time constant.
        dt_ms: time step.
        max_rate_hz: the rate that counts as 1.
        start: :math:`x_{-1}`, ``(..., neurons)``; 0 by default.

    Returns:
        the trace after every step, ``(..., time, neurons)``, float64.
    """
    factor = float(decay(torch.tensor(tau_ms, dtype=torch.float64), dt_ms))
    gain = (1.0 - factor) * spike_value(max_rate_hz, dt_ms)
    trace = torch.zeros_like(spikes, dtype=torch.float64)
    before = torch.zeros_like(trace[..., 0, :]) if start is None else start.to(torch.float64)
    for t in range(spikes.shape[-2]):
        before = before * factor + spikes[..., t, :].to(torch.float64) * gain
        trace[..., t, :] = before
    return trace
