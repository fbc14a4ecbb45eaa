"""Noise in the feedback compartments, and the correlation that the feedback synapses measure."""

from __future__ import annotations

import math
from typing import final

import torch
from torch import Tensor

from spiking.presentation import Noise

__all__ = ["ApicalNoise"]


@final
class ApicalNoise:
    """The process described in `Noise`, under way; its state does not grow with the number of steps.

    Args:
        noise: the description.
        shape: batch and neurons; the noise is the same for all chips.
        dt_ms: time step.
        device: where to compute.
        dtype: with what.
    """

    def __init__(
        self, noise: Noise, shape: tuple[int, int], dt_ms: float, device: torch.device, dtype: torch.dtype
    ) -> None:
        self.sigma, self.device, self.dtype = noise.sigma, device, dtype
        self.keep = math.exp(-dt_ms / noise.tau_ms) if noise.tau_ms > 0 else 0.0
        self.slow_keep = math.exp(-dt_ms / noise.highpass_ms) if noise.highpass_ms > 0 else None
        self.generator = torch.Generator().manual_seed(noise.seed)
        self.shape = shape
        self.current = noise.sigma * self._white()
        self.slow: Tensor | None = None
        self.correlation: Tensor | None = None

    def _white(self) -> Tensor:
        drawn = torch.randn(self.shape, generator=self.generator, dtype=torch.float64)
        return drawn.to(self.device, self.dtype)

    def step(self, feedback: Tensor | None, control: Tensor | None, weight: Tensor | None) -> Tensor:
        """Return the feedback compartments' currents of this step.

        Args:
            feedback: the controller's currents, ``(chips, batch, neurons)``, or None.
            control: the control signal, ``(chips, batch, n_out)``, or None.
            weight: averaging weights of this step, ``(1, batch, 1)``, or None where it does not count.
        """
        current = self.current if feedback is None else self.current + feedback
        if control is not None:
            fast = self._fast(control)
            if weight is not None:
                product = torch.matmul((fast * weight).transpose(1, 2), current)
                self.correlation = product if self.correlation is None else self.correlation + product
        spread = self.sigma * math.sqrt(1.0 - self.keep**2)
        self.current = self.current * self.keep + spread * self._white()
        return current

    def _fast(self, control: Tensor) -> Tensor:
        """Return what is fast in the control signal."""
        if self.slow_keep is None:
            return control
        self.slow = control.clone() if self.slow is None else control.lerp(self.slow, self.slow_keep)
        return control - self.slow
