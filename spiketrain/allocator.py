"""How the C library keeps memory: freed arrays stay with the process, for the next step of time."""

from __future__ import annotations

import ctypes
import functools
import os
import platform

__all__ = ["keep_freed_memory", "kept_from_the_start"]

M_TRIM_THRESHOLD, M_MMAP_MAX = -1, -4
"""Parameters of ``mallopt``, see its manual page."""

KEPT_BYTES = 2**31 - 1
"""Free memory at the heap's end above which it goes back to the system: the most that ``mallopt`` takes."""

DASKS_OWN = ("MALLOC_TRIM_THRESHOLD_", "65536")
"""What Dask's nannies set for every worker: no wish of the user's."""


@functools.cache
def keep_freed_memory() -> bool:
    """Ask glibc to keep large blocks that are freed, for the whole process; return whether it does.

    By default arrays above some megabytes are mapped anew from the system at every allocation, and each of
    their pages is cleared at its first touch. A simulation in tensors makes such arrays in every step:
    `benchmarks/allocation.py` shows what that costs. Elsewhere than on glibc, and where the environment
    sets an option of the allocator itself (``MALLOC_…``, ``GLIBC_TUNABLES``), nothing is changed; what Dask
    sets for its workers does not count.
    """
    if not _ours():
        return False
    library = ctypes.CDLL(None)
    if not hasattr(library, "mallopt"):
        return False
    return bool(library.mallopt(M_MMAP_MAX, 0)) and bool(library.mallopt(M_TRIM_THRESHOLD, KEPT_BYTES))


def kept_from_the_start() -> dict[str, str]:
    """Return variables for a process to be started, with which it keeps freed memory in every thread.

    Threads have heaps of their own, of 64 MB at most, which go back to the system as soon as they are empty,
    whatever ``mallopt`` is told later: a process that computes in a thread must have one heap from its start.
    """
    if not _ours():
        return {}
    return {
        "MALLOC_ARENA_MAX": "1",
        "MALLOC_MMAP_MAX_": "0",
        "MALLOC_TRIM_THRESHOLD_": str(KEPT_BYTES),
    }


def _ours() -> bool:
    """Whether there is glibc's allocator and nobody else has set it."""
    chosen = (name for name, value in os.environ.items() if (name, value) != DASKS_OWN)
    return platform.libc_ver()[0] == "glibc" and not any(
        name.startswith("MALLOC_") or name == "GLIBC_TUNABLES" for name in chosen
    )
