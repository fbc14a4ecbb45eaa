r"""Real numbers into registers: decays, weights with a shared exponent, biases with their own.

A layer's potentials are written as whole numbers :math:`S (v - v_{reset})`, one scale S per chip and
layer; a current I reaches the membrane as :math:`g\,S\,I` with the membrane's gain
:math:`g = d_v / 4096`, the leak that is really computed, so that rounding the leak does not move where
the membrane settles.
"""

from __future__ import annotations

import torch
from torch import Tensor

from spiking.simulators.fixed_point.arithmetic import UNITY
from spiking.simulators.fixed_point.ranges import RANGES

__all__ = ["bias_register", "decay_register", "weight_register"]


def decay_register(decay: Tensor, offset: int) -> tuple[Tensor, int]:
    """Return the register for a decay factor, and how many values had to be clipped.

    Args:
        decay: what is left after a step, in [0, 1].
        offset: what the chip adds to the register (1 for the current, 0 for the membrane).
    """
    wanted = torch.round(UNITY * (1.0 - decay)) - offset
    allowed = RANGES["dv"]
    got = wanted.clamp(allowed.low, allowed.high)
    return got, int((got != wanted).sum())


def bias_register(value: Tensor) -> tuple[Tensor, Tensor]:
    """Return mantissa and the smallest exponent that holds each value, of magnitude below 2^19."""
    mantissas, exponents = RANGES["bias_mantissa"], RANGES["bias_exponent"]
    size = (value.abs() / mantissas.high).clamp(min=1.0)
    exponent = torch.ceil(torch.log2(size)).clamp(exponents.low, exponents.high)
    mantissa = torch.round(value / 2.0**exponent)
    return mantissa.clamp(mantissas.low, mantissas.high), exponent


def weight_register(weight: Tensor) -> tuple[Tensor, Tensor]:
    """Return weights of 8 bits and the exponent they share on each chip.

    Args:
        weight: ``(chips, n_pre, n_post)``, in the unit of an accumulated input.

    Returns:
        the registers, even where a chip's weights have both signs, and the exponents ``(chips,)``,
        which may exceed the register's range.
    """
    chips = weight.shape[0]
    top = weight.reshape(chips, -1).amax(1).clamp(min=0.0)
    bottom = (-weight.reshape(chips, -1).amin(1)).clamp(min=0.0)
    mixed = (top > 0) & (bottom > 0)
    step = torch.where(mixed, 2.0, 1.0).double()
    highest = torch.where(mixed, 254.0, 255.0).double()
    lowest = torch.where(mixed, 256.0, 255.0).double()
    size = torch.maximum(top / highest, bottom / lowest)
    exponent = torch.ceil(torch.log2(size.clamp(min=2.0 ** RANGES["weight_exponent"].low)))
    shape = (-1, 1, 1)
    unit = (step * 2.0**exponent).view(shape)
    register = torch.round(weight / unit) * step.view(shape)
    return torch.minimum(torch.maximum(register, -lowest.view(shape)), highest.view(shape)), exponent
