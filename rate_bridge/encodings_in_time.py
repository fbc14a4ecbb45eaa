"""Encodings of what changes: delta modulation, level crossing, and events as they are."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, ClassVar, Literal, final

import numpy as np
import torch
from torch import Tensor

from rate_bridge.encodings import Encoding
from rate_bridge.sequences import ROUNDING, Events, Form
from root.errors import InputError
from root.ranges import COUNT, INNER, check_ranges

__all__ = ["DeltaEncoding", "EventEncoding", "LevelCrossingEncoding"]


@final
@dataclass(frozen=True)
class DeltaEncoding(Encoding):
    r"""Asynchronous delta modulation: a spike up or down whenever the value has moved by δ.

    .. math::
        s^{\pm}_t = [\pm (x_t - \hat x_{t-1}) \ge \delta], \qquad
        \hat x_t = \hat x_{t-1} + \delta\,(s^+_t - s^-_t)

    so that :math:`|x - \hat x| < \delta` as long as x moves by less than δ in a step. Two lines per input:
    first those of all ups, then those of all downs.

    Source: Corradi & Indiveri 2015, doi:10.1109/TBCAS.2015.2479256.

    Args:
        threshold: δ, as a share of the range of the values.
        start: :math:`\hat x_0`: ``zero``, so that the first value is told too, or ``first``, the first value.
    """

    threshold: Annotated[float, INNER] = 0.1
    start: Literal["zero", "first"] = "zero"

    kind: ClassVar[Literal["spikes", "current"]] = "spikes"
    takes: ClassVar[frozenset[Form]] = frozenset({"series"})

    def __post_init__(self) -> None:
        check_ranges(self, "bridge.encoding")
        if self.start not in ("zero", "first"):
            raise InputError("bridge.encoding.start", self.start, "zero, first")

    def lines(self, inputs: int) -> int:
        return 2 * inputs

    def _follow(self, x: Tensor, expected: float, generator: np.random.Generator) -> Tensor:
        known = torch.zeros_like(x[:, 0]) if self.start == "zero" else x[:, 0].clone()
        least = self.threshold * (1.0 - ROUNDING)
        up, down = (torch.zeros(x.shape, dtype=torch.bool, device=x.device) for _ in range(2))
        for t in range(x.shape[1]):
            gap = x[:, t] - known
            up[:, t], down[:, t] = gap >= least, gap <= -least
            known += self.threshold * (up[:, t].to(x) - down[:, t].to(x))
        return torch.cat([up, down], dim=2)


@final
@dataclass(frozen=True)
class LevelCrossingEncoding(Encoding):
    r"""A spike whenever the value crosses one of n levels, on a line of the level and of the direction.

    .. math::
        s^{k+}_t = [x_{t-1} < \ell_k \le x_t], \qquad s^{k-}_t = [x_{t-1} \ge \ell_k > x_t], \qquad
        \ell_k = \frac{k}{n + 1}, \quad k = 1 \dots n

    with :math:`x_{-1} = 0`, so that the lines that have spiked tell where the first value is. There are 2 n
    lines per input: the ups of level 1 of all inputs, those of level 2, …, then the downs.

    Source: Sayiner, Sorensen & Viswanathan 1996, "A level-crossing sampling scheme for A/D conversion",
    doi:10.1109/82.488288.

    Args:
        levels: n.
    """

    levels: Annotated[int, COUNT] = 4

    kind: ClassVar[Literal["spikes", "current"]] = "spikes"
    takes: ClassVar[frozenset[Form]] = frozenset({"series"})

    def __post_init__(self) -> None:
        check_ranges(self, "bridge.encoding")

    def lines(self, inputs: int) -> int:
        return 2 * self.levels * inputs

    def _follow(self, x: Tensor, expected: float, generator: np.random.Generator) -> Tensor:
        level = torch.arange(1, self.levels + 1, dtype=x.dtype, device=x.device) / (self.levels + 1)
        above = x.unsqueeze(2) >= level.view(1, 1, -1, 1)
        before = torch.cat([torch.zeros_like(above[:, :1]), above[:, :-1]], dim=1)
        return torch.cat([above & ~before, ~above & before], dim=2).flatten(2)


@final
@dataclass(frozen=True)
class EventEncoding(Encoding):
    r"""Events as spikes in the step that they fall into: :math:`t = \lfloor t_{event} / dt \rfloor`.

    Several events of one line in one step are one spike. What comes after the presentation is not shown.

    Args:
        group: how many neighbouring inputs share a line; a sample of n inputs has
            :math:`\lceil n / group \rceil` lines.
    """

    group: Annotated[int, COUNT] = 1

    kind: ClassVar[Literal["spikes", "current"]] = "spikes"
    takes: ClassVar[frozenset[Form]] = frozenset({"events"})

    def __post_init__(self) -> None:
        check_ranges(self, "bridge.encoding")

    def lines(self, inputs: int) -> int:
        return -(-inputs // self.group)

    def _bin(self, x: Events, steps: int, dt_ms: float) -> Tensor:
        spikes = torch.zeros(len(x), steps, self.lines(x.inputs), dtype=torch.bool, device=x.units.device)
        when = torch.floor(x.times_ms / dt_ms + ROUNDING).to(torch.int64)
        seen = when < steps
        spikes[x.sample[seen], when[seen], x.units[seen] // self.group] = True
        return spikes
