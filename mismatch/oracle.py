"""The one door to the truth: for upper bounds and for analysis, never for a learning rule."""

from __future__ import annotations

from chips.base import Chips
from mismatch.chip import ChipPopulation
from mismatch.values import flatten
from root.errors import InputError, UnsupportedError
from spiking.hardware import Hardware

__all__ = ["flatten", "reveal"]


def reveal(chips: Chips) -> Hardware:
    """Return what the chips compute with now, but for the noise of single presentations.

    Raises:
        InputError: nothing was programmed yet.
        UnsupportedError: the truth is not here: the chips are of silicon, or in another process.
    """
    if not isinstance(chips, ChipPopulation):
        raise UnsupportedError(
            "chips", chips.card.name, "chips simulated in this process: no others tell the truth"
        )
    if chips._settled is None:
        raise InputError("chips", "unprogrammed chips", "chips that were programmed before")
    return chips._aged(chips._moment(("truth",)))
