"""The deployment report as one HTML page."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from spiketrain.naming import layer_names
from spiketrain.record.files import write_text
from spiketrain.report.templates import render

__all__ = ["write_page"]


def write_page(path: Path, summary: Mapping[str, Any]) -> None:
    """Write the page of a deployment's ``summary.json``."""
    names = layer_names(len(summary["cost"]["spikes_per_sample"]) - 1)

    def named(words: str) -> str:
        """Call layers by their names, where the account counts them."""
        return re.sub(r"\blayer (\d+)\b", lambda found: names[int(found[1])], words)

    said = {**summary, "cost": {"unit": "", **summary["cost"]}}  # spikes, where no other unit is counted
    write_text(path, render("deployment.html", s=said, layer=named))
