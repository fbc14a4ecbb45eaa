"""Loihi's integer arithmetic on int64 arrays.

Written independently of ``spiking.simulators.fixed_point``, which it is compared with bit for bit.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["decayed", "folded", "interpolated", "saturated", "scaled", "shifted", "wrapped"]

Integers = NDArray[np.int64]

LIMIT = 1 << 23


def shifted(value: Any, bits: int) -> Any:
    """Divide by 2^bits, rounding towards zero."""
    return np.sign(value) * (np.abs(value) >> bits)


def decayed(value: Any, decay: Any) -> Any:
    """Multiply by ``(4096 - decay) / 4096``, rounding towards zero."""
    return shifted(value * (4096 - decay), 12)


def wrapped(value: Any) -> Any:
    """Bring a sum that left the 24-bit range back in, once, as the synaptic current does.

    The range is -2^23 < u <= 2^23, as in Lava's bit-accurate LIF.
    """
    return np.where(value > LIMIT, value - 2 * LIMIT, np.where(value <= -LIMIT, value + 2 * LIMIT, value))


def folded(value: Any) -> Any:
    """Bring a sum of graded messages back into 32 bits, however far it left: -2^31 < a <= 2^31."""
    return (1 << 31) - np.mod((1 << 31) - value, 1 << 32)


def scaled(value: Any, exponent: Any) -> Any:
    """Multiply by 2^exponent, one exponent per chip, rounding down."""
    exponent = exponent[:, None, None]
    return np.where(exponent >= 0, value << np.maximum(exponent, 0), value >> np.maximum(-exponent, 0))


def interpolated(value: Any, table: Any, bits: Any) -> Any:
    """Look values up in each neuron's table, between whose points the line is straight, and beyond its ends.

    Args:
        value: ``(chips, batch, neurons)``.
        table: ``(chips, neurons, points)``; the middle point is for 0.
        bits: the points are 2^bits apart, ``(chips, 1, 1)``.
    """
    middle = table.shape[2] // 2
    place = np.clip(value >> bits, -middle, middle - 1)
    rest = value - (place << bits)
    low, high = (
        np.take_along_axis(table, (place + middle + side).transpose(0, 2, 1), axis=2).transpose(0, 2, 1)
        for side in (0, 1)
    )
    return low + (((high - low) * rest) >> bits)


def saturated(value: Any, bits: int) -> Any:
    """Clip to a signed number of `bits` bits, symmetrically."""
    top = (1 << (bits - 1)) - 1
    return np.clip(value, -top, top)
