"""All-to-all synapses."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar, final

import torch
from torch import Tensor

from spiking.connections.base import Axes, Pattern, Synapses

__all__ = ["Dense"]


@final
@dataclass(frozen=True)
class Dense(Pattern):
    r"""Every neuron before onto every neuron behind: :math:`W` is ``(n_pre, n_post)``."""

    origin: ClassVar[str] = "dense"

    def between(self, pre: Axes, post: Axes) -> Synapses:
        return _Matrix(math.prod(pre), math.prod(post))


@final
class _Matrix(Synapses):
    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__((inputs, outputs), inputs, outputs, None)

    def apply(self, weights: Tensor, x: Tensor) -> Tensor:
        return torch.matmul(x, weights)

    def transposed(self, weights: Tensor, y: Tensor) -> Tensor:
        return torch.matmul(y, weights.transpose(1, 2).to(y))

    def correlate(self, x: Tensor, y: Tensor) -> Tensor:
        return torch.matmul(x.expand(y.shape[0], -1, -1).transpose(1, 2), y)
