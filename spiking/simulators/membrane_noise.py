"""Noise currents for the membranes, drawn chip by chip and a few steps at a time."""

from __future__ import annotations

from typing import final

import numpy as np
import torch
from torch import Tensor

from spiking.hardware import NoiseCurrent

__all__ = ["Tremble"]

CHUNK = 32
"""Steps that are drawn at once."""


@final
class Tremble:
    """The noise current of one kind of membrane, step by step.

    Args:
        noise: its size and its seeds.
        kind: which membranes: neurons and shadows have independent noise.
        batch: number of samples.
        like: a tensor of the wanted type and place.
    """

    def __init__(self, noise: NoiseCurrent, kind: str, batch: int, like: Tensor) -> None:
        self.std = torch.cat(list(noise.std), dim=-1).unsqueeze(1).to(like)
        self.generators = [node.child(kind).generator() for node in noise.nodes]
        self.shape = (batch, self.std.shape[-1])
        self.chunk: list[Tensor] = []

    def step(self) -> Tensor:
        """Return the currents of the next step, ``(chips, batch, neurons)``."""
        if not self.chunk:
            rows = [g.standard_normal((CHUNK, *self.shape), dtype=np.float32) for g in self.generators]
            drawn = torch.from_numpy(np.stack(rows, axis=1)).to(self.std)
            self.chunk = list(drawn.unbind(0))[::-1]
        return self.chunk.pop() * self.std
