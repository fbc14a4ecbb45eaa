"""One synapse for every neuron."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import partial
from typing import ClassVar, final

import numpy as np

from spiking.connections.base import Axes, Pattern, Synapses, Wiring, same_shape

__all__ = ["OneToOne"]


@final
@dataclass(frozen=True)
class OneToOne(Pattern):
    """Neuron i onto neuron i: w is ``(n,)``."""

    origin: ClassVar[str] = "one_to_one"

    def reaches(self, pre: Axes) -> Axes | None:
        return pre

    def between(self, pre: Axes, post: Axes) -> Synapses:
        same_shape(pre, post, "shape")
        size = math.prod(pre)
        each = np.arange(size, dtype=np.int64)
        return Synapses((size,), size, size, partial(Wiring.of, each, each, each))
