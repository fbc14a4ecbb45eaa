"""What the kernel takes: one structure, said once for C and for ctypes."""

from __future__ import annotations

import ctypes
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

__all__ = ["COUNTS", "NUMBERS", "POINTERS", "structure", "text", "values"]

COUNTS = (
    *("chips", "batch", "steps", "columns", "outputs", "inputs", "layers", "connections", "input_words"),
    *("target_chips", "drive_batch", "curve_chips", "every", "points", "spikes_in", "driven"),
    *("weights_total", "relay_total", "ring_words_total", "ring_values_total"),
)
"""Whole numbers."""

NUMBERS = ("trace_keep", "trace_gain", "gate_keep")
"""Numbers of the type that is computed with."""

TABLES = (
    *("layer_of", "first", "size", "group", "spiking", "arrives"),
    *("pre", "wait", "start", "ring", "relay_start"),
)
"""Arrays of int: per word its layer; per layer its first column, size, group and whether it spikes, and where
its connections begin; per connection its presynaptic layer, delay, weights and emissions under way."""

WORDS = ("spikes", "ring_words")
"""Arrays of bits, 32 in a word."""

REALS = (
    *("constants", "shadow_constants", "shadow_bias", "decay", "weights", "input_weights", "feedback"),
    *("readout", "window", "values", "gains", "target", "controlled", "softmax", "drive", "noise"),
    *("relay_weights", "strength", "curves", "low", "scale", "added"),
    *("neurons", "shadows", "synapse", "trace", "integral", "ring_values", "gates"),
    *("emitted", "basal", "effort", "apical"),
    *("r_spikes", "r_voltage", "r_current", "r_control", "r_readout", "r_fed"),
)
"""Arrays of the type that is computed with, in the layouts of `Packing`."""

POINTERS = (*TABLES, *WORDS, *REALS)


def text() -> str:
    """Return the structure as C."""
    lines = [f"    {kind} *{name};" for kind, names in _kinds() for name in names]
    lines += [f"    int {name};" for name in COUNTS]
    lines += [f"    REAL {name};" for name in NUMBERS]
    return "\n".join(["typedef struct {", *lines, "} Arguments;", ""])


def _kinds() -> tuple[tuple[str, tuple[str, ...]], ...]:
    return ("const int", TABLES), ("unsigned", WORDS), ("REAL", REALS)


def structure(dtype: torch.dtype) -> type[ctypes.Structure]:
    """Return the same for ctypes."""
    real = ctypes.c_double if dtype == torch.float64 else ctypes.c_float

    class Arguments(ctypes.Structure):
        _fields_ = [
            *((name, ctypes.c_void_p) for name in POINTERS),
            *((name, ctypes.c_int) for name in COUNTS),
            *((name, real) for name in NUMBERS),
        ]

    return Arguments


def values(
    arrays: Mapping[str, Tensor], numbers: Mapping[str, float], dtype: torch.dtype
) -> ctypes.Structure:
    """Return the structure filled in; arrays that are not there are null.

    Args:
        arrays: tensors by name; the caller keeps them while the kernel runs.
        numbers: counts and numbers by name.
        dtype: the type that is computed with.
    """
    filled: Any = structure(dtype)()
    for name, array in arrays.items():
        assert name in POINTERS, name
        assert array.is_contiguous(), name
        setattr(filled, name, array.data_ptr() or None)
    for name in (*COUNTS, *NUMBERS):
        setattr(filled, name, numbers[name])
    return filled  # type: ignore[no-any-return]
