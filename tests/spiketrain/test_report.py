"""The page stands alone, every figure can be read without eyes, and nothing is drawn that is not there."""

from __future__ import annotations

import html
import itertools
import json
import os
import re
import shutil
import subprocess
import xml.etree.ElementTree as ET
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor
from typer.testing import CliRunner

from root.errors import InputError
from spiketrain.cli import app
from spiketrain.record import RunRecord
from spiketrain.report import Samples, write
from spiketrain.report.drawing import Drawing
from spiketrain.report.gallery import FIGURES
from spiketrain.report.run_files import RunFiles
from spiketrain.report.style import DARK, INK
from spiking.hardware import Hardware
from spiking.network import Network, chain
from spiking.neurons.lif import LIF
from spiking.presentation import TRACES, Controller, CurrentDrive, Phase, Recording
from spiking.simulators.snapshots import initial_snapshot
from spiking.simulators.torch import TorchSimulator

runner = CliRunner()

SIZES = (6, 20, 5)
VOID = {"meta", "link", "br", "hr", "img", "input"}


def observed(chips: int, controller: bool, network: Network, steps: int = 120) -> dict[str, Recording]:
    """What real chips show: a free and, where asked for, a controlled phase of three samples."""
    numbers = np.random.default_rng(0)

    def drawn(*shape: int, scale: float = 1.0) -> Tensor:
        return torch.from_numpy(numbers.normal(scale=scale, size=(chips, *shape)))

    neurons = tuple(
        {
            p.field: torch.full((chips, n), float(getattr(LIF(), p.field)), dtype=torch.float64)
            for p in LIF.parameters
        }
        | {"bias": 1.0 + 0.4 * drawn(n).abs()}
        for n in SIZES[1:]
    )
    weights = tuple(drawn(a, b, scale=a**-0.5) for a, b in itertools.pairwise(SIZES))
    feedback = tuple(drawn(SIZES[-1], n, scale=0.3) for n in SIZES[1:])
    one = torch.ones(chips, SIZES[-1], dtype=torch.float64)
    hardware = Hardware(
        neurons, neurons, weights, feedback, {"gain": one, "offset": 0 * one, "kp": one, "ki": one}
    )
    drive = CurrentDrive(torch.from_numpy(numbers.random((3, SIZES[0]))))
    window = torch.ones(steps, dtype=torch.float64)
    phases = [Phase("free", drive, window, record=frozenset(TRACES))]
    if controller:
        loop = Controller(target(), kp=0.5, ki_per_ms=0.01)
        phases.append(Phase("controlled", drive, window, controller=loop, record=frozenset(TRACES)))
    starts = {
        p.name: initial_snapshot(
            network, hardware, [torch.from_numpy(numbers.random((chips, 3, n))) for n in SIZES[1:]], False
        )
        for p in phases
    }
    return TorchSimulator().run(network, hardware, phases, starts)


def target() -> Tensor:
    return torch.tensor([0.1, 0.8, 0.1, 0.1, 0.1], dtype=torch.float64).expand(3, -1)


def inputs() -> dict[str, Tensor]:
    """Return input spikes of both phases, the same in every run."""
    numbers = torch.Generator().manual_seed(0)
    return {name: torch.rand(120, SIZES[0], generator=numbers) < 0.05 for name in ("free", "controlled")}


def answers(chips: int) -> NDArray[np.int64]:
    """Return counts in which label 3 is taken for 1 four times out of ten, and most often so on chip 1."""
    counts = np.tile(np.eye(5, dtype=np.int64) * 10, (chips, 1, 1))
    counts[:, 3, 3], counts[:, 3, 1] = 6, 4
    return counts


def finished(
    directory: Path,
    *,
    chips: int = 3,
    controller: bool = True,
    epochs: int = 8,
    diverged: dict[str, str] | None = None,
    task: str = "digits",
    validation: bool = True,
) -> Path:
    """Write the directory of a run; the figures' numbers are real recordings, its accuracies are not."""
    network = chain(SIZES, LIF(), max_rate_hz=100.0)
    config = {"task": {"name": task}, "bridge": {"max_rate_hz": 100.0}, "training": {"epochs": epochs}}
    identity = {
        "task": task,
        "rule": "dfc" if controller else "readout_only",
        "arm": "in_the_loop",
        "simulator": "torch",
        "neuron": "lif",
        "layers": list(SIZES),
        "chips": chips,
        "mismatch": {"chips": chips, "seed": 1, "threshold": {"distribution": "normal", "cv": 0.2}},
        "seed": 0,
        "epochs": epochs,
    }
    observation = observed(chips, controller, network)
    shown = {phase: spikes for phase, spikes in inputs().items() if phase in observation}
    numbers = np.random.default_rng(1)
    weights = {f"forward.{i}": torch.from_numpy(numbers.normal(size=(chips, 20, 20))) for i in (1, 2)}
    with RunRecord.create(directory, config, identity) as record:
        record.initial_weights({name: 0.5 * value for name, value in weights.items()})
        for epoch in range(epochs + 1):
            accuracy = 0.95 - 0.85 * np.exp(-epoch / 2) + numbers.normal(scale=0.01, size=chips)
            scores = {
                "test_accuracy": torch.from_numpy(accuracy),
                **({"validation_accuracy": torch.from_numpy(accuracy)} if validation else {}),
            }
            if epoch:
                error = 0.3 / epoch * (1 + 0.2 * torch.arange(chips))
                record.batch(error, {"alignment_degrees": 60 + error} if controller else {}, observation)
            record.epoch(epoch, scores | {"learning_rate": 0.1})
        record.finish(
            {
                "test_accuracy": accuracy.tolist(),
                "diverged_chips": diverged or {},
                "train_samples_per_second": 1234.5,
                "seconds": 12.0,
            },
            weights,
            {},
            Samples.of(observation, target(), network.dt_ms, network.max_rate_hz, inputs=shown),
            answers(chips),
        )
    write(directory)
    return directory


class Page(HTMLParser):
    """Checks that tags match, and keeps what the tests ask about."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.ids: list[str] = []
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text: dict[str, str] = {}
        self._inside: list[str | None] = []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        attributes = dict(attrs)
        self.tags.append((tag, attributes))
        if "id" in attributes:
            self.ids.append(str(attributes["id"]))
        if tag not in VOID:
            self.open.append(tag)
            self._inside.append(attributes.get("id"))

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_starttag(tag, attrs)
        if tag not in VOID:
            self.handle_endtag(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag
        self._inside.pop()

    def handle_data(self, data: str) -> None:
        for name in filter(None, self._inside):
            self.text[name] = self.text.get(name, "") + data


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return finished(
        tmp_path_factory.mktemp("run"), diverged={"1": "the output layer is silent on every sample"}
    )


@pytest.fixture(scope="module")
def text(run: Path) -> str:
    return (run / "report.html").read_text(encoding="utf-8")


def test_the_page_is_well_formed_and_its_links_work(run: Path, text: str) -> None:
    page = Page(text)
    assert page.open == []
    assert len(page.ids) == len(set(page.ids))
    for _, attributes in page.tags:
        for name in ("href", "aria-labelledby", "aria-describedby"):
            link = attributes.get(name) or ""
            if not link:
                continue
            if name != "href" or link.startswith("#"):
                assert link.removeprefix("#") in page.ids
            else:
                assert link.startswith("data:")  # the page can be mailed: it needs nothing beside it
    for reference in re.findall(r"url\(([^)]*)\)", text):
        assert reference.removeprefix("#") in page.ids


def test_every_figure_has_words(text: str) -> None:
    page = Page(text)
    figures = [a for tag, a in page.tags if tag == "svg"]
    assert [a["class"] for a in figures] == ["wide", "narrow"] * 10
    for attributes in figures:
        assert attributes["role"] == "img"
        assert len(page.text[str(attributes["aria-labelledby"])]) > 5
        assert len(page.text[str(attributes["aria-describedby"])]) > 40


def test_nothing_comes_from_outside(text: str) -> None:
    assert "http" not in text
    assert "<script" not in text
    assert "@import" not in text


def test_the_page_follows_the_readers_colours(text: str) -> None:
    assert "@media (prefers-color-scheme: dark)" in text
    assert "@media print" in text
    svg = text[text.index("<svg") :]
    assert "var(--ink)" in svg
    assert not re.search(r"(fill|stroke): ?#(000000|ffffff)", svg)


def test_figures_lie_beside_their_data(run: Path) -> None:
    names = {p.stem for p in (run / "figures").iterdir()}
    assert names >= {"learning_curves", "raster", "outputs", "control", "weights", "effort"}
    for name in names:
        ET.parse(run / "figures" / f"{name}.svg")
        assert len(pd.read_csv(run / "figures" / f"{name}.csv")) > 0


def test_the_data_are_what_was_recorded(run: Path) -> None:
    samples = Samples.load(run)
    assert samples is not None
    assert list(samples.traces) == ["free", "controlled"]
    spikes = pd.read_csv(run / "figures" / "raster.csv")
    for phase, traces in samples.traces.items():
        for layer, trace in zip(("hidden", "output"), traces["spikes"], strict=True):
            here = spikes[(spikes["phase"] == phase) & (spikes["layer"] == layer)]
            assert len(here) == int(trace.sum()) > 0
            seen = torch.zeros_like(trace)
            seen[torch.tensor(here["time_ms"].to_numpy(int)), torch.tensor(here["neuron"].to_numpy())] = 1
            assert torch.equal(seen, trace)
    rates = pd.read_csv(run / "figures" / "rate_histogram.csv")
    first = rates[(rates["phase"] == "free") & (rates["layer"] == "hidden")]["rate_hz"].to_numpy()
    assert first == pytest.approx(samples.traces["free"]["spikes"][0].sum(0).numpy() / 0.120)
    outputs = pd.read_csv(run / "figures" / "outputs.csv")
    assert outputs["target_hz"].max() == pytest.approx(80.0)


def test_input_spikes_and_layers_by_their_names(run: Path) -> None:
    spikes = pd.read_csv(run / "figures" / "raster.csv")
    assert set(spikes["layer"]) == {"input", "hidden", "output", "control"}
    shown = spikes[(spikes["layer"] == "input") & (spikes["phase"] == "free")]
    assert len(shown) == int(inputs()["free"].sum())
    assert set(pd.read_csv(run / "figures" / "weights.csv")["connection"]) == {
        "input->hidden",
        "hidden->output",
    }


def test_the_mismatch_and_the_worst_chip_head_the_page(run: Path, text: str) -> None:
    summary = json.loads((run / "summary.json").read_text())
    worst = f"{100 * summary['test_accuracy_min']:.1f} % on the worst chip"
    assert worst in text[text.index("<h1>") : text.index("</h1>")]
    assert "mismatch: threshold 20 %" in text[text.index("<title>") : text.index("</title>")]
    foot = text[text.index("<tfoot>") : text.index("</tfoot>")]
    assert [name for name in ("mean", "worst", "spread") if name not in foot] == []
    for name in ("date", "host", "command"):
        assert summary[name] in html.unescape(text)


def test_no_epoch_is_chosen_by_its_test_accuracy(tmp_path: Path, text: str) -> None:
    assert "validation, best epoch" in text
    finished(tmp_path, validation=False)
    alone = (tmp_path / "report.html").read_text(encoding="utf-8")
    assert "best epoch" not in alone
    assert "fall from best" not in alone


def test_answers_by_label(run: Path, text: str) -> None:
    figure = text[text.index('<figure id="confusion">') :]
    assert "Label 3 is recognised least often (60 %); the most frequent mistake is 1 for 3 (40 %)" in figure
    table = pd.read_csv(run / "figures" / "confusion.csv")
    assert table["samples"].sum() == 3 * 50


def test_chips_are_apart_on_the_axis(run: Path) -> None:
    """The axis is that of the later epochs, not of the climb from chance."""
    files = RunFiles.load(run)
    drawing = FIGURES["learning"](files)
    assert isinstance(drawing, Drawing)
    low, high = drawing.figure.axes[0].get_ylim()
    last = files.metrics[files.metrics["epoch"] == 8]["test_accuracy"] * 100
    assert 50 < low < last.min() <= last.max() < high < 102


CHROMIUM = shutil.which("chromium") or shutil.which("google-chrome")

PROBE = """
<iframe id="phone" src="page.html" style="width: 400px; height: 900px; border: 0"></iframe>
<script>
addEventListener("load", () => {
  const page = document.getElementById("phone").contentDocument;
  const all = (what) => [...page.querySelectorAll(what)];
  const seen = all("figure svg").filter(s => s.getBoundingClientRect().width > 0);
  const glyphs = seen.flatMap(s => [...s.querySelectorAll("g[id*=-text_] use")]).map(letter => {
    const m = letter.getScreenCTM(); return 100 * Math.hypot(m.a, m.b); });
  const words = all("body *").filter(e => e.innerText && !e.closest("svg")).map(e => {
    return parseFloat(getComputedStyle(e).fontSize); });
  const stacked = seen.every(s => s.getBoundingClientRect().width <= 400);
  document.title = `wide ${page.documentElement.scrollWidth} figures ${seen.length} stacked ${stacked} ` +
    `letters ${glyphs.length} type ${Math.min(...glyphs, ...words)}`;
});
</script>"""


def seen_on_a_telephone(page: str, folder: Path) -> dict[str, float]:
    """Return what a browser says of a page on a screen of 400 pixels."""
    assert CHROMIUM is not None, "SPIKETRAIN_BROWSER asks for one"
    (folder / "page.html").write_text(page, encoding="utf-8")
    (folder / "probe.html").write_text(PROBE, encoding="utf-8")
    flags = ["--headless", "--no-sandbox", "--disable-gpu", "--virtual-time-budget=5000", "--dump-dom"]
    done = subprocess.run(
        [
            CHROMIUM,
            *flags,
            "--allow-file-access-from-files",
            f"--user-data-dir={folder / 'browser'}",
            (folder / "probe.html").as_uri(),
        ],
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    said = re.search(
        r"<title>wide (\d+) figures (\d+) stacked (\w+) letters (\d+) type ([\d.]+)", done.stdout
    )
    assert said is not None, done.stderr[-2000:]
    return {
        "wide": float(said[1]),
        "figures": float(said[2]),
        "stacked": said[3] == "true",
        "letters": float(said[4]),
        "type": float(said[5]),
    }


@pytest.mark.skipif(
    CHROMIUM is None and "SPIKETRAIN_BROWSER" not in os.environ, reason="no Chromium on this system"
)
def test_a_browser_shows_the_page_on_400_pixels(text: str, tmp_path: Path) -> None:
    """Figures stack, none is wider than the screen, and the smallest letters have 10 pixels."""
    seen = seen_on_a_telephone(text, tmp_path)
    assert seen["figures"] == 10
    assert seen["letters"] > 500
    assert seen["stacked"]
    assert seen["wide"] <= 400
    assert seen["type"] >= 10.0


def test_a_diverged_chip_is_named(text: str) -> None:
    assert "the output layer is silent on every sample" in text
    assert "1 of 3" in text


def test_a_run_can_be_reported_again_from_its_files(run: Path, text: str) -> None:
    before = {p.name: p.read_bytes() for p in (run / "figures").iterdir()}
    write(run)
    assert (run / "report.html").read_text(encoding="utf-8") == text
    assert before == {name: (run / "figures" / name).read_bytes() for name in before}


def test_without_a_controller_the_page_says_so_and_escapes_what_it_is_given(tmp_path: Path) -> None:
    finished(tmp_path, controller=False, chips=1, epochs=1, task="<script>alert(1)</script>")
    text = (tmp_path / "report.html").read_text(encoding="utf-8")
    assert "no control signal u(t) to show" in text
    assert not (tmp_path / "figures" / "control.svg").exists()
    assert "<script" not in text
    assert Page(text).open == []


def test_many_chips_and_lost_numbers_are_drawn(tmp_path: Path) -> None:
    finished(tmp_path, chips=12, epochs=2)
    metrics = pd.read_csv(tmp_path / "metrics.csv")
    metrics.loc[metrics["chip"] == 4, "validation_accuracy"] = float("nan")
    metrics.to_csv(tmp_path / "metrics.csv", index=False)
    (tmp_path / "samples.safetensors").unlink()
    text = write(tmp_path).read_text(encoding="utf-8")
    assert "No sample was recorded step by step." in text
    assert Page(text).open == []


@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
def test_a_chip_that_left_the_numbers_is_drawn(run: Path, bad: float) -> None:
    files = RunFiles.load(run)
    assert files.samples is not None
    traces = {
        phase: {name: tuple(torch.full_like(t, bad) for t in parts) for name, parts in named.items()}
        for phase, named in files.samples.traces.items()
    }
    weights = {name: torch.full_like(value, bad) for name, value in files.weights.items()}
    metrics = files.metrics.assign(output_error=bad, validation_accuracy=bad)
    lost = replace(files, samples=replace(files.samples, traces=traces), weights=weights, metrics=metrics)
    for draw in FIGURES.values():
        drawing = draw(lost)
        if isinstance(drawing, Drawing):
            drawing.svg()


def test_an_unfinished_run_has_no_report(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="finished run"):
        write(tmp_path)
    assert list(tmp_path.iterdir()) == []


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
