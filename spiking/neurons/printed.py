"""The neurons' equations in ``docs/model.md``; run as ``python -m spiking.neurons.printed FILE``."""

from __future__ import annotations

import sys
from dataclasses import MISSING, fields
from pathlib import Path

from root.plugins import available, load
from spiking.neurons.base import Neuron
from spiking.programs.to_latex import latex

__all__ = ["rewritten"]

BEGIN = "<!-- the neurons' equations, printed from the source: make docs -->\n"
END = "<!-- end -->\n"


def rewritten(text: str) -> str:
    """Return a document with the equations between the two marks as they are in the source."""
    before, _, rest = text.partition(BEGIN)
    _, _, after = rest.partition(END)
    return before + BEGIN + _equations() + END + after


def _equations() -> str:
    parts = []
    for name in available("neurons"):
        kind = load("neurons", name)
        if any(f.default is f.default_factory is MISSING for f in fields(kind)):
            continue  # its equations are the user's
        neuron: Neuron = kind()
        lines = " \\\\\n".join(latex(neuron.text))
        title = (kind.__doc__ or "").partition("\n")[0].rstrip(".")
        parts.append(f"**{name}**. {title}.\n\n```math\n\\begin{{aligned}}\n{lines}\n\\end{{aligned}}\n```\n")
    return "\n" + "\n".join(parts) + "\n"


if __name__ == "__main__":
    document = Path(sys.argv[1])
    document.write_text(rewritten(document.read_text("utf-8")), "utf-8")
