"""Magnitudes published for real technologies, one file each, named after their source."""

from __future__ import annotations

from collections.abc import Mapping
from importlib.resources import files
from typing import Any

import yaml

from rate_bridge.errors import InputError, nearest

__all__ = ["describe", "load", "names"]


def names() -> list[str]:
    """Return the names of all presets, sorted."""
    folder = files(__name__)
    return sorted(
        entry.name.removesuffix(".yaml") for entry in folder.iterdir() if entry.name.endswith(".yaml")
    )


def describe(name: str) -> dict[str, Any]:
    """Return a preset's whole file: ``source``, ``ours`` (what is our reading), and ``mismatch``.

    Raises:
        InputError: there is no such preset.
    """
    known = names()
    if name not in known:
        raise InputError("mismatch.preset", name, ", ".join(known), nearest(name, known))
    text = files(__name__).joinpath(f"{name}.yaml").read_text(encoding="utf-8")
    return dict(yaml.safe_load(text))


def load(name: str) -> Mapping[str, Any]:
    """Return a preset's entries, as they would stand below ``mismatch`` in a config."""
    entries: Mapping[str, Any] = describe(name)["mismatch"]
    return entries
