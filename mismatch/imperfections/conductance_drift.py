"""Conductances that relax after they were written."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Annotated, ClassVar, Literal, final

import torch
from torch import Tensor

from mismatch.imperfections.base import Die, Effect, Imperfection, Moment
from root.ranges import AGE_MS, EXPONENT, check_ranges
from spiking.hardware import Hardware

__all__ = ["ConductanceDrift"]


@final
@dataclass(frozen=True)
class ConductanceDrift(Imperfection):
    r"""Weights decay as a power of time, every device with an exponent of its own.

    .. math::
        w(t) = w\, \left(\frac{t}{t_0}\right)^{-\nu_i} \text{ for } t > t_0, \qquad
        \nu_i \sim \mathcal N(\nu, \sigma_\nu), \; \nu_i \ge 0

    t is counted from the device's last write (``since: write``: a new value starts the relaxation anew,
    as in phase-change memory), or from the beginning of the chip (``since: start``: the whole array
    fades, and what is written fades with it). Forward and feedback synapses drift alike.

    Source: Karpov et al. 2007, doi:10.1063/1.2825650 (the power law); Joshi et al. 2020,
    doi:10.1038/s41467-020-16108-9 (spread over devices).

    Args:
        nu: mean exponent.
        nu_std: its standard deviation over devices.
        t0_ms: :math:`t_0`.
        since: ``write`` or ``start``.
    """

    nu: Annotated[float, EXPONENT] = 0.05
    nu_std: Annotated[float, EXPONENT] = 0.01
    t0_ms: Annotated[float, AGE_MS] = 20_000.0
    since: Literal["write", "start"] = "write"

    order: ClassVar[int] = 60

    def __post_init__(self) -> None:
        check_ranges(self)

    @property
    def drifts(self) -> bool:
        return self.nu > 0 or self.nu_std > 0

    @property
    def remembers(self) -> bool:  # type: ignore[override]
        """Whether the chips must remember when every synapse was written."""
        return self.since == "write"

    def on(self, die: Die) -> Effect:
        return _Relaxation(self, die)


class _Relaxation(Effect):
    def __init__(self, drift: ConductanceDrift, die: Die) -> None:
        self.drift = drift
        self.nu = {
            name: (drift.nu + drift.nu_std * die.streams.normal(name, shape=shape)).clamp(min=0.0)
            for name, shape in die.synapses().items()
        }

    def age(self, hardware: Hardware, moment: Moment) -> Hardware:
        forward = [f"forward.{index}" for index in range(1, len(hardware.weights) + 1)]
        feedback = [f"feedback.{index}" for index in range(1, len(hardware.feedback) + 1)]
        return replace(
            hardware,
            weights=self._faded(hardware.weights, forward, moment),
            feedback=self._faded(hardware.feedback, feedback, moment),
        )

    def _faded(self, weights: Sequence[Tensor], names: list[str], moment: Moment) -> tuple[Tensor, ...]:
        return tuple(
            weight * factor if (factor := self._factor(name, moment)) is not None else weight
            for weight, name in zip(weights, names, strict=True)
        )

    def _factor(self, name: str, moment: Moment) -> Tensor | None:
        if self.drift.since == "write":
            age = (moment.now_ms - moment.written_ms[name]) / self.drift.t0_ms
            return torch.exp(-self.nu[name] * age.clamp(min=1.0).log())
        if moment.now_ms <= self.drift.t0_ms:
            return None
        return torch.exp(-self.nu[name] * float(torch.log(torch.tensor(moment.now_ms / self.drift.t0_ms))))
