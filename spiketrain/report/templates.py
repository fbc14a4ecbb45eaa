"""The templates of all pages: reports of runs, of studies and of deployments look alike."""

from __future__ import annotations

import math
from typing import Any

from jinja2 import ChoiceLoader, Environment, PackageLoader, StrictUndefined

__all__ = ["render"]

ROOMS = ("report", "studies", "deployment")


def render(template: str, **values: Any) -> str:
    """Return a page.

    Args:
        template: name of a file ``*.html`` in one of `ROOMS`.
        **values: what it speaks of; whatever they hold is text, never markup, unless it is marked safe.
    """
    environment = Environment(
        loader=ChoiceLoader([PackageLoader("spiketrain", room) for room in ROOMS]),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {"percent": _percent, "points": _points, "words": _words}
    return environment.get_template(template).render(**values)


def _percent(value: float | None) -> str:
    return "–" if value is None or math.isnan(value) else f"{100 * value:.1f} %"


def _points(value: float) -> str:
    """Return a difference of shares, with its sign."""
    return f"{100 * value:+.1f} points"


def _words(name: object) -> str:
    return str(name).replace("_", " ")
