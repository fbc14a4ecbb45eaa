"""What the figures of a benchmark depend on: the processor, its caches, its memory, its arithmetic.

    OMP_NUM_THREADS=1 python benchmarks/machine.py

Every benchmark that prints a ratio prints this first. Measured on one thread, the best of a few tries, in
the thread's own time: what a core does, whatever else runs on the machine, but for the caches they share.
"""

from __future__ import annotations

import os
import platform
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch

__all__ = ["machine"]

TRIES = 5

CPU = Path("/sys/devices/system/cpu/cpu0/cache")


def machine() -> str:
    """Return one line: processor, cores, caches, bandwidth of a copy, speed of a matrix product, load."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    single, double = (_gflops(kind) for kind in (torch.float32, torch.float64))
    torch.set_num_threads(threads)
    return (
        f"{_processor()}, {len(os.sched_getaffinity(0))} cores; {_caches()}; memory {_bandwidth():.1f} GB/s;"
        f" matrix product {single:.0f} GFLOP/s in float32, {double:.0f} in float64, on one thread;"
        f" load {os.getloadavg()[0]:.1f}"
    )


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        lines = []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()


def _caches() -> str:
    """Return the sizes that the kernel tells for the first core, instructions left out."""
    found = []
    for place in sorted(CPU.glob("index*")):
        level, kind, size = ((place / name).read_text().strip() for name in ("level", "type", "size"))
        if kind != "Instruction":
            found.append(f"L{level} {size}")
    return ", ".join(found) or "caches unknown"


def _best(work: Callable[[], object]) -> float:
    work()
    seconds = []
    for _ in range(TRIES):
        began = time.thread_time()
        work()
        seconds.append(time.thread_time() - began)
    return min(seconds)


def _bandwidth() -> float:
    """Return GB/s of a copy that no cache holds, what is read and what is written counted."""
    source = np.ones(16_000_000)
    to = np.empty_like(source)
    return 2 * source.nbytes / _best(lambda: np.copyto(to, source)) / 1e9


def _gflops(kind: torch.dtype) -> float:
    square = torch.rand(1024, 1024, dtype=kind)
    out = torch.empty_like(square)
    return 2 * 1024**3 / _best(lambda: torch.mm(square, square, out=out)) / 1e9


if __name__ == "__main__":
    sys.stdout.write(machine() + "\n")
