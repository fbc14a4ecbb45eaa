"""A figure for a dark slide: its ink is light, its curves keep their colours, and it stays itself."""

from __future__ import annotations

from pathlib import Path

import matplotlib.image
import numpy as np
import pandas as pd
import pytest

from spiketrain.report.drawing import Drawing
from spiketrain.report.stacking import NARROW, stack
from spiketrain.report.style import CYCLE, DARK, INK, MUTED, PAPER, blank, drawn


@pytest.fixture
def drawing() -> Drawing:
    with drawn():
        figure, axes = blank(1, 1, 3.0)
        axes[0][0].plot([0, 1], [0, 1], color=CYCLE[0], label="chip 0")
        axes[0][0].plot([0, 1], [1, 0], color=INK, linewidth=6, alpha=0.2)
        axes[0][0].set_xlabel("epoch")
        axes[0][0].legend()
    return Drawing("a", "A", "a", "a", figure, pd.DataFrame({"epoch": [0, 1]}))


def test_light_on_dark_and_back(drawing: Drawing, tmp_path: Path) -> None:
    light = drawing.write(tmp_path / "light.svg").read_text(encoding="utf-8")
    dark = drawing.write(tmp_path / "dark.svg", dark=True).read_text(encoding="utf-8")
    for was in (INK, MUTED, PAPER):
        assert was in light
        assert was not in dark
        assert DARK[was] in dark
    assert CYCLE[0] in dark
    assert "opacity: 0.2" in dark
    assert drawing.write(tmp_path / "again.svg").read_text(encoding="utf-8") == light


def test_pictures_and_papers(drawing: Drawing, tmp_path: Path) -> None:
    corner = matplotlib.image.imread(drawing.write(tmp_path / "dark.png", dark=True))[0, 0, :3]
    wanted = [int(DARK[PAPER][i : i + 2], 16) / 255 for i in (1, 3, 5)]
    np.testing.assert_allclose(corner, wanted, atol=0.01)
    light, dark = (drawing.write(tmp_path / f"{d}.pdf", dark=d).read_bytes() for d in (False, True))
    assert light.startswith(b"%PDF")
    assert dark.startswith(b"%PDF")
    assert light != dark
    numbers = drawing.write(tmp_path / "a.csv", dark=True).read_text(encoding="utf-8")
    assert numbers.split() == ["epoch", "0", "1"]


def test_long_names_of_rows_are_broken_on_a_narrow_page() -> None:
    names = ["deep feedback control, two-phase − backprop in the loop, sigma 0.2", "short"]
    with drawn():
        figure, axes = blank(1, 1, 1.4)
        axes[0][0].plot([0, 1], [0, 1])
        axes[0][0].set_yticks([0, 1], names)
        drawing = Drawing("b", "B", "b", "b", figure, pd.DataFrame({"x": [0]}))
        drawing.svg()
        stack(figure)
        drawing.svg()
    texts = [text.get_text() for text in axes[0][0].get_yticklabels()]
    assert [text.replace("\n", " ") for text in texts] == names
    assert max(len(line) for text in texts for line in text.splitlines()) <= 22
    assert figure.get_size_inches()[0] == NARROW
    assert axes[0][0].get_position().width > 0.3
