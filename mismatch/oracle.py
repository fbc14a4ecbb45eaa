"""The one door to the truth: for upper bounds and for analysis, never for a learning rule."""

from __future__ import annotations

from torch import Tensor

from mismatch.chip import ChipPopulation
from rate_bridge.errors import InputError
from spiking.hardware import Hardware

__all__ = ["flatten", "reveal"]


def reveal(chips: ChipPopulation) -> Hardware:
    """Return what the chips compute with.

    Raises:
        InputError: nothing was programmed yet.
    """
    hardware = chips._hardware
    if hardware is None:
        raise InputError("chips", "unprogrammed chips", "chips that were programmed before")
    return hardware


def flatten(hardware: Hardware) -> dict[str, Tensor]:
    """Return every effective value under a name of its own, for storing."""
    named: dict[str, Tensor] = {}
    for place, layers in (("neuron", hardware.neurons), ("shadow", hardware.shadows)):
        for index, values in enumerate(layers, start=1):
            named |= {f"{place}.{index}.{name}": value for name, value in values.items()}
    for place, tensors in (("weight", hardware.weights), ("feedback", hardware.feedback)):
        named |= {f"{place}.{index}": value for index, value in enumerate(tensors, start=1)}
    return named | {f"readout.{name}": value for name, value in hardware.readout.items()}
