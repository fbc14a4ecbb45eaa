"""The build backend: setuptools, told where the rooms live once they are installed.

In this repository the rooms (``learning``, ``spiking``, ...) stand at the top, and import each other by
these names. Installed under such names, a script beside a folder ``learning`` of its own would import that
one instead. A wheel is therefore built of a copy of the tree in which every room lies inside ``spiketrain``,
and in which imports and entry points say so: ``from learning.rule import Update`` becomes
``from spiketrain.learning.rule import Update``. What is installed is a plain package, without any import
hook, that type checkers, debuggers and worker processes read like any other.

A source archive and an editable installation keep the tree as it is; there, `spiketrain.rooms` gives the
rooms their second name.
"""

from __future__ import annotations

import ast
import os
import re
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from setuptools import build_meta
from setuptools.build_meta import (
    build_editable,
    build_sdist,
    get_requires_for_build_editable,
    get_requires_for_build_sdist,
    prepare_metadata_for_build_editable,
)

__all__ = [
    "build_editable",
    "build_sdist",
    "build_wheel",
    "get_requires_for_build_editable",
    "get_requires_for_build_sdist",
    "get_requires_for_build_wheel",
    "moved",
    "prepare_metadata_for_build_editable",
]

HOME = "spiketrain"
ROOMS = ("root", "rate_bridge", "spiking", "chips", "mismatch", "learning", "configs")
BESIDE = ("pyproject.toml", "README.md", "LICENSE")

ENTRY = re.compile(rf'(= ")(({"|".join(ROOMS)})\.[\w.]+:\w+")')
"""The place of a part in ``pyproject.toml``."""

Settings = Mapping[str, str | list[str] | None]


def get_requires_for_build_wheel(config_settings: Settings | None = None) -> list[str]:
    """Return what a build needs beyond setuptools: nothing, and asking it would leave files in the tree."""
    return []


def build_wheel(
    wheel_directory: str, config_settings: Settings | None = None, metadata_directory: str | None = None
) -> str:
    """Build the wheel of a copy in which the rooms lie inside the package; its metadata are made anew."""
    target = os.path.abspath(wheel_directory)
    with _rearranged(Path.cwd()):
        built: str = build_meta.build_wheel(target, config_settings)
    return built


@contextmanager
def _rearranged(source: Path) -> Iterator[None]:
    """Work in a copy of `source` that looks as what is installed will look."""
    with tempfile.TemporaryDirectory(prefix="spiketrain-wheel-") as name:
        stage = Path(name)
        for file in BESIDE:
            shutil.copy(source / file, stage / file)
        project = stage / "pyproject.toml"
        project.write_text(ENTRY.sub(rf"\g<1>{HOME}.\g<2>", project.read_text("utf-8")), "utf-8")
        ignored = shutil.ignore_patterns("__pycache__", "*.py[co]")
        shutil.copytree(source / HOME, stage / HOME, ignore=ignored)
        for room in ROOMS:
            shutil.copytree(source / room, stage / HOME / room, ignore=ignored)
        for path in sorted((stage / HOME).rglob("*.py")):
            path.write_text(moved(path.read_text("utf-8"), path.relative_to(stage).as_posix()), "utf-8")
        os.chdir(stage)
        try:
            yield
        finally:
            os.chdir(source)


def moved(text: str, name: str) -> str:
    """Return a module's text with its imports of rooms as they are once installed; nothing else changes.

    Args:
        text: the module's source.
        name: what it is called in an error.

    Raises:
        ValueError: a room is imported in a way, or named in a string, that would not hold once installed.
    """
    lines = text.splitlines(keepends=True)
    places = []
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.ImportFrom) and node.level == 0 and _in_room(node.module):
            places.append((node.lineno, node.col_offset + len("from ")))
        elif isinstance(node, ast.Import):
            for alias in node.names:
                if _in_room(alias.name) and alias.asname is None:
                    raise ValueError(
                        f"{name}:{node.lineno}: import names from {alias.name}, or give it a name"
                    )
                if _in_room(alias.name):
                    places.append((alias.lineno, alias.col_offset))
        elif isinstance(node, ast.Constant) and isinstance(node.value, str) and _is_module(node.value):
            raise ValueError(f"{name}:{node.lineno}: {node.value!r} names a module; use __package__")
    for line, column in sorted(places, reverse=True):
        before = lines[line - 1].encode()  # the syntax tree counts bytes
        lines[line - 1] = (before[:column] + f"{HOME}.".encode() + before[column:]).decode()
    return "".join(lines)


def _in_room(module: str | None) -> bool:
    return module is not None and module.partition(".")[0] in ROOMS


def _is_module(text: str) -> bool:
    """Whether a text is the dotted name of one of our modules (and not, say, a key of a config)."""
    if not re.fullmatch(r"\w+(\.\w+)+", text) or not _in_room(text):
        return False
    path = Path(*text.split("."))  # a build works in the folder of the source
    return path.is_dir() or path.with_suffix(".py").is_file()
