"""How the C library keeps memory: freed arrays stay with the process, for the next step of time."""

from __future__ import annotations

import ctypes
import functools
import os
import platform

__all__ = ["keep_freed_memory"]

M_TRIM_THRESHOLD, M_MMAP_MAX = -1, -4
"""Parameters of ``mallopt``, see its manual page."""

KEPT_BYTES = 2**31 - 1
"""Free memory at the heap's end above which it goes back to the system: the most that ``mallopt`` takes."""


@functools.cache
def keep_freed_memory() -> bool:
    """Ask glibc to keep large blocks that are freed, for the whole process; return whether it does.

    By default arrays above some megabytes are mapped anew from the system at every allocation, and each of
    their pages is cleared at its first touch. A simulation in tensors makes such arrays in every step:
    `benchmarks/allocation.py` shows what that costs. Elsewhere than on glibc, and where the environment
    sets an option of the allocator itself (``MALLOC_…``, ``GLIBC_TUNABLES``), nothing is changed.
    """
    if platform.libc_ver()[0] != "glibc" or any(
        name.startswith("MALLOC_") or name == "GLIBC_TUNABLES" for name in os.environ
    ):
        return False
    library = ctypes.CDLL(None)
    if not hasattr(library, "mallopt"):
        return False
    return bool(library.mallopt(M_MMAP_MAX, 0)) and bool(library.mallopt(M_TRIM_THRESHOLD, KEPT_BYTES))
