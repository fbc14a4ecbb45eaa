"""Per-chip calibration: the f–I curve of every neuron, from rates that were measured, not from parameters.

A calibrated rule presents the `current_levels` to the chips one after the other, reads the mean rate of every
neuron, and uses `measured_transfer` where it would have used the nominal curve. Where it needs a slope it
takes that of the nominal curve, stretched to fit what was measured (`stretch`).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import final

import torch
from torch import Tensor

from rate_bridge.transfer import Transfer
from root.errors import InputError

__all__ = ["MeasuredTransfer", "current_levels", "measured_transfer", "stretch"]

ENDS = 0.03
"""Part of the measured range of rates, at either end, where curves are flat and say nothing of a stretch."""


@final
@dataclass(frozen=True)
class MeasuredTransfer(Transfer):
    r"""Straight lines between measured points, one curve per neuron, constant outside the measured range.

    Between the levels :math:`I_i \le I < I_{i+1}`, :math:`r(I) = r_i + s_i (I - I_i)` with
    :math:`s_i = (r_{i+1} - r_i) / (I_{i+1} - I_i)`; the slope is :math:`s_i` there and 0 outside.

    Args:
        currents: the levels presented, strictly increasing, ``(points,)``.
        rates: non-decreasing along the points, ``(chips, neurons, points)``.
    """

    currents: Tensor
    rates: Tensor

    def rate(self, current: Tensor) -> Tensor:
        inside = _to_rows(current).clamp(self.currents[0], self.currents[-1])
        segment = self._segment(inside)
        low = self.rates.gather(-1, segment)
        return _from_rows(low + self._slopes.gather(-1, segment) * (inside - self.currents[segment]), current)

    def inverse(self, rate: Tensor) -> Tensor:
        """Return the current that gives `rate`.

        Rates outside the measured ones give the first or the last level; where the curve is flat, the
        largest current is taken.
        """
        wanted = _to_rows(rate).contiguous()
        above = torch.searchsorted(self.rates.contiguous(), wanted, right=True)
        last = self.currents.numel() - 1
        segment = (above - 1).clamp(0, last - 1)
        low, slope = self.rates.gather(-1, segment), self._slopes.gather(-1, segment)
        step = (wanted - low) / torch.where(slope > 0, slope, 1.0)
        current = self.currents[segment] + step
        current = torch.where(above == 0, self.currents[0], current)
        return _from_rows(torch.where(above > last, self.currents[-1], current), rate)

    def slope(self, current: Tensor) -> Tensor:
        rows = _to_rows(current)
        inside = (rows >= self.currents[0]) & (rows < self.currents[-1])
        return _from_rows(torch.where(inside, self._slopes.gather(-1, self._segment(rows)), 0.0), current)

    @property
    def _slopes(self) -> Tensor:
        return self.rates.diff(dim=-1) / self.currents.diff()

    def _segment(self, current: Tensor) -> Tensor:
        """Return the index of the level below each current, at most the last but one."""
        above = torch.searchsorted(self.currents, current.contiguous(), right=True)
        return (above - 1).clamp(0, self.currents.numel() - 2)


def _to_rows(values: Tensor) -> Tensor:
    """Bring ``(chips, ..., neurons)`` into the order of the curves, ``(chips, neurons, samples)``."""
    return values.reshape(values.shape[0], -1, values.shape[-1]).transpose(1, 2)


def _from_rows(rows: Tensor, like: Tensor) -> Tensor:
    return rows.transpose(1, 2).reshape(like.shape)


def measured_transfer(currents: Tensor, rates: Tensor) -> MeasuredTransfer:
    r"""Make a curve of noisy measurements.

    Spike counts of a rising curve may fall from one level to the next. They are replaced by the mean of
    the smallest non-decreasing curve above them and the largest below,
    :math:`r_i \leftarrow \tfrac12 (\max_{j \le i} r_j + \min_{j \ge i} r_j)`, which leaves a curve
    that does not fall as it is.

    Args:
        currents: levels in any order, all different, ``(points,)`` with 2 points or more.
        rates: what was measured, ``(chips, neurons, points)``.

    Raises:
        InputError: levels that are equal or not finite, rates that are not finite, shapes that do not fit.
    """
    order = torch.argsort(currents)
    levels = currents[order].to(torch.float64)
    points = levels.numel()
    if points < 2 or not bool(torch.isfinite(levels).all()) or not bool((levels.diff() > 0).all()):
        raise InputError("currents", currents.tolist(), "2 or more different, finite levels")
    if rates.ndim != 3 or rates.shape[-1] != points:
        raise InputError("rates", tuple(rates.shape), f"the shape (chips, neurons, {points})")
    if not bool(torch.isfinite(rates).all()):
        raise InputError("rates", "NaN or infinity", "finite rates")
    sorted_rates = rates[..., order].to(torch.float64)
    rising = sorted_rates.cummax(-1).values
    falling = sorted_rates.flip(-1).cummin(-1).values.flip(-1)
    return MeasuredTransfer(levels, 0.5 * (rising + falling))


def stretch(measured: MeasuredTransfer, nominal: Transfer) -> Tensor:
    r"""Return how much more steeply than the design every neuron answers to currents, ``(chips, neurons)``.

    It is the slope a of the straight line that fits best, over the levels :math:`I_i` at which a neuron is
    neither at the lower nor at the upper end of what was measured,

    .. math:: r_{nominal}^{-1}(r_i) \approx a I_i + b,

    so that :math:`r(I) \approx r_{nominal}(a I + b)`, and 1 where fewer than three levels are left.

    The differences of the measured points themselves are no slopes to learn from: a neuron that is silent
    would have that of its onset, the steepest of all, where the design's curve, which is soft, says that
    little is to be gained. With these, networks of one, three and five hidden layers came to .926, .872 and
    .717 on spiking digits, where the nominal slopes had .946, .965 and .958.

    Args:
        measured: the curves.
        nominal: the designed one.
    """
    rates = measured.rates
    low, high = rates[..., :1], rates[..., -1:]
    margin = ENDS * (high - low)
    used = ((rates > low + margin) & (rates < high - margin)).double()
    design, count = nominal.inverse(rates).double(), used.sum(-1, keepdim=True).clamp(min=1.0)
    x = measured.currents - (used * measured.currents).sum(-1, keepdim=True) / count
    y = design - (used * design).sum(-1, keepdim=True) / count
    found = (used * x * y).sum(-1) / (used * x.square()).sum(-1).clamp(min=torch.finfo(torch.float64).tiny)
    return torch.where(used.sum(-1) >= 3, found.clamp(min=0.0), 1.0)


def current_levels(
    nominal: Transfer, points: int = 25, highest_rate: float = 1.0, deviation: float = 0.5
) -> Tensor:
    """Return the constant currents to present for a calibration.

    They are evenly spaced from what the design needs for a tenth of `highest_rate` (close to its
    threshold, whether that is soft or not), less the deviation, to what it needs for `highest_rate`,
    plus the deviation.

    Args:
        nominal: the designed curve.
        points: number of levels, 2 or more.
        highest_rate: the largest rate that will be used, 1 = ``max_rate_hz``.
        deviation: how far neurons may deviate from the design, as a fraction of the current; about
            2.5 times the cv of the thresholds.

    Returns:
        ``(points,)``, float64, increasing.
    """
    if points < 2:
        raise InputError("points", points, "2 or more")
    if not 0 <= deviation < 1:
        raise InputError("deviation", deviation, "a number in [0, 1)")
    ends = nominal.inverse(torch.tensor([0.1 * highest_rate, highest_rate], dtype=torch.float64))
    low = float(ends[0] - deviation * ends[0].abs())
    high = float(ends[1] + deviation * ends[1].abs())
    return torch.linspace(low, high, points, dtype=torch.float64)
