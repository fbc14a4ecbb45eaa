"""What the documents show in Python runs as it stands there."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import matplotlib as mpl
import pytest
from sklearn.datasets import load_digits

ROOT = Path(__file__).parents[2]
BLOCK = re.compile(r"^```python\n(.*?)^```", re.DOTALL | re.MULTILINE)


HOW_TO = [(f"docs/howto/{name}.md", 1) for name in ("neuron", "rule", "chip", "cluster")]


@pytest.mark.parametrize(
    ("name", "blocks"),
    [("docs/api.md", 6), ("docs/guide.md", 1), ("README.md", 1), ("docs/howto/own_part.md", 2), *HOW_TO],
)
def test_the_blocks_run_in_order(
    name: str, blocks: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    x, y = load_digits(return_X_y=True)
    x = x / 16
    space: dict[str, Any] = {
        "x": x[:64],
        "y": y[:64],
        "x_test": x[64:96],
        "y_test": y[64:96],
        "__name__": "m",
    }
    found = BLOCK.findall((ROOT / name).read_text(encoding="utf-8"))
    assert len(found) == blocks
    for block in found:
        with mpl.rc_context():
            exec(compile(block, name, "exec", dont_inherit=True), space)
    if name in ("docs/guide.md", "README.md"):
        assert (tmp_path / "runs" / "mine" / "summary.json").is_file()
