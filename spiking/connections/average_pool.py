"""Means over squares of an image."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import partial
from typing import Annotated, ClassVar, final

import numpy as np
import torch
from torch import Tensor

from rate_bridge.errors import InputError
from rate_bridge.ranges import GAIN, SIDE, check_ranges
from spiking.connections.base import Axes, Pattern, Synapses, Wiring, image, same_shape

__all__ = ["AveragePool2d"]


@final
@dataclass(frozen=True)
class AveragePool2d(Pattern):
    r"""Every neuron behind gets g times the mean of a square of `size` by `size`, channel by channel.

    One number is programmed, :math:`g / size^2`, and no rule changes it.

    Args:
        size: side of a square; it divides height and width.
        gain: g.
    """

    size: Annotated[int, SIDE] = 2
    gain: Annotated[float, GAIN] = 1.0

    origin: ClassVar[str] = "average_pool2d"

    def __post_init__(self) -> None:
        check_ranges(self, "connection")

    @property
    def trained(self) -> bool:
        return False

    def reaches(self, pre: Axes) -> Axes | None:
        height, width, channels = image(pre, "shape")
        if height % self.size or width % self.size:
            raise InputError("size", self.size, f"a divisor of the height {height} and the width {width}")
        return height // self.size, width // self.size, channels

    def between(self, pre: Axes, post: Axes) -> Synapses:
        reached = self.reaches(pre)
        assert reached is not None
        same_shape(reached, post, "shape")
        height, width, channels = image(pre, "shape")
        y, x, c = (part.flatten() for part in np.indices((height, width, channels)))
        behind = ((y // self.size) * reached[1] + x // self.size) * channels + c
        before = np.arange(height * width * channels, dtype=np.int64)
        wire = partial(Wiring.of, before, behind.astype(np.int64), np.zeros_like(before))
        return Synapses((1,), len(before), math.prod(reached), wire)

    def initial(self, synapses: Synapses, gain: float, noise: Tensor) -> Tensor:
        return torch.full_like(noise, self.gain / self.size**2)
