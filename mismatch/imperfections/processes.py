"""Random processes as functions of time, so that nothing has to be stored between two looks at them."""

from __future__ import annotations

import math
from typing import final

import torch
from torch import Tensor

from mismatch.streams import Streams

__all__ = ["Wandering"]

WAVES = 32
"""Cosines per process: enough for a nearly Gaussian one."""


@final
class Wandering:
    r"""Processes that start from 0 and forget with a time constant.

    .. math::
        x(t) = \sqrt{\tfrac{2}{K}} \sum_{k=1}^{K} \cos(\omega_k t + \varphi_k), \qquad
        y(t) = \tfrac{1}{\sqrt 2}\,(x(t) - x(0))

    With :math:`\omega_k \tau` drawn from the Cauchy distribution and uniform phases, x has the covariance
    :math:`e^{-|t - t'|/\tau}` of an Ornstein-Uhlenbeck process, by Bochner's theorem. y is a random walk for
    :math:`t \ll \tau` and has standard deviation 1 for :math:`t \gg \tau`. Being a function of t, it has no
    state that a checkpoint would have to hold.

    Source: random features of Rahimi & Recht 2007, "Random features for large-scale kernel machines".

    Args:
        streams: where frequencies and phases come from.
        shape: shape of the processes of one chip.
        tau_ms: τ.
    """

    def __init__(self, streams: Streams, shape: tuple[int, ...], tau_ms: float) -> None:
        waves = (*shape, WAVES)
        self.frequency = torch.tan(math.pi * (streams.uniform("frequency", shape=waves) - 0.5)) / tau_ms
        self.phase = 2 * math.pi * streams.uniform("phase", shape=waves)
        self.start = self.phase.cos().sum(-1)

    def at(self, now_ms: float) -> Tensor:
        """Return y at `now_ms`, ``(chips, *shape)``."""
        now = torch.cos(self.frequency * now_ms + self.phase).sum(-1)
        return (now - self.start) / math.sqrt(WAVES)
