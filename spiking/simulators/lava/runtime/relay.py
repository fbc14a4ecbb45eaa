"""Layered feedback: what a hidden layer receives, passes on through its gates, and remembers of itself."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from .bundle import Arrays

__all__ = ["Relay"]


class Relay:
    """The feedback compartments of a hidden layer; see ``spiking.feedback.Layered``.

    Args:
        arrays: of which ``gates.LAYER`` is the activity that the gates see, ``(chips, samples, neurons)``,
            ``relay.LAYER.curve`` are the gates, ``(chips or 1, neurons or 1, points)``, ``.low`` and
            ``.scale`` beside it say where their points are, ``.strength`` how much of what is received acts
            as current, ``.kept`` and ``.added`` what of the activity stays in a step and what an emission
            adds;
            ``sum.apical.LAYER`` sums what was received.
        layer: the layer, counted from 0.
        shown: the samples of the present presentation.
    """

    def __init__(self, arrays: Arrays, layer: int, shown: slice) -> None:
        self.seen, self.sum = arrays[f"gates.{layer}"][:, shown], arrays[f"sum.apical.{layer}"][:, shown]
        self.curve, self.low, self.scale, self.strength, self.kept, self.added = (
            arrays[f"relay.{layer}.{name}"] for name in ("curve", "low", "scale", "strength", "kept", "added")
        )
        self.apical: NDArray[Any] = np.zeros(self.seen.shape)

    def refresh(self, received: NDArray[Any]) -> Any:
        """Hold what is received from now on, and return what is passed on."""
        self.apical = received
        last = self.curve.shape[-1] - 1
        place = np.clip((self.seen - self.low) * self.scale, 0, last)
        below = np.minimum(place.astype(np.int64), last - 1)
        curves = np.broadcast_to(self.curve, (self.seen.shape[0], self.seen.shape[2], last + 1))
        first, second = (
            np.take_along_axis(curves, (below + side).transpose(0, 2, 1), axis=2).transpose(0, 2, 1)
            for side in (0, 1)
        )
        return (first + (place - below) * (second - first)) * received

    def current(self) -> Any:
        """Return the current that acts on the neurons."""
        return self.strength * self.apical

    def follow(self, emitted: NDArray[Any], weight: NDArray[Any]) -> None:
        """End a step.

        Args:
            emitted: what the neurons emitted.
            weight: the step's weight in the window of every sample.
        """
        self.seen *= self.kept
        self.seen += self.added * emitted
        if weight.any():
            self.sum += weight[:, None] * self.apical
