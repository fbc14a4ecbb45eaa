"""Sigma-delta messages: a neuron sends how its activity changed, its targets add up what they are sent."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from .bundle import Arrays

__all__ = ["Deltas"]


class Deltas:
    r"""What a layer has told the others.

    With the activity y and what was told of it, :math:`\hat y`, a message is

    .. math:: m = y - \hat y \text{ where } |y - \hat y| > \theta, \text{ else } 0, \qquad
        \hat y \leftarrow \hat y + m

    so that nobody's knowledge of y is ever off by more than θ.

    Args:
        arrays: of which ``sent.LAYER`` is :math:`\hat y`, ``message_threshold.LAYER`` is θ, and
            ``messages.LAYER`` counts messages, ``(chips or 1, samples)``.
        layer: 0 for the input.
        shown: the samples of the present presentation.
    """

    def __init__(self, arrays: Arrays, layer: int, shown: slice) -> None:
        self.sent = arrays[f"sent.{layer}"][:, shown]
        self.messages = arrays[f"messages.{layer}"][:, shown]
        self.threshold = arrays[f"message_threshold.{layer}"]

    def __call__(self, activity: NDArray[Any]) -> NDArray[Any]:
        """Return the messages of a step, of the activity's shape."""
        change = activity - self.sent
        moved = np.abs(change) > self.threshold
        np.copyto(self.sent, activity, where=moved)  # not a sum: rounding must not ask for messages
        self.messages += np.count_nonzero(moved, axis=-1)
        return np.where(moved, change, 0)
