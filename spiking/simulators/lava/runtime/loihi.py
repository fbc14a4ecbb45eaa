"""Loihi's integer arithmetic on int64 arrays.

Written independently of ``spiking.fixed_point``, which it is compared with bit for bit.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["decayed", "saturated", "shifted", "wrapped"]

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


def saturated(value: Any, bits: int) -> Any:
    """Clip to a signed number of `bits` bits, symmetrically."""
    top = (1 << (bits - 1)) - 1
    return np.clip(value, -top, top)
