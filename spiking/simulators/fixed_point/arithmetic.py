r"""Loihi's integer arithmetic, carried by float64 tensors.

Every intermediate result stays below :math:`2^{53}` (a 24-bit state times a 12-bit factor, a 24-bit
payload times 9-bit weights over up to :math:`2^{20}` synapses), so that doubles hold it exactly and a
processor's fast paths can be used.
"""

from __future__ import annotations

import torch
from torch import Tensor

__all__ = ["LIMIT", "UNITY", "decayed_", "folded", "saturated_", "shifted", "wrapped_"]

LIMIT = 1 << 23
"""u and v are signed numbers of 24 bits."""

UNITY = 4096
"""What a decay factor of 12 bits is a fraction of."""


def shifted(value: Tensor, bits: int) -> Tensor:
    """Divide by ``2**bits``, rounding towards zero."""
    return torch.trunc(value * 2.0**-bits)


def decayed_(value: Tensor, kept: Tensor) -> Tensor:
    """Multiply in place by `kept`, a multiple of 1/4096, rounding towards zero."""
    return value.mul_(kept).trunc_()


def wrapped_(value: Tensor) -> Tensor:
    r"""Bring what left the range :math:`-2^{23} < u \le 2^{23}` back in, in place.

    The end points are those of Lava's bit-accurate LIF.
    """
    value.sub_(torch.where(value > LIMIT, 2.0 * LIMIT, 0.0))
    return value.add_(torch.where(value <= -LIMIT, 2.0 * LIMIT, 0.0))


def folded(value: Tensor) -> Tensor:
    r"""Bring sums of graded messages back to :math:`-2^{31} < a \le 2^{31}`, however far they left it."""
    return 2.0**31 - torch.remainder(2.0**31 - value, 2.0**32)


def saturated_(value: Tensor, bits: int = 24) -> Tensor:
    """Clip in place to a signed number of `bits` bits, the same on both sides."""
    top = float((1 << (bits - 1)) - 1)
    return value.clamp_(-top, top)
