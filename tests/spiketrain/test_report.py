"""The page stands alone, every figure can be read without eyes, and nothing is drawn that is not there."""

from __future__ import annotations

import html
import json
import os
import re
import shutil
import subprocess
import xml.etree.ElementTree as ET
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import pandas as pd
import pytest
import torch
from report_runs import finished, inputs, whole
from typer.testing import CliRunner

from root.errors import InputError
from spiketrain.report import Samples, write
from spiketrain.report.drawing import Drawing
from spiketrain.report.gallery import FIGURES
from spiketrain.report.run_files import RunFiles

runner = CliRunner()

VOID = {"meta", "link", "br", "hr", "img", "input"}


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
def run() -> Path:
    return whole()


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
