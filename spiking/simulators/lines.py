"""What carries emissions along a connection, step by step: from the input, or from neurons."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import final

import torch
from torch import Tensor

from spiking.simulators.delays import DelayLine

__all__ = ["InputLine", "Line", "NeuronLine", "StillLine"]

CHUNK_ELEMENTS = 16_000_000
"""Elements of the precomputed input current that are held at once."""


class Line(ABC):
    """A connection at work."""

    @abstractmethod
    def current(self, t: int, weight: Tensor) -> Tensor:
        """Return what arrives in step t through `weight`, ``(chips, batch, n_post)``.

        Args:
            t: the step; each is asked for once, in order.
            weight: ``(chips, n_pre, n_post)``.
        """

    @abstractmethod
    def history(self) -> Tensor:
        """Return what is under way, oldest first, ``(chips, batch, delay_steps - 1, n_pre)``."""


@final
class StillLine(Line):
    """A connection whose currents act in their own step and are not carried.

    Args:
        start: what was under way.
    """

    def __init__(self, start: Tensor) -> None:
        self._start = start

    def current(self, t: int, weight: Tensor) -> Tensor:
        return weight.new_zeros(())

    def history(self) -> Tensor:
        return self._start


@final
class NeuronLine(Line):
    """Emissions of neurons.

    Args:
        emitted: what they emit in a step, ``(chips, batch, n_pre)``, overwritten in every step.
        start: what is under way.
        delays: delays of single neurons, or None.
    """

    def __init__(self, emitted: Tensor, start: Tensor, delays: DelayLine | None) -> None:
        self._emitted, self._delays, self._start = emitted, delays, start
        self._under_way = list(start.unbind(2))

    def current(self, t: int, weight: Tensor) -> Tensor:
        arriving = self._emitted
        if self._delays is not None:
            arriving = self._delays.push(arriving)
        elif self._under_way:
            self._under_way.append(arriving.clone())
            arriving = self._under_way.pop(0)
        return torch.matmul(arriving, weight)

    def history(self) -> Tensor:
        if self._delays is not None:
            return self._delays.history()
        if not self._under_way:
            return self._emitted.new_zeros(*self._emitted.shape[:2], 0, self._emitted.shape[2])
        return torch.stack(self._under_way, dim=2)


@final
class InputLine(Line):
    """Spikes of the input, the same for all chips: multiplied with the weights a stretch of steps at a time.

    Args:
        spikes: ``(batch, steps, inputs)``.
        start: what is under way, ``(chips or 1, batch, delay_steps - 1, inputs)``.
        delays: delays of single inputs, or None.
        chips: number of chips.
        to: brings a tensor to the device and the type that are computed with.
        changing: whether the weights are others in every step.
    """

    def __init__(
        self,
        spikes: Tensor,
        start: Tensor,
        delays: DelayLine | None,
        *,
        chips: int,
        to: Callable[[Tensor], Tensor],
        changing: bool,
    ) -> None:
        self._spikes, self._start, self._delays = spikes, start, delays
        self._chips, self._to, self._changing = chips, to, changing
        self._wait = start.shape[2]
        self._first, self._chunk = 0, torch.empty(0, 0)

    def current(self, t: int, weight: Tensor) -> Tensor:
        if self._delays is not None:
            return torch.matmul(self._delays.push(self._to(self._spikes[:, t])), weight)
        if t >= self._first + self._chunk.shape[1]:
            batch, steps, _ = self._spikes.shape
            per_step = self._chips * batch * weight.shape[2]
            length = 1 if self._changing else max(1, min(steps - t, CHUNK_ELEMENTS // per_step))
            spikes = self._arriving(t, length)
            flat = self._to(spikes.transpose(0, 1).reshape(-1, spikes.shape[-1]))
            product = torch.matmul(flat, weight)
            self._first, self._chunk = t, product.view(self._chips, length, batch, -1)
        return self._chunk[:, t - self._first]

    def _arriving(self, t: int, length: int) -> Tensor:
        """Return the spikes that arrive in `length` steps from t on, ``(batch, length, inputs)``."""
        part = self._spikes[:, max(0, t - self._wait) : max(0, t + length - self._wait)]
        missing = length - part.shape[1]
        if missing == 0:
            return part
        return torch.cat([self._start[0, :, t : t + missing].to(part), part], dim=1)

    def history(self) -> Tensor:
        if self._delays is not None:
            return self._delays.history()
        seen = torch.cat([self._to(self._start[0]), self._to(self._spikes)], dim=1)
        late = seen[:, seen.shape[1] - self._wait :]
        return late.unsqueeze(0).expand(self._chips, -1, -1, -1)
