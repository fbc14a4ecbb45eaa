"""Convolutions and poolings of a graph that stay what they are: a kind of connection and its numbers."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Any, final

import nir
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from spiking.connections import AveragePool2d, Conv2d, Pattern, Synapses

__all__ = ["Kernel", "kernel_of"]

Array = NDArray[np.float64]


@final
@dataclass(frozen=True)
class Kernel:
    """A convolution or a pooling between two populations, whose axes are (channels, height, width).

    Args:
        pattern: the kind of connection.
        weight: what is programmed, as the kind has it.
        before: axes before it.
        behind: axes behind it.
    """

    pattern: Conv2d | AveragePool2d
    weight: Array
    before: tuple[int, ...]
    behind: tuple[int, ...]

    @property
    def sources(self) -> int:
        """Number of neurons before it."""
        return math.prod(self.before)

    @property
    def synapses(self) -> Synapses:
        """The synapses between the two populations."""
        return self.pattern.between(self.before, self.behind)

    @property
    def matrix(self) -> Array:
        """The same as a matrix, ``(n, n_source)``."""
        weights = torch.from_numpy(self.weight).unsqueeze(0)
        own = self.synapses
        return np.asarray(own.matrix(own.physical(weights))[0].T.numpy())

    def scaled(self, factor: float) -> Kernel | None:
        """Return the same with all weights times a factor; None where there is no such kind."""
        pattern = self.pattern
        if isinstance(pattern, AveragePool2d):
            if factor <= 0:
                return None
            pattern = replace(pattern, gain=pattern.gain * factor)
        return replace(self, pattern=pattern, weight=self.weight * factor)

    def joined(self, gain: Array) -> tuple[Pattern, Tensor] | None:
        """Return the connection and what is programmed where neurons behind have gains; None if it cannot.

        Args:
            gain: ``(n,)``; one number for a channel of a convolution, one for all behind a pooling.
        """
        channels = gain.reshape(self.behind[0], -1)
        if (channels != channels[:, :1]).any():
            return None
        if isinstance(self.pattern, Conv2d):
            return self.pattern, torch.from_numpy(np.ascontiguousarray(self.weight * channels[:, 0]))
        whole = self.scaled(float(gain[0])) if (gain == gain[0]).all() else None
        return None if whole is None else (whole.pattern, torch.from_numpy(whole.weight))


def kernel_of(node: Any, shape: tuple[int, ...]) -> Kernel | None:
    """Return a node as a kind of connection that there is here, or None.

    Kernels are squares, steps and margins the same in both directions, and every channel sees all before it.

    Args:
        node: a convolution or a pooling whose sizes fit.
        shape: of what reaches it, (channels, height, width).
    """
    if isinstance(node, nir.Conv2d):
        return _convolution(node, shape)
    if isinstance(node, nir.SumPool2d | nir.AvgPool2d):
        return _pooling(node, shape)
    return None


def _convolution(node: nir.Conv2d, shape: tuple[int, ...]) -> Kernel | None:
    weight = np.asarray(node.weight, np.float64)
    side = weight.shape[2]
    margin = node.padding.decode() if isinstance(node.padding, bytes) else node.padding
    if isinstance(margin, str):
        stride = _same(node.stride)
        margin = 0 if margin == "valid" else (side - 1) // 2 if side % 2 and stride == 1 else None
    stride, padding = _same(node.stride), None if margin is None else _same(margin)
    fits = _same(node.dilation) == 1 and _same(node.groups) == 1 and side == weight.shape[3]
    if not fits or stride is None or padding is None or padding >= side:
        return None
    pattern = Conv2d(len(weight), side, stride, padding, "channels_first")
    behind = pattern.reaches(shape)
    assert behind is not None
    return Kernel(pattern, np.ascontiguousarray(weight.transpose(2, 3, 1, 0)), shape, behind)


def _pooling(node: nir.SumPool2d | nir.AvgPool2d, shape: tuple[int, ...]) -> Kernel | None:
    side, stride, padding = (_same(getattr(node, key)) for key in ("kernel_size", "stride", "padding"))
    if side is None or stride != side or padding != 0 or any(length % side for length in shape[1:]):
        return None
    gain = 1.0 if isinstance(node, nir.AvgPool2d) else float(side**2)
    pattern = AveragePool2d(side, gain, "channels_first")
    behind = pattern.reaches(shape)
    assert behind is not None
    return Kernel(pattern, np.full(1, gain / side**2), shape, behind)


def _same(value: Any) -> int | None:
    """Return the number that stands for both directions, or None where they differ."""
    numbers = np.ravel(np.asarray(value))
    return int(numbers[0]) if (numbers == numbers[0]).all() else None
