"""Built programs, kept in the user's cache folder under a hash of what they depend on."""

from __future__ import annotations

import logging
import os
import platform
import shlex
import shutil
import subprocess
import sys
import tempfile
from functools import cache
from importlib.metadata import version
from pathlib import Path

from filelock import FileLock

from root.caches import cache_folder, writing_to
from root.errors import SimulationError
from spiking.simulators.brian2.shape import Shape

__all__ = ["compiler", "folder", "program"]

logger = logging.getLogger("spiketrain.brian2")

SOURCES = ("build.py", "exchange.h", "functions.py", "layout.py", "model.py", "operators.py")
"""Our own files that a program is made by."""


def folder() -> Path:
    """Return the folder of all built programs."""
    return cache_folder("brian2")


def compiler() -> str | None:
    """Return the path of the C++ compiler (``$CXX``, or g++), or None where there is none."""
    words = shlex.split(os.environ.get("CXX", "")) or ["g++"]
    return shutil.which(words[0])


def program(shape: Shape) -> Path:
    """Return the program for `shape`, building it where there is none yet.

    A build happens in a folder of its own, which is renamed when it is complete; a build that was
    killed leaves nothing that could be taken for a program. One process builds, others wait for it.

    Raises:
        SimulationError: the build failed.
        InputError: the cache folder cannot be made.
    """
    home = folder() / shape.digest(*_surroundings())
    ready = home / "main"
    if ready.exists():
        return ready
    with writing_to(home.parent), FileLock(home.with_suffix(".lock")):
        if not ready.exists():
            for abandoned in home.parent.glob(f"{home.name}.build-*"):
                shutil.rmtree(abandoned, ignore_errors=True)
            _build(shape, home)
    return ready


def _build(shape: Shape, home: Path) -> None:
    logger.info(
        "compiling the Brian2 simulation, once for networks of this structure; it is kept in %s", home.parent
    )
    workshop = Path(tempfile.mkdtemp(prefix=f"{home.name}.build-", dir=home.parent))
    try:
        description = workshop / "shape.json"
        description.write_text(shape.to_json(), "utf-8")
        command = [
            sys.executable,
            "-m",
            f"{__package__}.build",
            str(description),
            str(workshop / "code"),
        ]
        done = subprocess.run(command, capture_output=True, text=True, cwd=workshop, check=False)
        built = workshop / "code" / "main"
        if done.returncode or not built.exists():
            raise SimulationError(
                f"Brian2 could not build its program:\n{(done.stdout + done.stderr)[-4000:]}"
            )
        finished = workshop / "finished"
        finished.mkdir()
        for path in (built, description):
            path.rename(finished / path.name)
        if home.exists():  # without a program in it: never published by this function
            shutil.rmtree(home)
        finished.rename(home)
    finally:
        shutil.rmtree(workshop, ignore_errors=True)


@cache
def _surroundings() -> tuple[str, ...]:
    """Return what else the program depends on: our code, versions, compiler and processor."""
    here = Path(__file__).parent
    sources = (here.joinpath(name).read_text("utf-8") for name in SOURCES)
    versions = [f"{name}={version(name)}" for name in ("brian2", "numpy", "sympy")]
    return (*sources, *versions, compiler() or "", _compiler_version(), platform.machine(), _processor())


def _compiler_version() -> str:
    path = compiler()
    if path is None:
        return ""
    return subprocess.run([path, "--version"], capture_output=True, text=True, check=False).stdout


def _processor() -> str:
    """Return the processor's instruction sets: a home folder may be shared by different machines."""
    try:
        lines = Path("/proc/cpuinfo").read_text("utf-8").splitlines()
    except OSError:
        return platform.processor()
    return next((line for line in lines if line.startswith(("flags", "Features"))), "")
