"""From current to rate and back: the f–I curve of a neuron, its inverse and its slope."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import final

import torch
from torch import Tensor

from rate_bridge.filters import steps
from root.errors import InputError

__all__ = ["LIFTransfer", "Transfer"]

FAR_BELOW = -30.0
"""Widths below threshold from where ln(softplus(z)) equals z to the last bit."""

LIMIT = 1.0 - 1e-9
"""Fraction of the refractory limit at which inverses stop: the limit itself needs an infinite current."""


class Transfer(ABC):
    """A per-neuron curve from constant current to mean rate, dimensionless (1 = ``max_rate_hz``).

    Currents and rates are ``(chips, ..., neurons)``; results have the shape of their argument.
    """

    @abstractmethod
    def rate(self, current: Tensor) -> Tensor:
        """Return the rate at a constant current; non-decreasing."""

    @abstractmethod
    def inverse(self, rate: Tensor) -> Tensor:
        """Return the current that gives `rate`; for the lowest rate the largest such current."""

    @abstractmethod
    def slope(self, current: Tensor) -> Tensor:
        """Return the derivative of `rate` with respect to the current; finite and >= 0 everywhere."""


@final
@dataclass(frozen=True)
class LIFTransfer(Transfer):
    r"""The curve of a noiseless leaky integrate-and-fire neuron.

    .. math::
        r(I) = \frac{1000}{r_{max} T}, \qquad
        T = t_{ref} + \frac{dt}{2} + \tau_m \ln\left(1 + \frac{\theta - v_{reset}}{\rho(I - \theta)}\right)

    (T in ms) with :math:`\rho(d) = d` for :math:`d > 0` and rate 0 otherwise, or, for a `width` w > 0, the
    soft :math:`\rho(d) = w \ln(1 + e^{d/w})`, which has a slope at and below the threshold. It falls slowly
    there, like :math:`1 / \tau_m |z|` at z widths below, so it is for learning rules, not for predicting
    silent neurons.

    A clocked neuron crosses its threshold between two steps and spikes at the later one, on average half
    a step late: this is the term dt/2, left out with ``dt_ms = 0``. `clocked_rate` is exact for a
    constant current.

    The exact slope grows without bound as :math:`I \to \theta^+` and is 0 at and below the threshold; it is
    finite for every floating-point number.

    Source: Gerstner, Kistler, Naud, Paninski, "Neuronal Dynamics" (2014), ch. 1.3; the soft curve is that
    of Hunsberger & Eliasmith 2015, arXiv 1510.08829.

    Args:
        threshold: θ, broadcast against the currents like the next three.
        reset: potential after a spike.
        tau_m_ms: membrane time constant.
        refractory_ms: refractory time.
        max_rate_hz: the rate that counts as 1.
        dt_ms: time step of the clock, or 0 for continuous time.
        width: softness w of the threshold, in units of the current; 0 for none.
    """

    threshold: Tensor | float
    reset: Tensor | float
    tau_m_ms: Tensor | float
    refractory_ms: Tensor | float
    max_rate_hz: float
    dt_ms: float = 0.0
    width: float = 0.0

    def __post_init__(self) -> None:
        for key in ("threshold", "reset", "tau_m_ms", "refractory_ms"):
            value = torch.as_tensor(getattr(self, key), dtype=torch.float64)
            object.__setattr__(self, key, value)
        if not (math.isfinite(self.max_rate_hz) and self.max_rate_hz > 0):
            raise InputError("max_rate_hz", self.max_rate_hz, "a finite number > 0")
        for key in ("dt_ms", "width"):
            if not (math.isfinite(getattr(self, key)) and getattr(self, key) >= 0):
                raise InputError(key, getattr(self, key), "a finite number >= 0")

    @property
    def _swing(self) -> Tensor:
        return torch.as_tensor(self.threshold) - self.reset

    @property
    def _dead_ms(self) -> Tensor:
        """Time of a period that does not depend on the current."""
        refractory = torch.as_tensor(self.refractory_ms)
        return refractory if self.dt_ms == 0 else (steps(refractory, self.dt_ms) + 0.5) * self.dt_ms

    def _charging(self, current: Tensor) -> tuple[Tensor, Tensor]:
        """Return the charging time over tau_m, and where there is one (elsewhere it is infinite)."""
        drive = current - self.threshold
        if self.width == 0:
            above = drive > 0
            return torch.log1p(self._swing / torch.where(above, drive, 1.0)), above
        z = drive / self.width
        far = z < FAR_BELOW
        near = torch.log1p(
            self._swing / (self.width * torch.nn.functional.softplus(torch.where(far, 0.0, z)))
        )
        return torch.where(far, torch.log(self._swing / self.width) - z, near), torch.ones_like(far)

    def rate(self, current: Tensor) -> Tensor:
        charging, above = self._charging(current)
        period = self._dead_ms + self.tau_m_ms * charging
        return torch.where(above, 1000.0 / (self.max_rate_hz * period), 0.0)

    def inverse(self, rate: Tensor) -> Tensor:
        """Return the current that gives `rate`.

        Rates of 0 or less give the threshold (`width` 0) or a current 30 widths below it; rates from the
        refractory limit on give the current of just below that limit.
        """
        tiny = torch.finfo(torch.float64).tiny
        period = 1000.0 / (self.max_rate_hz * rate.to(torch.float64).clamp(min=tiny))
        period = torch.maximum(period, self._dead_ms / LIMIT)
        charging = ((period - self._dead_ms) / self.tau_m_ms).clamp(min=1e-12)
        drive = self._swing / torch.expm1(charging)
        if self.width > 0:
            z = drive / self.width  # softplus inverted: z + ln(1 - exp(-z))
            drive = self.width * (z + torch.log(-torch.expm1(-z.clamp(min=tiny)))).clamp(min=FAR_BELOW)
        return self.threshold + drive

    def slope(self, current: Tensor) -> Tensor:
        charging, above = self._charging(current)
        period = self._dead_ms + self.tau_m_ms * charging
        drive = current - self.threshold
        if self.width == 0:
            rho = torch.where(above, drive, 1.0)
            relative = 1.0 / rho  # rho' / rho
        else:
            z = drive / self.width
            rho = self.width * torch.nn.functional.softplus(z)
            near = torch.sigmoid(z) / torch.nn.functional.softplus(z.clamp(min=FAR_BELOW))
            relative = torch.where(z < FAR_BELOW, 1.0, near) / self.width
        gain = self.tau_m_ms * self._swing * relative / (rho + self._swing)
        return torch.where(above, 1000.0 / self.max_rate_hz * gain / period**2, 0.0)

    def clocked_rate(self, current: Tensor) -> Tensor:
        r"""Return the exact rate of the simulated neuron at a constant current.

        .. math::
            r = \frac{1000}{r_{max}\, dt\, (n_{ref} + n)}, \qquad
            n = \left\lfloor \frac{\tau_m}{dt} \ln\frac{I - v_{reset}}{I - \theta} \right\rfloor + 1

        a staircase in the current. Needs a `dt_ms` > 0; the softness does not enter.
        """
        if self.dt_ms == 0:
            raise InputError("dt_ms", self.dt_ms, "a number > 0", "A clocked rate needs a clock")
        drive = current - self.threshold
        above = drive > 0
        charging = torch.log1p(self._swing / torch.where(above, drive, 1.0))
        interval = torch.floor(self.tau_m_ms * charging / self.dt_ms) + 1.0
        held = steps(torch.as_tensor(self.refractory_ms), self.dt_ms)
        return torch.where(above, 1000.0 / (self.max_rate_hz * self.dt_ms * (held + interval)), 0.0)
