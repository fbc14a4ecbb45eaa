"""Single figures of a report, as data and as pictures for a paper or a talk."""

from __future__ import annotations

import shutil
import xml.etree.ElementTree as ET
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from report_runs import whole
from typer.testing import CliRunner

from root.errors import InputError
from spiketrain.cli import app
from spiketrain.report import Samples
from spiketrain.report.drawing import Drawing
from spiketrain.report.gallery import FIGURES
from spiketrain.report.run_files import RunFiles
from spiketrain.report.style import DARK, INK

runner = CliRunner()


@pytest.fixture
def run() -> Path:
    return whole()


def test_raster_and_control_signal_in_one_picture(run: Path) -> None:
    """The control signal stands below the spikes of the phase in which it acts, and is 0 in the other."""
    drawing = FIGURES["raster"](RunFiles.load(run))
    assert isinstance(drawing, Drawing)
    samples = Samples.load(run)
    assert samples is not None
    signal = samples.traces["controlled"]["control"][0]
    shown = drawing.data[drawing.data["layer"] == "control"]
    assert set(shown["phase"]) == {"controlled"}
    last = shown[shown["time_ms"] == 120.0].sort_values("neuron")["value"]
    np.testing.assert_allclose(last, signal[-1].numpy())
    below = [ax for ax in drawing.figure.axes if ax.get_xlabel() == "time (ms)"]
    assert [len(ax.get_lines()) for ax in below] == [1, 1 + signal.shape[1]]
    assert below[0].get_ylabel().startswith("control u")


def test_the_output_under_control_is_a_mean_over_the_window(run: Path, tmp_path: Path) -> None:
    samples = Samples.load(run)
    assert samples is not None
    weights = torch.zeros(120, dtype=torch.float64)
    weights[90:] = 1.0
    traces = {phase: {**named, "window": (weights.unsqueeze(1),)} for phase, named in samples.traces.items()}
    drawing = FIGURES["outputs"](replace(RunFiles.load(run), samples=replace(samples, traces=traces)))
    assert isinstance(drawing, Drawing)
    mean = 100.0 * float(samples.traces["controlled"]["readout"][0][90:, 1].mean())
    assert f"controlled: output 1 is at {mean:.3g} Hz in the mean over the window" in drawing.alt
    assert torch.equal(samples.window("free"), (torch.arange(120) >= 60).double())  # of a run that kept none


def test_angles_have_a_figure_of_their_own(run: Path) -> None:
    alignment, measures = (FIGURES[name](RunFiles.load(run)) for name in ("alignment", "measures"))
    assert isinstance(alignment, Drawing)
    assert list(alignment.data.columns) == ["epoch", "chip", "alignment_degrees"]
    assert not isinstance(measures, Drawing)


def test_pictures_for_a_paper_and_a_talk(run: Path, tmp_path: Path) -> None:
    done = runner.invoke(
        app, ["figures", str(run), "--output", str(tmp_path), "--only", "learning", "--only", "raster"]
    )
    assert done.exit_code == 0, done.stderr
    for name in ("learning_curves", "raster"):
        files = {f"{name}.svg", f"{name}-dark.svg", f"{name}.pdf", f"{name}-dark.pdf", f"{name}.csv"}
        assert files <= {path.name for path in tmp_path.iterdir()}
        assert (tmp_path / f"{name}.svg").read_bytes() == (run / "figures" / f"{name}.svg").read_bytes()
        assert (tmp_path / f"{name}.csv").read_bytes() == (run / "figures" / f"{name}.csv").read_bytes()
        assert DARK[INK] in (tmp_path / f"{name}-dark.svg").read_text(encoding="utf-8")
        assert (tmp_path / f"{name}-dark.pdf").read_bytes().startswith(b"%PDF")
    assert done.stdout.splitlines() == [str(tmp_path / name) for name in sorted_as_written(tmp_path)]


def sorted_as_written(folder: Path) -> list[str]:
    """Return names in the order of writing."""
    return [path.name for path in sorted(folder.iterdir(), key=lambda path: path.stat().st_mtime_ns)]


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--only", "learnin"], "--only: got 'learnin'"),
        (["--chip", "seven"], "--chip: got 'seven'"),
        (["--chip", "9"], "--chip: got 9; allowed: a chip from 0 to 2"),
    ],
)
def test_pictures_of_nothing_are_refused(run: Path, tmp_path: Path, options: list[str], words: str) -> None:
    done = runner.invoke(app, ["figures", str(run), "--output", str(tmp_path / "out"), *options])
    assert done.exit_code == 2
    assert words in done.stderr
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("chips.csv", "chip,mean\n0,1\n", "chips.csv: std: got 'no such column'"),
        ("confusion.csv", "chip,label,predicted,samples\n0,one,2,3\n", "confusion.csv: label: got"),
        ("reference.csv", "epoch,chip\n0\n", "reference.csv: line 2: got '1 cells'"),
    ],
)
def test_tables_that_were_changed_are_refused(
    run: Path, tmp_path: Path, name: str, content: str, words: str
) -> None:
    copy = tmp_path / "run"
    shutil.copytree(run, copy, ignore=shutil.ignore_patterns("figures"))
    (copy / name).write_text(content, encoding="utf-8")
    with pytest.raises(InputError, match=words):
        RunFiles.load(copy)


def test_a_sample_that_lasts_plays_and_one_that_stands_still_does_not(run: Path) -> None:
    files = RunFiles.load(run)
    assert not isinstance(FIGURES["playback"](files), Drawing)
    assert files.samples is not None
    drawing = FIGURES["playback"](replace(files, samples=replace(files.samples, lasting=True)))
    assert isinstance(drawing, Drawing)
    svg = ET.fromstring(drawing.svg())
    width, height = (float(number) for number in svg.attrib["viewBox"].split()[2:])
    parts = [e for e in svg.iter() if e.attrib.get("class") in ("veil", "now")]
    veils = [e.attrib for e in parts if e.attrib["class"] == "veil"]
    panels = drawing.figure.axes
    assert len(veils) == len(panels) == len(parts) // 2
    for veil, ax in zip(veils, panels, strict=True):
        place = ax.get_window_extent()
        points = 72.0 / drawing.figure.dpi
        assert float(veil["x"]) == pytest.approx(place.x0 * points, abs=0.1)
        assert float(veil["width"]) == pytest.approx(place.width * points, abs=0.1)
        assert float(veil["y"]) == pytest.approx(height - place.y1 * points, abs=0.1)
        assert float(veil["x"]) + float(veil["width"]) <= width
        assert ax.get_xlim() == (0.0, 120.0)
    styles = " ".join(drawing.svg().split())
    for still in ("(prefers-reduced-motion: reduce)", "print"):
        assert f"@media {still} {{ .veil, .now {{ display: none; }} }}" in styles
    spikes = drawing.data[drawing.data["trace"] == "output"]
    assert len(spikes) == int(files.samples.traces["controlled"]["spikes"][-1].sum())
