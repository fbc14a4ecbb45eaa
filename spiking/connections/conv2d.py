"""Two-dimensional convolutions."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, ClassVar, final

import numpy as np
from torch import Tensor
from torch.nn.functional import conv2d, conv_transpose2d
from torch.nn.grad import conv2d_weight

from root.errors import InputError
from root.ranges import PADDING, SIDE, SIZE, check_ranges
from spiking.connections.base import Axes, Image, Order, Pattern, Synapses, Wiring, image, same_shape

__all__ = ["Conv2d"]


@final
@dataclass(frozen=True)
class Conv2d(Pattern):
    r"""A square kernel over an image, ``(kernel, kernel, channels before, channels)``.

    .. math:: I_{y x o} = \sum_{i j c} W_{i j c o}\, r_{(s y + i - p)(s x + j - p) c}

    Source: Fukushima 1980, doi:10.1007/BF00344251; LeCun et al. 1998, doi:10.1109/5.726791.

    Args:
        channels: of the population behind.
        kernel: side of the kernel.
        stride: s, between places of the kernel.
        padding: p, zeros around the image.
        order: whether the channels are the populations' last axis or, as in PyTorch's arrays, their first.
    """

    channels: Annotated[int, SIZE]
    kernel: Annotated[int, SIDE]
    stride: Annotated[int, SIDE] = 1
    padding: Annotated[int, PADDING] = 0
    order: Order = "channels_last"

    origin: ClassVar[str] = "conv2d"

    def __post_init__(self) -> None:
        check_ranges(self, "connection")
        if self.padding >= self.kernel:
            raise InputError("padding", self.padding, f"less than the kernel, {self.kernel}")

    def reaches(self, pre: Axes) -> Axes | None:
        return self._behind(image(pre, "shape", self.order)).axes(self.order)

    def _behind(self, before: Image) -> Image:
        height, width, _ = before
        sides = [(side + 2 * self.padding - self.kernel) // self.stride + 1 for side in (height, width)]
        if min(sides) < 1:
            padded = f"{height + 2 * self.padding} by {width + 2 * self.padding}"
            raise InputError("kernel", self.kernel, f"a side within the image with its padding, {padded}")
        return Image(sides[0], sides[1], self.channels)

    def between(self, pre: Axes, post: Axes) -> Synapses:
        before = image(pre, "shape", self.order)
        behind = self._behind(before)
        same_shape(behind.axes(self.order), post, "shape")
        return _Convolution(self, before, behind)


@final
class _Convolution(Synapses):
    def __init__(self, pattern: Conv2d, pre: Image, post: Image) -> None:
        self.pattern, self.pre, self.post = pattern, pre, post
        side = pattern.kernel
        super().__init__((side, side, pre[2], post[2]), math.prod(pre), math.prod(post), self._wired)

    @property
    def fan_in(self) -> float:
        return float(math.prod(self.parameters[:3]))

    def _wired(self) -> Wiring:
        height, width, before = self.pre
        rows, columns, channels = self.post
        order = self.pattern.order
        side, stride, padding = self.pattern.kernel, self.pattern.stride, self.pattern.padding
        places = np.indices((rows, columns, side, side), dtype=np.int64)
        y, x, i, j = (part.flatten() for part in places)
        above, left = y * stride + i - padding, x * stride + j - padding
        kept = (above >= 0) & (above < height) & (left >= 0) & (left < width)
        y, x, i, j, above, left = (part[kept] for part in (y, x, i, j, above, left))
        c, o = (part.reshape(1, -1) for part in np.indices((before, channels), dtype=np.int64))
        pre = self.pre.number(above[:, None], left[:, None], c, order)
        post = self.post.number(y[:, None], x[:, None], o, order)
        number = ((i * side + j)[:, None] * before + c) * channels + o
        return Wiring.of(pre.flatten(), post.flatten(), number.flatten())

    def applied(self, weights: Tensor) -> Callable[[Tensor], Tensor]:
        chips, own, kernels = weights.shape[0], self.pattern, self._kernels(weights, weights)

        def convolved(x: Tensor) -> Tensor:
            images = self._images(x, chips, self.pre)
            return self._rows(conv2d(images, kernels, None, own.stride, own.padding, 1, chips), chips)

        return convolved

    def transposed(self, weights: Tensor, y: Tensor) -> Tensor:
        chips, own = weights.shape[0], self.pattern
        kernels, images = self._kernels(weights, y), self._images(y, chips, self.post)
        left = [
            before + 2 * own.padding - own.kernel - (behind - 1) * own.stride
            for before, behind in zip(self.pre[:2], self.post[:2], strict=True)
        ]
        found = conv_transpose2d(images, kernels, None, own.stride, own.padding, left, chips)
        return self._rows(found, chips)

    def correlate(self, x: Tensor, y: Tensor) -> Tensor:
        chips, own = y.shape[0], self.pattern
        images, errors = self._images(x, chips, self.pre), self._images(y, chips, self.post)
        size = (chips * self.post[2], self.pre[2], own.kernel, own.kernel)
        found: Tensor = conv2d_weight(images.to(errors), size, errors, own.stride, own.padding, 1, chips)  # type: ignore[no-untyped-call]
        found = found.view(chips, self.post[2], self.pre[2], own.kernel, own.kernel)
        return found.permute(0, 3, 4, 2, 1).contiguous()

    def _kernels(self, weights: Tensor, like: Tensor) -> Tensor:
        """Return kernels as torch has them, ``(chips * channels, channels before, side, side)``."""
        return weights.permute(0, 4, 3, 1, 2).flatten(0, 1).to(like)

    def _images(self, values: Tensor, chips: int, axes: Image) -> Tensor:
        """Return ``(batch, chips * channels, height, width)`` of ``(chips or 1, batch, n)``."""
        order = self.pattern.order
        images = values.expand(chips, -1, -1).view(chips, values.shape[1], *axes.axes(order))
        channels = (4, 2, 3) if order == "channels_last" else (2, 3, 4)
        return images.permute(1, 0, *channels).flatten(1, 2)

    def _rows(self, images: Tensor, chips: int) -> Tensor:
        """Return ``(chips, batch, n)`` of ``(batch, chips * channels, height, width)``."""
        batch, _, height, width = images.shape
        back = (3, 4, 2) if self.pattern.order == "channels_last" else (2, 3, 4)
        return images.view(batch, chips, -1, height, width).permute(1, 0, *back).reshape(chips, batch, -1)
