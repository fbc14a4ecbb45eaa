"""Devices that are programmed by increments, unevenly."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Annotated, ClassVar, final

from torch import Tensor

from mismatch.imperfections.base import (
    Die,
    Effect,
    Imperfection,
    Write,
)
from root.ranges import ASYMMETRY, FACTOR, FRACTION, GAIN, SPREAD, check_ranges

__all__ = ["Updates"]


@final
@dataclass(frozen=True)
class Updates(Imperfection):
    r"""Asymmetric, nonlinear, noisy increments instead of values.

    What is applied to a device is the *change* of what is asked for,
    :math:`\Delta = w^{asked}_t - w^{asked}_{t-1}`, in pulses:

    .. math::
        w \leftarrow w + \Delta\, k_i \left(1 + a_i \operatorname{sgn} \Delta\right)
            \left(1 - \gamma \operatorname{sgn}(\Delta)\, \frac{w}{w_{max}}\right)
            + \eta \sqrt{|\Delta|\, \delta}\; n, \qquad |w| \le w_{max}

    with the device's own step :math:`k_i = e^{s z_i}` and asymmetry
    :math:`a_i = a + a_s z'_i` (z, z', n standard normal; n is new at every write). γ = 1 are soft bounds:
    pulses lose their effect towards the end of the range. Errors add up, and the rule is not told: what it
    asked for and what is stored go apart. The first programming is exact, as if verified.

    Source: the soft-bounds device of Rasch et al. 2021, arXiv 2104.02184 (IBM analog hardware
    acceleration kit), with the noise of a pulse train added up to a single number per write, which is ours.

    Args:
        range: :math:`w_{max}`, in units of weights.
        spread: s, standard deviation of the logarithm of the step size over devices.
        asymmetry: a; 0.1 means that upward steps are 10 % larger and downward ones 10 % smaller.
        asymmetry_spread: :math:`a_s`.
        nonlinearity: γ in [0, 1].
        step: δ, the change one pulse makes, in units of weights.
        cycle_std: η, standard deviation of one pulse's effect over its mean.
    """

    range: Annotated[float, GAIN]
    spread: Annotated[float, SPREAD] = 0.0
    asymmetry: Annotated[float, ASYMMETRY] = 0.0
    asymmetry_spread: Annotated[float, SPREAD] = 0.0
    nonlinearity: Annotated[float, FRACTION] = 0.0
    step: Annotated[float, FACTOR] = 0.0
    cycle_std: Annotated[float, SPREAD] = 0.0

    order: ClassVar[int] = 10
    remembers: ClassVar[bool] = True

    def __post_init__(self) -> None:
        check_ranges(self)

    def on(self, die: Die) -> Effect:
        return _Increments(self, die)


class _Increments(Effect):
    def __init__(self, updates: Updates, die: Die) -> None:
        self.settings = updates
        self.steps: dict[str, Tensor] = {}
        self.asymmetry: dict[str, Tensor] = {}
        for name, shape in die.synapses().items():
            if updates.spread:
                self.steps[name] = (updates.spread * die.streams.normal("step", name, shape=shape)).exp()
            if updates.asymmetry_spread:
                scatter = updates.asymmetry_spread * die.streams.normal("asymmetry", name, shape=shape)
                self.asymmetry[name] = (updates.asymmetry + scatter).clamp(-1.0, 1.0)

    def write(self, write: Write) -> Write:
        settings = self.settings
        if write.stored is None or write.asked_before is None:
            return replace(write, value=write.value.clamp(-settings.range, settings.range))
        change = write.asked - write.asked_before
        sign = change.sign()
        effect = change * (1 + self.asymmetry.get(write.name, settings.asymmetry) * sign)
        if write.name in self.steps:
            effect = effect * self.steps[write.name]
        if settings.nonlinearity:
            effect = effect * (1 - settings.nonlinearity * sign * write.stored / settings.range)
        if settings.cycle_std and settings.step:
            noise = write.streams.normal("cycle", shape=tuple(change.shape[1:]))
            effect = effect + settings.cycle_std * (change.abs() * settings.step).sqrt() * noise
        return replace(write, value=(write.stored + effect).clamp(-settings.range, settings.range))
