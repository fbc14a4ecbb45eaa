"""What Loihi's registers hold; what does not fit is refused by name, never silently wrapped.

Source: Davies et al. 2018, doi:10.1109/MM.2018.112130359 (synapses with six bits of delay); the arithmetic
is that of Lava's bit-accurate models.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from root.errors import InputError

__all__ = ["RANGES", "Range", "check"]


@dataclass(frozen=True)
class Range:
    """Whole numbers from `low` to `high`.

    Args:
        low: the smallest.
        high: the largest.
        meaning: what the register holds.
    """

    low: int
    high: int
    meaning: str


RANGES: Mapping[str, Range] = {
    "du": Range(0, 4095, "decay of the synaptic current; it loses (du + 1) / 4096 per step"),
    "dv": Range(0, 4095, "decay of the membrane; it loses dv / 4096 per step"),
    "vth": Range(0, 131071, "threshold in units of 64"),
    "bias_mantissa": Range(-4096, 4095, "mantissa of the bias"),
    "bias_exponent": Range(0, 7, "exponent of the bias"),
    "weight": Range(-256, 255, "synaptic weight: 8 bits, even where signs are mixed"),
    "weight_exponent": Range(-8, 7, "exponent that the weights of a connection share"),
    "refractory_steps": Range(0, 63, "steps that the membrane is held"),
    "delay_steps": Range(0, 63, "steps that a spike waits, beyond the one that every message takes: 6 bits"),
    "u": Range(-(1 << 23) + 1, 1 << 23, "synaptic current"),
    "v": Range(-(1 << 23) + 1, (1 << 23) - 1, "membrane potential"),
    "payload": Range(-(1 << 23) + 1, (1 << 23) - 1, "payload of a graded spike"),
}
"""Loihi 1 and 2 with 24-bit states; source: lava-nc 0.10.0, the bit-accurate LIF and Dense."""


def check(name: str, values: Tensor, where: str) -> None:
    """Raise `InputError` where a value does not fit the register `name`.

    Args:
        name: key of `RANGES`.
        values: what is to be written.
        where: whose register it is, as ``"layer 1"``.
    """
    allowed = RANGES[name]
    wrong = (values != torch.round(values)) | (values < allowed.low) | (values > allowed.high)
    if bool(wrong.any()):
        index = tuple(wrong.nonzero()[0].tolist())
        place = f"{where}.{name}[{', '.join(map(str, index))}]"
        words = f"whole numbers from {allowed.low} to {allowed.high} ({allowed.meaning})"
        raise InputError(place, values[index].item(), words)
