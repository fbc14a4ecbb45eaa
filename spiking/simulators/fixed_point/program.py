"""A network in Loihi's integers, and the way back to real numbers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from spiking.simulators.fixed_point.report import Rounding

__all__ = ["INTEGRAL_BITS", "PAYLOAD_BITS", "RATE_BITS", "LayerScale", "Program"]

RATE_BITS = 16
"""Binary digits after the point of the read-out trace and the control signal."""

INTEGRAL_BITS = 24
"""The same for the controller's integral, which grows in small steps."""

PAYLOAD_BITS = 12
"""The same for input values that are sent as graded spikes."""


@dataclass(frozen=True)
class LayerScale:
    """How a layer's integers are read.

    Args:
        scale: S, ``(chips, 1, 1)``: whole numbers per unit of the potential.
        gain: g, ``(chips, 1, n)``: the part of a current that a step adds to the membrane.
        reset: the potential that is written as 0, ``(chips, 1, n)``.
        exponent: the binary exponent of the synaptic current, ``(chips, 1, 1)``, if it has one.
    """

    scale: Tensor
    gain: Tensor
    reset: Tensor
    exponent: Tensor | None = None

    def potential(self, integer: Tensor) -> Tensor:
        """Return potentials."""
        return integer / self.scale + self.reset

    def current(self, integer: Tensor) -> Tensor:
        """Return currents."""
        scale = self.scale * self.gain
        return integer / scale if self.exponent is None else integer * 2.0**self.exponent / scale

    def over_time(self) -> LayerScale:
        """Return the same for integers with an axis for time before that for neurons."""
        late = None if self.exponent is None else self.exponent.unsqueeze(2)
        return LayerScale(self.scale.unsqueeze(2), self.gain.unsqueeze(2), self.reset.unsqueeze(2), late)


@dataclass(frozen=True)
class Program:
    """What is loaded into the chips for one block.

    Args:
        arrays: whole numbers by the names that ``runtime.processes`` (and `emulate`) use.
        layers: how to read them.
        shadows: the same for the shadows, or empty.
        roundings: what quantisation changed.
        deltas: whether messages are changes of activities, with `PAYLOAD_BITS`.
    """

    arrays: Mapping[str, Tensor]
    layers: tuple[LayerScale, ...]
    shadows: tuple[LayerScale, ...]
    roundings: tuple[Rounding, ...]
    deltas: bool = False

    @property
    def emission(self) -> float:
        """What a whole number of an emission is worth."""
        return 2.0**-PAYLOAD_BITS if self.deltas else 1.0


def rate(integer: Tensor) -> Tensor:
    """Read a trace or a control signal."""
    return integer * 2.0**-RATE_BITS


def whole(value: Tensor, factor: Tensor | float) -> Tensor:
    """Write a real number as a whole one."""
    return torch.round(value * factor)
