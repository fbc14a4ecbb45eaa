"""Where the programs that read and write NIR are installed, in an environment of their own.

It is the Python that ``SPIKETRAIN_NIR_PYTHON`` names, or that of a virtual environment in the user's cache:

    python -m venv ~/.cache/spiketrain/nir
    ~/.cache/spiketrain/nir/bin/pip install nir nirtorch norse snntorch spikingjelly
"""

from __future__ import annotations

import json
import os
import subprocess
from functools import cache
from pathlib import Path

import pytest

SCRIPT = Path(__file__).with_name("nir_programs.py")


@cache
def python() -> str | None:
    cached = Path.home() / ".cache" / "spiketrain" / "nir" / "bin" / "python"
    named = os.environ.get("SPIKETRAIN_NIR_PYTHON", str(cached))
    return named if Path(named).exists() else None


@cache
def has(module: str) -> bool:
    found = python() and subprocess.run(
        [python(), "-c", f"import {module}"], capture_output=True, check=False
    )
    return bool(found) and found.returncode == 0


def needs(*modules: str) -> None:
    for module in modules:
        if not has(module):
            pytest.skip(f"no {module} in the environment of SPIKETRAIN_NIR_PYTHON")


def call(what: str, jobs: list[dict], folder: Path) -> str:
    """Do jobs there, and return what was printed to stderr."""
    (folder / "jobs.json").write_text(json.dumps(jobs), encoding="utf-8")
    words = [python(), "-W", "ignore", str(SCRIPT), what, str(folder / "jobs.json")]
    done = subprocess.run(words, capture_output=True, text=True, check=True, timeout=300)
    return done.stderr
