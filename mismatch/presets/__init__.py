"""Magnitudes published for real technologies, one file each, named after their source."""

from __future__ import annotations

from collections.abc import Mapping
from importlib.resources import files
from pathlib import Path
from typing import Any

import yaml

from root.errors import InputError, nearest
from root.files import read_regular

__all__ = ["describe", "load", "names"]

MAX_BYTES = 100_000
"""Largest file of a preset."""


def names() -> list[str]:
    """Return the names of all presets, sorted."""
    folder = files(__name__)
    return sorted(
        entry.name.removesuffix(".yaml") for entry in folder.iterdir() if entry.name.endswith(".yaml")
    )


def describe(name: str) -> dict[str, Any]:
    """Return a preset's whole file: ``source``, ``ours`` (what is our reading), and ``mismatch``.

    Args:
        name: of a shipped preset, or the path of a file of one's own, which ends in ``.yaml``.

    Raises:
        InputError: there is no such preset, or a file is none.
    """
    if name.endswith(".yaml"):
        return _own(Path(name))
    known = names()
    if name not in known:
        raise InputError("mismatch.preset", name, ", ".join(known), nearest(name, known))
    text = files(__name__).joinpath(f"{name}.yaml").read_text(encoding="utf-8")
    return dict(yaml.safe_load(text))


def load(name: str) -> Mapping[str, Any]:
    """Return a preset's entries, as they would stand below ``mismatch`` in a config."""
    entries: Mapping[str, Any] = describe(name)["mismatch"]
    return entries


def _own(path: Path) -> dict[str, Any]:
    try:
        said = yaml.safe_load(read_regular(path, "mismatch.preset", "YAML file", MAX_BYTES).decode())
    except (UnicodeDecodeError, yaml.YAMLError) as error:
        raise InputError("mismatch.preset", str(path), "a YAML file", str(error).partition("\n")[0]) from None
    kinds = {"source": str, "ours": str, "mismatch": dict}
    if not isinstance(said, dict) or {k: type(v) for k, v in said.items()} != kinds:
        raise InputError(
            "mismatch.preset", str(path), "a file with source, ours and mismatch, as presets have"
        )
    return said
