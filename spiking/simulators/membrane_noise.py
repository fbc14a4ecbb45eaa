"""Noise currents for the membranes, drawn chip by chip and a few steps at a time."""

from __future__ import annotations

import math
from typing import final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from spiking.hardware import NoiseCurrent

__all__ = ["Tremble"]

CHUNK = 32
"""Steps that are drawn at once; even, so that whole words are used up."""

COINS = 32
"""Fair coins whose heads are counted for one increment."""


@final
class Tremble:
    r"""The noise current of one kind of membrane, step by step.

    Increments are standardised binomial numbers, :math:`(B(32, 1/2) - 16) / \sqrt 8`: mean, variance and
    skewness are those of the normal ones, the kurtosis is 2.94, and what a membrane that averages them over
    some steps makes of them has the same distribution (weak schemes with simplified increments: Kloeden &
    Platen, "Numerical Solution of Stochastic Differential Equations", 1992, ch. 14). Counting the ones of
    random words takes a fraction of the time of normal numbers, which would cost more than the neurons.

    Args:
        noise: its size and its seeds.
        kind: which membranes: neurons and shadows have independent noise.
        batch: number of samples.
        like: a tensor of the wanted type and place.
    """

    def __init__(self, noise: NoiseCurrent, kind: str, batch: int, like: Tensor) -> None:
        self.scale = torch.cat(list(noise.std), dim=-1).unsqueeze(1).to(like) / math.sqrt(COINS / 4)
        self.generators = [node.child(kind).generator() for node in noise.nodes]
        self.shape = (batch, self.scale.shape[-1])
        self.chunk: list[Tensor] = []

    def step(self) -> Tensor:
        """Return the currents of the next step, ``(chips, batch, neurons)``."""
        if not self.chunk:
            heads = np.stack([self._heads(generator) for generator in self.generators], axis=1)
            self.chunk = list(torch.from_numpy(heads).to(self.scale.device).unbind(0))[::-1]
        return self.chunk.pop().to(self.scale.dtype).sub_(COINS / 2).mul_(self.scale)

    def _heads(self, generator: np.random.Generator) -> NDArray[np.uint8]:
        """Return what the coins of some steps showed, ``(steps, batch, neurons)``."""
        count = CHUNK * math.prod(self.shape)
        words = generator.bit_generator.random_raw(count // 2)  # 64 bits each: two increments
        return np.bitwise_count(words.view(np.uint32)).reshape(CHUNK, *self.shape)
