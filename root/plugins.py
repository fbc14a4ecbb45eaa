"""Parts found by name: the project is a plug-in host, and its own parts are registered the same way.

A part is an entry point in one of the groups ``spiketrain.<group>`` (simulators, rules, tasks, neurons,
distributions, encodings, optimizers, arms, ...), or a class that this process has registered itself.
Nothing is imported until it is asked for, so that importing one room never pulls in the heavy libraries of
another.
"""

from __future__ import annotations

from functools import cache
from importlib.metadata import EntryPoint, entry_points
from typing import Any

from root.errors import InputError, nearest

__all__ = ["available", "load", "name_of", "register", "registered"]

_OWN: dict[tuple[str, str], type] = {}
"""What this process has registered, by group and name."""


@cache
def _group(group: str) -> dict[str, EntryPoint]:
    return {point.name: point for point in entry_points(group=f"spiketrain.{group}")}


def available(group: str) -> list[str]:
    """Return the names registered in `group` (such as ``"rules"``), sorted."""
    return sorted({*_group(group), *(name for own, name in _OWN if own == group)})


def load(group: str, name: str, key: str | None = None) -> Any:
    """Import and return the part called `name` of `group`.

    Args:
        group: ``"rules"``, ``"simulators"``, ...
        name: the registered name.
        key: the config key to blame when there is no such part; by default the group's name.

    Raises:
        InputError: no part of that name is registered.
    """
    if (group, name) in _OWN:
        return _OWN[group, name]
    points = _group(group)
    if name not in points:
        known = available(group)
        raise InputError(key or group, name, ", ".join(known), nearest(name, known))
    return points[name].load()


def register(group: str, name: str, part: type) -> None:
    """Let `part` be found as `name` of `group` in this process; a second one replaces the first.

    Raises:
        InputError: an installed part has that name.
    """
    if name in _group(group):
        raise InputError("name", name, f"a name that none of the installed {group} has")
    _OWN[group, name] = part


def registered() -> frozenset[tuple[tuple[str, str], type]]:
    """Return what this process has registered, by group and name: what else a config depends on."""
    return frozenset(_OWN.items())


def name_of(group: str, part: type) -> str | None:
    """Return the name that `part` is registered under in `group`, or None."""
    own = [name for (of, name), known in _OWN.items() if of == group and known is part]
    found = (name for name, point in _group(group).items() if point.load() is part)
    return own[-1] if own else next(found, None)
