"""The effective parameters and weights that a simulator computes with: the truth about the chips."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from spiking.neurons.base import Values

__all__ = ["Hardware"]


@dataclass(frozen=True)
class Hardware:
    """Everything a simulator needs to know about a population of chips.

    Learning rules never see one.

    Args:
        neurons: per layer 1 to L, parameter field to value, ``(chips, n)``; ``bias`` is the
            programmed bias and its deviation.
        shadows: the same for the basal shadow membranes.
        weights: effective forward weights per connection, ``(chips, n_pre, n_post)``.
        feedback: effective feedback weights per layer, ``(chips, n_out, n)``, or empty.
        readout: gains and offsets of the read-out and the controller, each ``(chips, n_out)``:
            the controller sees ``gain * trace + offset`` and works with ``kp`` and ``ki`` times its
            nominal gains.
    """

    neurons: tuple[Values, ...]
    shadows: tuple[Values, ...]
    weights: tuple[Tensor, ...]
    feedback: tuple[Tensor, ...]
    readout: Values

    @property
    def chips(self) -> int:
        """Number of chips."""
        return int(self.weights[0].shape[0])
