"""The tutorials run as they stand; where Norse is not installed its cell is left out."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
TUTORIAL = ROOT / "docs" / "tutorials" / "arrays_to_norse.py"


def programs() -> Path | None:
    """Return where the packages of the environment with Norse are, if it is for this Python."""
    cached = Path.home() / ".cache" / "spiketrain" / "nir" / "bin" / "python"
    python = Path(os.environ.get("SPIKETRAIN_NIR_PYTHON", str(cached)))
    version = f"python{sys.version_info.major}.{sys.version_info.minor}"
    found = python.parent.parent / "lib" / version / "site-packages"
    return found if (found / "norse").is_dir() else None


def cells(text: str) -> list[str]:
    return re.split(r"^(?=# %%)", text, flags=re.MULTILINE)


def test_two_arrays_become_a_chip_in_norse_and_a_comparison(tmp_path: Path) -> None:
    text = TUTORIAL.read_text(encoding="utf-8")
    assert len(text.splitlines()) < 40
    kept = [cell for cell in cells(text) if programs() or 'tags=["norse"]' not in cell]
    kept[-1] = kept[-1].replace("st.compare", "table = st.compare") + "\nprint(table.to_string())\n"
    begin = f"import sys\nsys.path.append({str(programs())!r})\n" if programs() else ""
    script = tmp_path / "tutorial.py"
    script.write_text(begin + "".join(kept), encoding="utf-8")
    words = [sys.executable, "-W", "ignore", str(script)]
    environment = {**os.environ, "MPLBACKEND": "Agg", "PYTHONPATH": str(ROOT)}
    done = subprocess.run(words, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "DFC" in done.stdout
    assert "read-out only" in done.stdout
    if programs() is None:
        pytest.skip("no norse in the environment of SPIKETRAIN_NIR_PYTHON: its cell was left out")
    here, there = re.search(r"worst chip: (\d+) here, (\d+) in Norse", done.stdout).groups()  # type: ignore[union-attr]
    assert here == there
    assert int(here) > 5
