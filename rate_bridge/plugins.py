"""Parts found by name: the project is a plug-in host, and its own parts are registered the same way.

A part is an entry point in one of the groups ``spiketrain.simulators``, ``spiketrain.rules``,
``spiketrain.tasks``, ``spiketrain.neurons``, ``spiketrain.distributions``, ``spiketrain.encodings``,
``spiketrain.optimizers`` and ``spiketrain.arms``. Nothing is imported until it is asked for, so that
importing one room never pulls in the heavy libraries of another.
"""

from __future__ import annotations

from functools import cache
from importlib.metadata import EntryPoint, entry_points
from typing import Any

from rate_bridge.errors import InputError, nearest

__all__ = ["available", "load"]


@cache
def _group(group: str) -> dict[str, EntryPoint]:
    return {point.name: point for point in entry_points(group=f"spiketrain.{group}")}


def available(group: str) -> list[str]:
    """Return the names registered in `group` (such as ``"rules"``), sorted."""
    return sorted(_group(group))


def load(group: str, name: str, key: str | None = None) -> Any:
    """Import and return the part called `name` of `group`.

    Args:
        group: ``"rules"``, ``"simulators"``, ...
        name: the registered name.
        key: the config key to blame when there is no such part; by default the group's name.

    Raises:
        InputError: no part of that name is registered.
    """
    points = _group(group)
    if name not in points:
        raise InputError(key or group, name, ", ".join(sorted(points)), nearest(name, points))
    return points[name].load()
