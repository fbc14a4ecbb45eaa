"""Arrays that the runtime and the processes it forks see alike."""

from __future__ import annotations

import mmap
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .bundle import Arrays

__all__ = ["share"]


def share(arrays: Mapping[str, NDArray[Any]]) -> Arrays:
    """Copy arrays into anonymous shared memory, which vanishes with the last process that maps it."""
    shared = {}
    for name, array in arrays.items():
        memory = mmap.mmap(-1, max(1, array.nbytes))
        view = np.frombuffer(memory, dtype=array.dtype, count=array.size).reshape(array.shape)
        view[...] = array
        shared[name] = view
    return shared
