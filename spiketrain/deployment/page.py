"""The deployment report as one HTML page."""

from __future__ import annotations

from collections.abc import Mapping
from importlib import resources
from pathlib import Path
from typing import Any

from jinja2 import Environment

from spiketrain.record.files import write_text

__all__ = ["write_page"]


def write_page(path: Path, summary: Mapping[str, Any]) -> None:
    """Write the page of a deployment's ``summary.json``."""
    template = resources.files(__package__).joinpath("page.html").read_text(encoding="utf-8")
    write_text(path, Environment(autoescape=True).from_string(template).render(s=summary))
