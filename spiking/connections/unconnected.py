"""No synapses at all."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import partial
from typing import ClassVar, final

import torch
from torch import Tensor

from spiking.connections.base import Axes, Pattern, Synapses, Wiring

__all__ = ["Unconnected"]


@final
@dataclass(frozen=True)
class Unconnected(Pattern):
    """Populations that stand one after the other and are not joined: w is empty.

    A network names its populations in the order of computation, each joined to the next; two that work side
    by side are in that order all the same, with this between them.
    """

    origin: ClassVar[str] = "none"

    @property
    def trained(self) -> bool:
        return False

    def between(self, pre: Axes, post: Axes) -> Synapses:
        nothing = torch.zeros(0, dtype=torch.int64)
        wire = partial(Wiring, nothing, nothing, nothing)
        return _Nothing((0,), math.prod(pre), math.prod(post), wire)

    def initial(self, synapses: Synapses, gain: float, noise: Tensor) -> Tensor:
        return noise


@final
class _Nothing(Synapses):
    @property
    def fan_in(self) -> float:
        return 1.0  # nobody has any: there is nothing to scale

    def power(self, x: Tensor) -> Tensor:
        return x.new_zeros(x.shape[:2])
