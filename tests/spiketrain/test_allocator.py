"""Freed memory stays with the process, unless the user has set the allocator."""

from __future__ import annotations

import os
import platform
import subprocess
import sys

import pytest

CHILD = """
import resource
import numpy as np
from spiketrain.allocator import keep_freed_memory

def faults():
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt

kept = keep_freed_memory()
np.ones(8_000_000)
before = faults()
for _ in range(5):
    np.ones(8_000_000)
print(kept, faults() - before)
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="only glibc has these options")
@pytest.mark.parametrize(
    ("set_before", "kept"),
    [({}, "True"), ({"MALLOC_PERTURB_": "0"}, "False"), ({"MALLOC_TRIM_THRESHOLD_": "65536"}, "True")],
    ids=["nothing set", "set by the user", "a worker of Dask"],
)
def test_a_large_array_gets_the_memory_of_the_one_before(set_before: dict[str, str], kept: str) -> None:
    """Memory that is new to the process costs a fault at least every 2 MB, of 5 × 64 MB."""
    ours = {k: v for k, v in os.environ.items() if not k.startswith("MALLOC_") and k != "GLIBC_TUNABLES"}
    env = {**ours, **set_before}
    command = [sys.executable, "-c", CHILD]
    done = subprocess.run(command, env=env, capture_output=True, text=True, check=True)
    said, faults = done.stdout.split()
    assert said == kept
    assert (int(faults) < 100) == (kept == "True")
