"""Kernels for neurons that are equations: the loop of `lif` with their statements in place of LIF's own."""

from __future__ import annotations

import hashlib
import os
import sys
import tempfile
from functools import cache
from importlib.metadata import version
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from types import ModuleType

from rate_bridge.errors import InputError
from spiking.programs.statements import HOLD, Program
from spiking.programs.to_numba import body

__all__ = ["REAL", "kernel"]

REAL = "real"
"""The first constant: 1 for a neuron, 0 for a column that fills up a word and must not spike."""

MARK = "# ---"

STEP = """
@njit(forceinline=True, error_model="numpy")
def _advance_held(own, synapse, drive, extra, constants, flags):
    for j in range(own.shape[1]):
        current_ = synapse[j] + drive[j] + extra[j]
        {body}
        flags[j] = spikes_ and constants[0, j] > 0


"""


@cache
def kernel(program: Program) -> ModuleType:
    """Return the module of a kernel, with ``STATES``, ``CONSTANTS``, ``simulate`` and ``ready``.

    It is written to the user's cache folder, where numba keeps what it compiles beside it, under a name
    that follows from the loop, the program, the version of numba and its own name, which numba writes down.

    Raises:
        InputError: the cache folder cannot be made.
    """
    text = source(program)
    digest = hashlib.sha256(f"{__package__} {version('numba')}\n{text}".encode()).hexdigest()[:24]
    path = _folder() / f"neuron_{digest}.py"
    if not path.exists():
        _write(path, text)
    name = f"{__package__}.{path.stem}"
    spec = spec_from_file_location(name, path)
    assert spec is not None
    assert spec.loader is not None
    module = module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return module


def source(program: Program) -> str:
    """Return the text of the module for a neuron that spikes; every constant has its row."""
    constants = (REAL, *(name for name in program.reads if name != HOLD), HOLD)
    names = f"STATES = {program.states!r}\nCONSTANTS = {constants!r}\nFREE = -1\n"
    step = STEP.format(body="\n        ".join(body(program, constants)))
    before, _, rest = _template().partition(f"{MARK} the neuron:")
    _, _, between = rest.partition(f"\n{MARK}\n")
    between, _, rest = between.partition(f"{MARK} the neuron's step\n")
    _, _, after = rest.partition(f"\n{MARK}\n")
    return (
        before.replace("import numpy as np\n", "import math\n\nimport numpy as np\n", 1)
        + names
        + between
        + step
        + after
    )


@cache
def _template() -> str:
    return Path(__file__).with_name("lif.py").read_text("utf-8")


def _folder() -> Path:
    home = os.environ.get("XDG_CACHE_HOME")
    base = Path(home) if home else Path.home() / ".cache"
    return base / "spiketrain" / "compiled"


def _write(path: Path, text: str) -> None:
    """Write under a temporary name and rename, so that a half-written module is never read."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile("w", dir=path.parent, delete=False, encoding="utf-8") as file:
            file.write(text)
        os.replace(file.name, path)
    except OSError as error:
        fix = "set XDG_CACHE_HOME to a folder that can be written"
        raise InputError(
            "XDG_CACHE_HOME", str(path.parent), f"a folder for programs ({error})", fix
        ) from error
