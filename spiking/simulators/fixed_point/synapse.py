"""A connection in integers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import final

import torch
from torch import Tensor

__all__ = ["Synapse"]


@final
class Synapse:
    """A connection: weights, exponents, and the spikes under way."""

    def __init__(self, arrays: Mapping[str, Tensor], key: str, history: Tensor | None = None) -> None:
        exponent = arrays[f"{key}.exponent"].view(-1, 1, 1)
        self.exact = bool((exponent >= 0).all())
        # a shift to the left is part of the weights; one to the right rounds the sum down
        self.weight = arrays[key] * 2.0**exponent
        sides = (self.weight.clamp(min=0), (-self.weight).clamp(min=0))
        self.largest = torch.maximum(*(side.sum(1, keepdim=True) for side in sides))
        # sums of spikes that fit into 24 bits are exact in single precision, which is twice as fast
        fits = self.largest * 2.0 ** (-exponent).clamp(min=0) < 2**24
        self.single = self.weight.float() if bool(fits.all()) else None
        self.history = None if history is None else history.clone()

    def product(self, emitted: Tensor, t: int) -> Tensor:
        if self.history is not None:
            slot = t % self.history.shape[2]
            arriving = self.history[:, :, slot].to(emitted, copy=True)
            self.history[:, :, slot] = emitted
            emitted = arriving
        if emitted.dtype == torch.float32 and self.single is not None:
            total = torch.matmul(emitted, self.single)
        else:
            total = torch.matmul(emitted.double(), self.weight)
        return total if self.exact else total.floor_()
