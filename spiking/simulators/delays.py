"""Delays that differ from neuron to neuron."""

from __future__ import annotations

from typing import final

from torch import Tensor

__all__ = ["DelayLine"]


@final
class DelayLine:
    """What is under way on one connection, each presynaptic neuron's emissions for a time of its own.

    Args:
        delays: steps from an emission to its arrival, ``(chips, n)``, 1 (this step) or more.
        history: emissions of earlier steps, oldest first, ``(chips, batch, longest - 1, n)``.
    """

    def __init__(self, delays: Tensor, history: Tensor) -> None:
        chips, batch, earlier, size = history.shape
        self.back = (delays - 1).view(1, chips, 1, size).expand(1, chips, batch, size).to(history.device)
        self.ring = history.new_zeros(earlier + 1, chips, batch, size)
        self.ring[1:] = history.permute(2, 0, 1, 3)
        self.now = 0

    def push(self, emitted: Tensor) -> Tensor:
        """Take in what is emitted now and return what arrives now, ``(chips, batch, n)``."""
        length = self.ring.shape[0]
        self.ring[self.now % length] = emitted
        arriving = self.ring.gather(0, (self.now - self.back) % length)[0]
        self.now += 1
        return arriving

    def history(self) -> Tensor:
        """Return what is still under way, as `history` was given."""
        length = self.ring.shape[0]
        oldest_first = self.ring.roll(-(self.now % length), 0)[1:]
        return oldest_first.permute(1, 2, 0, 3)
