"""The one door to the truth: for upper bounds and for analysis, never for a learning rule."""

from __future__ import annotations

from torch import Tensor

from mismatch.chip import ChipPopulation
from rate_bridge.errors import InputError
from spiking.hardware import Hardware

__all__ = ["flatten", "reveal"]


def reveal(chips: ChipPopulation) -> Hardware:
    """Return what the chips compute with now, but for the noise of single presentations.

    Raises:
        InputError: nothing was programmed yet.
    """
    if chips._settled is None:
        raise InputError("chips", "unprogrammed chips", "chips that were programmed before")
    return chips._aged(chips._moment(("truth",)))


def flatten(hardware: Hardware) -> dict[str, Tensor]:
    """Return every effective value under a name of its own, for storing."""
    named: dict[str, Tensor] = {}
    for place, layers in (("neuron", hardware.neurons), ("shadow", hardware.shadows)):
        for index, values in enumerate(layers, start=1):
            named |= {f"{place}.{index}.{name}": value for name, value in values.items()}
    for place, tensors in (("weight", hardware.weights), ("feedback", hardware.feedback)):
        named |= {f"{place}.{index}": value for index, value in enumerate(tensors, start=1)}
    named |= {f"delay.{index}": value for index, value in enumerate(hardware.delays, start=1)}
    return named | {f"readout.{name}": value for name, value in hardware.readout.items()}
