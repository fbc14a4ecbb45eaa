"""The curve of a neuron that has none in closed form: its step is run under constant currents."""

from __future__ import annotations

from collections.abc import Callable, Container, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Protocol, final

import torch
from torch import Tensor

from rate_bridge.filters import spike_value, window
from rate_bridge.transfer import Transfer
from root.errors import InputError
from spiking.programs.to_torch import Step

__all__ = ["MeasuredCurve", "Stepped", "measured_curve"]

LENGTH_MS = 2000.0
"""How long a level is shown; its second half counts."""

STARTS = 4
"""Initial states per level, so that a count of whole spikes is a mean of several."""

POINTS = 256
"""Intervals of the curve."""

HIGHEST = 2.0
"""The rate up to which it is measured, 1 = ``max_rate_hz``, where it gets there."""

SOFTNESS = 0.05
"""Width of the smoothing, as a fraction of the current of the first spikes: input is never quite constant."""

LEAST = 0.005
"""The least width, as a fraction of the current for the rate 1: the first spikes may need none."""

TAIL = 10
"""Widths by which a smoothed curve begins below the current from where it rises."""


class Stepped(Protocol):
    """What has a step that can be run: a neuron; see :class:`spiking.neurons.base.Neuron`."""

    @property
    def nominal(self) -> Mapping[str, float]:
        """The design's values by field."""

    @property
    def emits_spikes(self) -> bool:
        """Whether it emits spikes, and not an activity."""

    def constants(self, values: Mapping[str, Tensor], dt_ms: float) -> dict[str, Tensor]:
        """Return the discrete constants of a step."""

    def initial_state(self, values: Mapping[str, Tensor], uniform: Tensor) -> dict[str, Tensor]:
        """Turn uniform random numbers into a state."""

    def stepper(self, constants: Container[str]) -> Step:
        """Return the step."""

    def __hash__(self) -> int: ...


@final
@dataclass(frozen=True)
class MeasuredCurve(Transfer):
    """Straight lines between measured points, the same for all neurons, constant outside.

    Args:
        currents: the levels, strictly increasing, ``(points,)``.
        rates: what they give, increasing (or equal), ``(points,)``.
    """

    currents: Tensor
    rates: Tensor

    def rate(self, current: Tensor) -> Tensor:
        levels, rates, slopes = self._lines(current)
        inside = current.clamp(float(levels[0]), float(levels[-1]))
        segment = self._segment(levels, inside)
        return rates[segment] + slopes[segment] * (inside - levels[segment])

    def inverse(self, rate: Tensor) -> Tensor:
        """Return the current that gives `rate`; outside the measured rates, the first or last level."""
        levels, rates, slopes = self._lines(rate)
        segment = self._segment(rates, rate)
        steep = slopes[segment] > 0
        step = (rate - rates[segment]) / torch.where(steep, slopes[segment], 1.0)
        current = levels[segment] + torch.where(steep, step, 0.0)
        return current.clamp(float(levels[0]), float(levels[-1]))

    def slope(self, current: Tensor) -> Tensor:
        levels, _, slopes = self._lines(current)
        inside = (current >= levels[0]) & (current < levels[-1])
        return torch.where(inside, slopes[self._segment(levels, current)], 0.0)

    def _lines(self, like: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        levels, rates = self.currents.to(like), self.rates.to(like)
        return levels, rates, rates.diff() / levels.diff()

    @staticmethod
    def _segment(points: Tensor, values: Tensor) -> Tensor:
        """Return the index of the last point at or below each value, at most the last but one."""
        return (torch.bucketize(values, points, right=True) - 1).clamp(0, len(points) - 2)


@lru_cache(maxsize=64)
def measured_curve(neuron: Stepped, max_rate_hz: float, dt_ms: float) -> MeasuredCurve:
    r"""Return the mean rate of a neuron under constant currents, after a second of them.

    Where the neuron spikes, the curve is smoothed,

    .. math:: r(I) = \int r_0(I + w z)\, \frac{e^{-z}}{(1 + e^{-z})^2}\, dz

    with w a twentieth of the current of the first spikes, so that it has a slope about them too, or as
    wide as the stairs of a clocked neuron, whose intervals are whole steps,
    :math:`w = r_0\, r_{max}\, dt\, (I - I_0)` from the current :math:`I_0` where it begins to spike. A curve
    that falls is made to rise, as by `rate_bridge.calibration.measured_transfer`.

    Args:
        neuron: the model, with nominal values.
        max_rate_hz: the rate that counts as 1.
        dt_ms: time step.

    Raises:
        InputError: what it emits is not finite, or the same under all currents.
    """

    def rates(levels: Tensor) -> Tensor:
        return _rising(_run(neuron, levels, max_rate_hz, dt_ms))

    low, next_level, high = _range(rates)
    if not neuron.emits_spikes:
        levels = torch.linspace(low, high, POINTS + 1, dtype=torch.float64)
        return MeasuredCurve(levels, rates(levels))
    near = torch.linspace(low, next_level, POINTS + 1, dtype=torch.float64)
    begin = float(near[rates(near) <= 0.0][-1])
    levels = _denser(begin, high)
    return _smoothed(levels, rates(levels), 1.0 / spike_value(max_rate_hz, dt_ms))


def _denser(begin: float, end: float) -> Tensor:
    """Return levels that are close together at the beginning, where a curve is steep."""
    return begin + (end - begin) * torch.linspace(0.0, 1.0, POINTS + 1, dtype=torch.float64).square()


def _run(neuron: Stepped, levels: Tensor, max_rate_hz: float, dt_ms: float) -> Tensor:
    """Return the mean rate at every level."""
    values = {
        field: torch.full((1, 1), value, dtype=torch.float64) for field, value in neuron.nominal.items()
    }
    constants = neuron.constants(values, dt_ms)
    starts = (torch.arange(STARTS, dtype=torch.float64) + 0.5) / STARTS
    state = neuron.initial_state(values, starts.view(1, -1, 1).expand(1, STARTS, len(levels)).clone())
    current = levels.expand(1, STARTS, -1).contiguous()
    steps, step = round(LENGTH_MS / dt_ms), neuron.stepper(constants)
    weights = window(steps, steps // 2, "hann")
    total = torch.zeros_like(current)
    with torch.no_grad():
        for weight in weights.tolist():
            total.add_(step(state, current, constants), alpha=weight)
    unit = spike_value(max_rate_hz, dt_ms) if neuron.emits_spikes else 1.0
    mean: Tensor = total.mean((0, 1)) / weights.sum() * unit
    return mean


def _rising(rates: Tensor) -> Tensor:
    """Return the mean of the smallest rising curve above and the largest below; infinite ones are kept."""
    rising, falling = rates.cummax(0).values, rates.flip(0).cummin(0).values.flip(0)
    return 0.5 * (rising + falling)


def _range(rates: Callable[[Tensor], Tensor]) -> tuple[float, float, float]:
    """Return between which currents a curve rises, up to `HIGHEST` (or from its negative).

    Returns:
        the last current with the lowest rate, the one tried after it, and the first with the highest rate.
    """
    powers = 2.0 ** torch.arange(-10, 11, dtype=torch.float64)
    levels = torch.cat([-powers.flip(0), torch.zeros(1, dtype=torch.float64), powers])
    found = rates(levels)
    usable = found.isfinite()
    if not bool(usable.any()) or float(found[usable].amin()) == float(found[usable].amax()):
        allowed = "a neuron whose mean emission is finite and depends on a constant current"
        raise InputError("network.neuron", "one value under all currents, or none", allowed)
    levels, found = levels[usable], found[usable]
    bottom, top = max(float(found.amin()), -HIGHEST), min(float(found.amax()), HIGHEST)
    last = int((found <= bottom).nonzero()[-1])
    return float(levels[last]), float(levels[last + 1]), float(levels[found >= top][0])


def _smoothed(levels: Tensor, rates: Tensor, shortest: float) -> MeasuredCurve:
    """Smooth a curve.

    Args:
        levels: currents, from the last one without spikes.
        rates: what they give.
        shortest: duration of a step, 1 = that of an interval at the rate 1.
    """
    begin, end = float(levels[0]), float(levels[-1])
    one = float(levels[rates >= min(1.0, float(rates[-1]))][0])
    narrow = max(SOFTNESS * abs(begin), LEAST * abs(one), 1e-9 * (end - begin))
    below = begin - narrow * torch.linspace(TAIL, 0.0, 10 * TAIL, dtype=torch.float64)
    wide = torch.cat([below[:-1], _denser(begin, end)])
    curve = MeasuredCurve(levels, rates)
    width = (curve.rate(wide) * shortest * (wide - begin)).clamp(min=narrow).unsqueeze(1)
    z = torch.linspace(-TAIL, TAIL, 20 * TAIL + 1, dtype=torch.float64)
    weight = torch.sigmoid(z) * torch.sigmoid(-z)
    seen = wide.unsqueeze(1) + width * z
    # above the last level the curve goes on straight, so that smoothing does not bend it down
    quarter = len(levels) // 4
    last = (rates[-1] - rates[-quarter]) / (levels[-1] - levels[-quarter])
    values = curve.rate(seen) + last * (seen - end).clamp(min=0.0)
    return MeasuredCurve(wide, ((values * weight).sum(1) / weight.sum()).cummax(0).values)
