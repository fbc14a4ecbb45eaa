r"""What a population of spiking neurons represents: encoders, tuning curves, decoders from the chip itself.

Source: Eliasmith & Anderson 2003, "Neural Engineering"; Gilra & Gerstner 2017, doi:10.7554/eLife.28295.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import final

import numpy as np
import torch
from scipy.signal import lfilter
from torch import Tensor

from root.seeds import SeedTree

__all__ = ["THIN", "Sums", "Tuning", "filtered", "tuning"]

RIDGE = 2.5e-5
"""Of the mean diagonal: far below the noise of the traces, which must stay in the fit, see `Sums.solve`."""

THIN = 5
"""Steps between two moments that are fitted; traces hardly change in between."""


@final
@dataclass(frozen=True)
class Tuning:
    """How the neurons of a population answer to what is to be represented.

    Args:
        encoders: feedback weights, the neurons' gains in them, ``(dimensions, n)``.
        bias: constant currents, ``(n,)``.
    """

    encoders: Tensor
    bias: Tensor


def tuning(
    neurons: int,
    dimensions: int,
    seeds: SeedTree,
    *,
    rates_hz: tuple[float, float],
    threshold: float,
    tau_m_ms: float,
    refractory_ms: float,
    radius: float = 1.0,
) -> Tuning:
    r"""Return encoders on the sphere, with gains and biases for tuning curves that are spread as usual.

    Neuron i, of encoder :math:`e_i`, begins to fire where :math:`e_i \cdot x / R` is at its intercept,
    uniform in [-1, 0.95], and has its highest rate, uniform in `rates_hz`, where that is 1; by the nominal
    curve :math:`r = 1 / (t_{ref} - \tau_m \ln(1 - \theta / J))`.

    Args:
        neurons: n.
        dimensions: of what is represented.
        seeds: where they are drawn from.
        rates_hz: the lowest and the largest of the highest rates.
        threshold: θ.
        tau_m_ms: membrane time constant.
        refractory_ms: refractory time.
        radius: R, of the sphere that is represented.
    """
    random = seeds.generator()
    directions = random.standard_normal((dimensions, neurons))
    directions /= np.linalg.norm(directions, axis=0)
    top, begin = random.uniform(*rates_hz, neurons), random.uniform(-1.0, 0.95, neurons)
    peak = threshold / (1.0 - np.exp((refractory_ms - 1000.0 / top) / tau_m_ms))
    gain = (peak - threshold) / (1.0 - begin)
    return Tuning(torch.from_numpy(gain * directions / radius), torch.from_numpy(threshold - gain * begin))


def filtered(signal: Tensor, tau_ms: float, dt_ms: float) -> Tensor:
    """Return a signal through a leaky filter of gain 1, which starts at 0: ``(..., time, n)`` like it.

    Args:
        signal: ``(..., time, n)``.
        tau_ms: time constant.
        dt_ms: time step.
    """
    kept = np.exp(-dt_ms / tau_ms)
    return torch.from_numpy(lfilter([1.0 - kept], [1.0, -kept], signal.double().cpu().numpy(), axis=-2))


@final
@dataclass(frozen=True)
class Sums:
    """Sums for least squares, over as many recordings as there are.

    Args:
        squares: of traces times traces, ``(chips, n, n)``.
        products: of traces times what is wanted of them, ``(chips, n, wanted)``.
    """

    squares: Tensor
    products: Tensor

    @classmethod
    def of(cls, traces: Tensor, wanted: Tensor) -> Sums:
        """Return the sums over samples and time.

        Args:
            traces: ``(chips, batch, time, n)``.
            wanted: ``(chips, batch, time, wanted)``.
        """
        r, z = (value[:, :, ::THIN].flatten(1, 2) for value in (traces, wanted))
        return cls(r.transpose(1, 2) @ r, r.transpose(1, 2) @ z)

    def solve(self, ridge: float = RIDGE) -> Tensor:
        r"""Return the weights D with the least squares of :math:`r D - z`, ``(chips, n, wanted)``.

        The traces are fitted with their noise in them. A rule that settles where the error of the output
        does not correlate with the traces is biased by a decoder that comes from rates without noise, or from
        a ridge above it, and a loop that is closed in training multiplies that bias by its gain.
        """
        n = self.squares.shape[-1]
        scale = ridge * self.squares.diagonal(dim1=-2, dim2=-1).mean(-1)
        damped = self.squares + scale[:, None, None].clamp(min=1e-300) * torch.eye(n, dtype=torch.float64)
        found: Tensor = torch.linalg.solve(damped, self.products)
        return found
