"""Effective values by name, for storing and for looking at."""

from __future__ import annotations

from torch import Tensor

from spiking.hardware import Hardware

__all__ = ["flatten"]


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
