"""Membranes that tremble."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Annotated, ClassVar, final

import torch

from mismatch.imperfections.base import Die, Effect, Imperfection, Moment
from root.ranges import GAIN, check_ranges
from spiking.hardware import Hardware, NoiseCurrent

__all__ = ["MembraneNoise"]


@final
@dataclass(frozen=True)
class MembraneNoise(Imperfection):
    r"""White noise current into every membrane, in every step, new for every sample.

    .. math::
        I_{noise} = \frac{s}{\sqrt{dt}}\, n, \qquad \langle n \rangle = 0, \; \langle n^2 \rangle = 1, \qquad
        \mathrm{std}(v) \approx \frac{s}{\sqrt{2 \tau_m}}

    for a membrane that does not spike; the result does not depend on the time step. The distribution of n is
    close to a normal one and what the membrane makes of it is normal (see `Tremble`). Shadow membranes
    have noise of their own.

    Source: Gerstner, Kistler, Naud, Paninski, "Neuronal Dynamics" (2014), ch. 8.1.

    Args:
        density: s, in units of the threshold times √ms: 0.32 makes a membrane of 20 ms tremble by 0.05.
    """

    density: Annotated[float, GAIN]

    order: ClassVar[int] = 86
    needs: ClassVar[frozenset[str]] = frozenset({"membrane_noise"})

    def __post_init__(self) -> None:
        check_ranges(self)

    def on(self, die: Die) -> Effect:
        return _Trembling(self.density / math.sqrt(die.network.dt_ms))


class _Trembling(Effect):
    def __init__(self, std: float) -> None:
        self.std = std

    def read(self, hardware: Hardware, moment: Moment) -> Hardware:
        std = tuple(torch.full_like(values["bias"], self.std) for values in hardware.neurons)
        return replace(hardware, noise=NoiseCurrent(std, tuple(moment.streams.nodes("membrane"))))
