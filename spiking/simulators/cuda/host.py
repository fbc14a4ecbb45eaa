"""The kernel on the processor: the same text for a C++ compiler, run thread by thread, as a check."""

from __future__ import annotations

import ctypes
import hashlib
import os
import shutil
import subprocess
import tempfile
from functools import cache
from pathlib import Path
from typing import final

from root.caches import cache_folder, writing_to
from root.errors import SimulationError, UnsupportedError
from spiking.simulators.cuda.source import Shape, source

__all__ = ["Host", "compiler"]

FLAGS = (
    *("-std=c++17", "-O2", "-ffp-contract=off", "-fno-fast-math"),
    *("-shared", "-fPIC", "-w", "-U_FORTIFY_SOURCE"),
)
"""Products and sums are rounded one by one, as they are for the card."""


def compiler() -> str | None:
    """Return the C++ compiler, or None."""
    names = (os.environ.get("CXX", ""), "g++", "clang++", "c++")
    return next((path for name in names if name and (path := shutil.which(name))), None)


@final
class Host:
    """Runs kernels on the processor.

    Args:
        backwards: run the threads of a block from the last to the first.

    Raises:
        UnsupportedError: there is no C++ compiler.
    """

    def __init__(self, *, backwards: bool = False) -> None:
        if compiler() is None:
            fix = "Debian and Ubuntu: apt install g++; or set CXX to its path."
            raise UnsupportedError("simulator.emulate", True, "a machine with a C++ compiler", fix)
        self.backwards = backwards

    def launch(self, shape: Shape, arguments: ctypes.Structure, blocks: int, shared_bytes: int) -> None:
        """Run a kernel and wait for it; arguments are those of `Card.launch`.

        Raises:
            SimulationError: threads of a block waited at different barriers.
        """
        run = _library(source(shape, host=True)).launch
        wrong = run(ctypes.byref(arguments), blocks, ctypes.c_longlong(shared_bytes), int(self.backwards))
        if wrong:
            raise SimulationError("the kernel of the simulator cuda: threads wait at different barriers")


@cache
def _library(text: str) -> ctypes.CDLL:
    """Compile a text, once on a machine: the library is kept in the user's cache folder."""
    command = [str(compiler()), *FLAGS]
    digest = hashlib.sha256("\n".join([*command, text]).encode()).hexdigest()[:24]
    folder = cache_folder("cuda")
    path = folder / f"{digest}.so"
    if not path.exists():
        with writing_to(folder), tempfile.TemporaryDirectory(dir=folder) as place:
            code, made = Path(place) / "kernel.cpp", Path(place) / "kernel.so"
            code.write_text(text, "utf-8")
            done = subprocess.run(
                [*command, str(code), "-o", str(made)], capture_output=True, text=True, check=False
            )
            if done.returncode:
                raise SimulationError(f"the kernel of the simulator cuda does not compile: {done.stderr}")
            os.replace(made, path)
    return ctypes.CDLL(str(path))
