"""All-to-all synapses within a population."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import partial
from typing import ClassVar, final

import numpy as np

from root.errors import InputError
from spiking.connections.base import Axes, Pattern, Synapses, Wiring
from spiking.connections.dense import Dense

__all__ = ["Recurrent"]


@final
@dataclass(frozen=True)
class Recurrent(Pattern):
    """Every neuron of a population onto every other, and onto itself if asked for.

    Args:
        self_connections: whether neurons have synapses onto themselves.
    """

    self_connections: bool = False

    origin: ClassVar[str] = "recurrent"

    def reaches(self, pre: Axes) -> Axes | None:
        return pre

    def between(self, pre: Axes, post: Axes) -> Synapses:
        size = math.prod(pre)
        if size != math.prod(post):
            allowed = f"as many neurons on both sides, {size}"
            raise InputError("network.connections", math.prod(post), allowed, "Join a population to itself.")
        if self.self_connections:
            return Dense().between(pre, post)
        before, behind = (part.flatten() for part in np.divmod(np.arange(size * size), max(size, 1)))
        kept = np.flatnonzero(before != behind)
        number = np.arange(len(kept), dtype=np.int64)
        return Synapses((len(kept),), size, size, partial(Wiring.of, before[kept], behind[kept], number))
