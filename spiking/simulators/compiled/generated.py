"""Kernels: the loop, its parts and a neuron's step, written into one module.

They are compiled as one text because numba's cache on disk looks at the time stamp of the file of the
outermost function only.
"""

from __future__ import annotations

import ast
import hashlib
import os
import sys
import tempfile
from collections.abc import Iterator
from functools import cache
from importlib.metadata import version
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from types import ModuleType

from root.errors import InputError
from spiking.programs.statements import HOLD, Program
from spiking.programs.to_numba import body
from spiking.simulators.flat.constants import REAL

__all__ = ["kernel", "mixed_kernel"]

MARK = "# ---"

PIECES = ("parts", "feeding", "lif", "loop")
"""The files that a kernel is made of, in the order in which they call each other."""

MIXED_PIECES = ("parts", "rows", "mixed")
"""Those of the kernel for groups of neurons."""

STEP = """
@njit(forceinline=True, error_model="numpy")
def advance_held(own, synapse, drive, extra, constants, flags):
    for j in range(own.shape[1]):
        current_ = synapse[j] + drive[j] + extra[j]
        {body}
        flags[j] = spikes_ and constants[0, j] > 0
"""

GROUP = """    {test} group == {number}:
        for j in range(first, last):
            current_ = current[j]
            {body}
            emitted[j] = {emitted}
"""


@cache
def kernel(program: Program | None) -> ModuleType:
    """Return the module of a kernel, with ``STATES``, ``CONSTANTS`` and ``compiled``.

    It is written to the user's cache folder, where numba keeps what it compiles beside it, under a name
    that follows from its text, the version of numba and its own name, which numba writes down.

    Args:
        program: of a neuron that spikes; None for LIF's step, by hand.

    Raises:
        InputError: the cache folder cannot be made.
    """
    return _module(source(program))


@cache
def mixed_kernel(programs: tuple[Program, ...]) -> ModuleType:
    """Return the module of the kernel in `mixed` for groups of neurons, with ``compiled``.

    Args:
        programs: of every group; its states and constants have the rows of `Program.states` and
            `Program.reads`.

    Raises:
        InputError: the cache folder cannot be made.
    """
    return _module(mixed_source(programs))


def _module(text: str) -> ModuleType:
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


def source(program: Program | None) -> str:
    """Return the text of a module: the loop, its parts, and a step.

    Args:
        program: of a neuron that spikes, every constant of which has its row; None for LIF's, by hand.
    """
    lif = _text("lif") if program is None else _with_step(_text("lif"), program)
    return _joined([lif if name == "lif" else _text(name) for name in PIECES])


def mixed_source(programs: tuple[Program, ...]) -> str:
    """Return the text of the module for groups of neurons."""
    steps = ['@njit(forceinline=True, error_model="numpy")']
    steps.append("def advance(group, own, constants, current, emitted, first, last):")
    for number, program in enumerate(programs):
        lines = body(program, program.reads)
        steps.append(
            GROUP.format(
                test="elif" if number else "if",
                number=number,
                body="\n            ".join(lines),
                emitted="(1.0 if spikes_ else 0.0)" if program.spike else "emission_",
            )
        )
    before, _, rest = _text("mixed").partition(f"{MARK} the neurons' steps\n")
    _, _, after = rest.partition(f"\n{MARK}\n")
    own = "\n".join((before, *steps, "", after))
    return _joined([own if name == "mixed" else _text(name) for name in MIXED_PIECES])


def _with_step(text: str, program: Program) -> str:
    """Put a program's step between the marks where LIF's stands."""
    constants = (REAL, *(name for name in program.reads if name != HOLD), HOLD)
    names = f"STATES = {program.states!r}\nCONSTANTS = {constants!r}\nFREE = -1"
    step = STEP.format(body="\n        ".join(body(program, constants)))
    before, _, rest = text.partition(f"{MARK} the neuron:")
    _, _, between = rest.partition(f"\n{MARK}\n")
    between, _, rest = between.partition(f"{MARK} the neuron's step\n")
    _, _, after = rest.partition(f"\n{MARK}\n")
    return f"{before}{names}\n{between}{step}\n{after}"


def _joined(texts: list[str]) -> str:
    """Return the statements of all pieces without what they say of each other, imports first and once."""
    return "\n\n".join(("import math", *_statements(texts)))


def _statements(texts: list[str]) -> Iterator[str]:
    nodes = [(text, node) for text in texts for node in ast.parse(text).body]
    imports = dict.fromkeys(
        ast.unparse(node)
        for _, node in nodes
        if isinstance(node, ast.Import | ast.ImportFrom) and not _of_a_piece(node)
    )
    yield "\n".join(line for line in imports if "__future__" not in line)
    for text, node in nodes:
        if not isinstance(node, ast.Import | ast.ImportFrom | ast.Expr):
            first = min([node.lineno, *(d.lineno for d in getattr(node, "decorator_list", ()))])
            yield "\n".join(text.splitlines()[first - 1 : node.end_lineno])


def _of_a_piece(node: ast.Import | ast.ImportFrom) -> bool:
    return isinstance(node, ast.ImportFrom) and (node.module or "").rpartition(".")[2] in {
        *PIECES,
        *MIXED_PIECES,
    }


@cache
def _text(piece: str) -> str:
    return Path(__file__).with_name(f"{piece}.py").read_text("utf-8")


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
