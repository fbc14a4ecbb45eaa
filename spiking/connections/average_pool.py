"""Means over squares of an image."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import partial
from typing import Annotated, ClassVar, final

import numpy as np
import torch
from torch import Tensor

from root.errors import InputError
from root.ranges import GAIN, SIDE, check_ranges
from spiking.connections.base import Axes, Image, Order, Pattern, Synapses, Wiring, image, same_shape

__all__ = ["AveragePool2d"]


@final
@dataclass(frozen=True)
class AveragePool2d(Pattern):
    r"""Every neuron behind gets g times the mean of a square of `size` by `size`, channel by channel.

    One number is programmed, :math:`g / size^2`, and no rule changes it.

    Args:
        size: side of a square; it divides height and width.
        gain: g.
        order: whether the channels are the populations' last axis or their first.
    """

    size: Annotated[int, SIDE] = 2
    gain: Annotated[float, GAIN] = 1.0
    order: Order = "channels_last"

    origin: ClassVar[str] = "average_pool2d"

    def __post_init__(self) -> None:
        check_ranges(self, "connection")

    @property
    def trained(self) -> bool:
        return False

    def reaches(self, pre: Axes) -> Axes | None:
        return self._behind(image(pre, "shape", self.order)).axes(self.order)

    def _behind(self, before: Image) -> Image:
        height, width, channels = before
        if height % self.size or width % self.size:
            raise InputError("size", self.size, f"a divisor of the height {height} and the width {width}")
        return Image(height // self.size, width // self.size, channels)

    def between(self, pre: Axes, post: Axes) -> Synapses:
        before = image(pre, "shape", self.order)
        behind = self._behind(before)
        same_shape(behind.axes(self.order), post, "shape")
        y, x, c = (part.flatten() for part in np.indices(before))
        number = before.number(y, x, c, self.order)
        joined = behind.number(y // self.size, x // self.size, c, self.order)
        wire = partial(Wiring.of, number, joined.astype(np.int64), np.zeros_like(number))
        return Synapses((1,), math.prod(before), math.prod(behind), wire)

    def initial(self, synapses: Synapses, gain: float, noise: Tensor) -> Tensor:
        return torch.full_like(noise, self.gain / self.size**2)
