"""Compare, identify and tune on small networks, and the pages they leave."""

from __future__ import annotations

import itertools
import os
import re
import shutil
import subprocess
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import torch
import yaml
from small_study import BASE, study
from typer.testing import CliRunner

from root.errors import InputError
from spiketrain.cli import app
from spiketrain.config import Experiment, load_experiment, shipped
from spiketrain.studies.figures import against
from spiketrain.studies.identification_figures import progress_curves
from spiketrain.studies.identified import identify, time_to_identify
from spiketrain.studies.identify import angle, gain, r2
from spiketrain.studies.plan import Plan
from spiketrain.studies.report import write_report
from spiketrain.studies.study import Study, load_study, stored_study
from spiketrain.studies.sweep import Options, sweep
from spiketrain.studies.tune import tune

LIF: dict[str, Any] = {
    **BASE,
    "network": {"layers": [64, 12, 10], "neuron": {"model": "lif", "bias": 1.0}, "bias_spread": 0.5},
    "bridge": {"encoding": "phase"},
    "simulator": {"name": "torch", "presentation_ms": 40, "window_ms": 30},
    "training": {"epochs": 1, "batch": 256, "optimizer": "nlms", "learning_rate": 3.0},
}
DFC = {"name": "dfc", "controller": {"kp": 1.0, "ki_per_ms": 0.02}}

COMPARE = {
    "forms": {
        "rate": {"base": BASE, "kinds": {"weight": ["weight"], "both": ["weight", "gain"]}},
        "spiking": {"base": LIF, "kinds": {"weight": ["weight"], "both": ["weight", "threshold"]}},
    },
    "rules": {"dfc": {"rule": DFC}, "bp": {"rate": {}, "spiking": None}},
    "sigma": [0.0, 0.3],
    "chips": 2,
}


def test_a_comparison_is_a_study_of_forms_and_kinds() -> None:
    plan = Plan(study(grid={}, compare=COMPARE))
    rows = pd.DataFrame([dict(cell.columns) for cell in plan.rows()])
    assert len(rows) == (2 + 1) * 2 * 2
    assert len(plan) == (2 + 1) * 3, "without deviations all kinds are one cell"
    cell = next(
        c
        for c in plan.cells()
        if c.columns["form"] == "spiking" and c.columns["kind"] == "both" and c.columns["sigma"]
    )
    assert set(cell.config["mismatch"]) == {"chips", "seed", "weight", "threshold"}
    assert rows["sigma"].tolist() == sorted(rows["sigma"]), "whole levels of sigma, one after the other"
    forms: dict[str, Any] = COMPARE["forms"]  # type: ignore[assignment]
    other = {**forms, "spiking": {**forms["spiking"], "kinds": {"weight": ["weight"]}}}
    with pytest.raises(InputError, match=r"compare\.forms\.spiking\.kinds"):
        Plan(study(grid={}, compare={**COMPARE, "forms": other}))


def test_a_comparison_over_tasks_where_each_has_its_own_networks() -> None:
    """Later overrules earlier: form, task, rule; what stands under a name is for that form or task alone."""
    tuned = {**BASE, "training": {**BASE["training"], "learning_rate": 0.02}}
    compare = {
        "forms": {
            "rate": {"kinds": {"all": ["weight"]}},
            "spiking": {"kinds": {"all": ["threshold"]}, "seeds": 2},
        },
        "tasks": {
            "digits": {"rate": {"base": BASE}, "spiking": {"base": LIF}, "training.epochs": 2},
            "two moons": {"spiking": None, "base": BASE, "training.epochs": 3},
        },
        "rules": {
            "bp": {"rate": {"digits": {"base": tuned}, "two moons": {"training.batch": 64}}},
            "dfc": {"rule": DFC, "also": ["feedback"], "spiking": {"training.epochs": 9}},
        },
        "sigma": [0.2],
        "chips": 3,
    }
    cells = {tuple(c.columns.values())[:3]: c.config for c in Plan(study(grid={}, compare=compare)).cells()}
    assert set(cells) == {
        (rule, *place)
        for rule in ("bp", "dfc")
        for place in (("rate", "digits"), ("spiking", "digits"), ("rate", "two moons"))
    }
    training = {case: config["training"] for case, config in cells.items()}
    assert training["bp", "rate", "digits"]["learning_rate"] == 0.02
    assert training["bp", "rate", "two moons"] == {**BASE["training"], "batch": 64, "epochs": 3}
    assert {
        training[rule, form, "digits"]["epochs"] for rule, form in (("bp", "rate"), ("bp", "spiking"))
    } == {2}
    assert training["dfc", "spiking", "digits"]["epochs"] == 9
    assert set(cells["dfc", "spiking", "digits"]["mismatch"]) == {"chips", "seed", "threshold", "feedback"}
    assert set(cells["bp", "rate", "digits"]["mismatch"]) == {"chips", "seed", "weight"}
    seeds = [
        (c.columns["form"], c.columns.get("seed")) for c in Plan(study(grid={}, compare=compare)).cells()
    ]
    assert Counter(seeds) == {("rate", None): 4, ("spiking", 0): 2, ("spiking", 1): 2}
    homeless = {**compare, "tasks": {"digits": {"spiking": {"base": LIF}}}, "rules": {"dfc": {"rule": DFC}}}
    with pytest.raises(InputError, match=r"compare\.forms\.rate\.base"):
        Plan(study(grid={}, compare=homeless))


@pytest.mark.parametrize("panels", [[], ["form"], ["form", "task"]])
def test_a_line_looks_the_same_in_every_panel(panels: list[str]) -> None:
    rows = [
        {"rule": r, "form": f, "task": t, "sigma": s, "mean": 0.5, "low": 0.4, "high": 0.6}
        for f, r in (("rate", "bp"), ("rate", "ep"), ("rate", "dfc"), ("spiking", "dfc"))
        for t in ("digits", "moons", "stars", "circles")
        for s in (0.4, 0.0)
    ]
    series = [name for name in ("rule", "form", "task") if name not in panels]
    drawing = against(pd.DataFrame(rows), x="sigma", series=series, panels=panels, outcome="accuracy")
    colours: dict[str, set[str]] = {}
    for line in (line for ax in drawing.figure.axes for line in ax.lines):
        assert list(line.get_xdata()) == [0.0, 0.4]
        colours.setdefault(str(line.get_label()), set()).add(str(line.get_color()))
    assert len(colours) == {0: 16, 1: 12, 2: 3}[len(panels)]
    assert all(len(used) == 1 for used in colours.values())
    shown = [ax for ax in drawing.figure.axes if ax.lines]
    assert len(shown) == {0: 1, 1: 2, 2: 8}[len(panels)]


@pytest.fixture(scope="module")
def compared(scheduler: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("compare") / "study"
    whole = study(grid={}, compare=COMPARE, keep={"rule": ["dfc"]})
    swept = sweep(whole, root, Options(scheduler=scheduler, quiet=True))
    write_report(whole, root, swept.table)
    return root


def test_forms_are_compared_chip_by_chip(compared: Path) -> None:
    tests = pd.read_csv(compared / "tables" / "tests.csv")
    assert len(tests) == 4
    assert tests["n"].tolist() == [2] * 4
    table = pd.read_parquet(compared / "table.parquet")
    means = table.groupby(["form", "kind", "sigma"])["test_accuracy"].mean()
    first = tests.iloc[0]
    place = (first["kind"], first["sigma"])
    assert first["difference"] == pytest.approx(means["spiking"][place] - means["rate"][place])


def test_the_page_is_complete(compared: Path) -> None:
    page = (compared / "report.html").read_text(encoding="utf-8")
    for target in re.findall(r'href="([^"#][^"]*)"', page):
        assert target.startswith("data:")  # the page can be mailed
    for name in re.findall(r'href="#([^"]+)"', page):
        assert f'id="{name}"' in page
    assert not re.search(r'(src|href)="https?:', page)
    assert page.count("<figure") == 3
    for ending in ("svg", "png", "pdf", "csv"):
        assert len(list((compared / "figures").glob(f"*.{ending}"))) == 3


CHROMIUM = next(
    filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome", "chrome"))), None
)


@pytest.mark.skipif(
    CHROMIUM is None and "SPIKETRAIN_BROWSER" not in os.environ, reason="no Chromium on this system"
)
def test_a_browser_shows_the_page(compared: Path, tmp_path: Path) -> None:
    """Every figure has a size, every link inside the page a target, and the console stays empty."""
    assert CHROMIUM is not None, "SPIKETRAIN_BROWSER asks for one"
    probe = """
<script>
addEventListener("load", () => {
  const all = (what) => [...document.querySelectorAll(what)];
  const seen = all("figure svg.wide").filter(s => s.getBoundingClientRect().height > 50);
  const lost = all('a[href^="#"]').filter(a => !document.querySelector(a.hash));
  document.title = `figures ${seen.length} lost ${lost.length}`;
});
</script></body>"""
    copy = compared / "probed.html"
    copy.write_text(
        (compared / "report.html").read_text(encoding="utf-8").replace("</body>", probe), encoding="utf-8"
    )
    command = [
        str(CHROMIUM),
        "--headless",
        "--no-sandbox",
        "--disable-gpu",
        f"--user-data-dir={tmp_path}",
        "--enable-logging=stderr",
        "--virtual-time-budget=5000",
        "--dump-dom",
        copy.as_uri(),
    ]
    done = subprocess.run(command, capture_output=True, text=True, timeout=180, check=True)
    assert "<title>figures 3 lost 0</title>" in done.stdout
    assert "CONSOLE" not in done.stderr


def test_gain_angle_and_correlation_in_closed_form() -> None:
    w = torch.rand(2, 10, 7, dtype=torch.float64)
    gains = torch.rand(2, 7, dtype=torch.float64) + 0.5
    assert torch.allclose(gain(w * gains.unsqueeze(1), w), gains)
    assert torch.allclose(r2(gains, 3.0 * gains - 1.0), torch.ones(2, dtype=torch.float64))
    assert torch.allclose(r2(gains, -gains), -torch.ones(2, dtype=torch.float64))
    assert r2(gains, torch.ones_like(gains)).tolist() == [0.0, 0.0]
    x = torch.tensor([[[1.0, 0.0]]])
    assert angle(x, torch.tensor([[[1.0, 1.0]]])).item() == pytest.approx(45.0)


def test_the_time_to_identify_is_when_the_angle_has_settled() -> None:
    moments = [(1, 80.0), (2, 40.0), (5, 22.0), (10, 21.0), (20, 20.0)]
    rows = [{"rule": "a", "chip": 0, "epoch": 0, "batch": b, "angle_1": a} for b, a in moments]
    assert time_to_identify(pd.DataFrame(rows), ["rule"], 5.0)["batches"].tolist() == [5]
    assert time_to_identify(pd.DataFrame(rows), ["rule"], 90.0)["batches"].tolist() == [1]


def test_identified_feedback_knows_the_chip_better_than_the_design(tmp_path: Path, options: Options) -> None:
    """The order that must hold on a small rate chip: identified above nominal, gains and angles."""
    deviating = {
        f"mismatch.{name}": {"distribution": "normal", "cv": 0.2} for name in ("weight", "gain", "offset")
    }
    feedback = {"name": "identified", "sigma": 0.1, "warmup": 60}
    small = study(
        grid={"batch size": {"keys": ["training.batch"], "values": [32]}},
        set={"rule": {**DFC, "feedback": feedback}, **deviating},
        identify={"batches": [1, 10, 60], "epochs": 1, "x": "batch size"},
    )
    page, failed = identify(small, tmp_path / "s", options)
    assert failed == 0
    progress = pd.read_csv(tmp_path / "s" / "identify.csv")
    assert sorted(set(zip(progress["batch"], progress["epoch"], strict=True))) == [
        (1, 0),
        (10, 0),
        (60, 0),
        (60, 1),
    ]
    last = progress[(progress["batch"] == 60) & (progress["epoch"] == 0)]
    assert (last["gain_r2_identified_1"] > 0.85).all()
    assert (last["gain_r2_identified_1"] > last["gain_r2_nominal_1"] + 0.2).all()
    assert (last["angle_1"] < last["angle_nominal_1"]).all()
    gains = pd.read_csv(tmp_path / "s" / "gains.csv")
    assert len(gains) == 2 * 12
    figures = {path.stem for path in (tmp_path / "s" / "figures").glob("*.svg")}
    assert figures == {
        *("identification", "training", "gains"),
        *("gain_r2_against_batch_size", "batches_against_batch_size"),
    }
    assert "identified minus nominal" in page.read_text(encoding="utf-8")


@pytest.mark.parametrize(("key", "name"), [("x", "seed"), ("panels", "sigma")])
def test_what_identification_draws_must_be_a_column(
    key: str, name: str, tmp_path: Path, options: Options
) -> None:
    with pytest.raises(InputError, match=rf"identify\.{key}"):
        identify(study(seeds=2, identify={key: name}), tmp_path / "s", options)
    assert not (tmp_path / "s").exists()


def test_curves_of_identification_get_a_row_per_level() -> None:
    rows = [
        {"form": form, "sigma": sigma, "chip": chip, "epoch": 0, "batch": batch}
        | {"angle_1": 40.0 / batch + sigma + chip, "gain_r2_identified_1": 1.0 - 0.5 / batch}
        for form, sigma, chip, batch in itertools.product(("rate", "spiking"), (0.1, 0.2), (0, 1), (1, 5))
    ]
    figure = progress_curves(pd.DataFrame(rows), ["form", "sigma"], ["form"]).figure
    assert [len(ax.lines) for ax in figure.axes] == [2, 3, 2, 3], "two sigmas, and a line at R² = 0"
    assert list(figure.axes[0].lines[1].get_ydata()) == pytest.approx([40.7, 8.7])
    later = progress_curves(pd.DataFrame(rows[2:]), ["form", "sigma", "chip"], ["form"]).figure
    assert len(later.legends[0].get_texts()) == 4, "a line that the first panel lacks is in the legend too"


def test_a_search_gives_every_candidate_its_budget_on_other_chips(tmp_path: Path, options: Options) -> None:
    config = study(
        grid={},
        list={"rule": [{"label": "bp"}, {"label": "fa", "rule": {"name": "feedback_alignment"}}]},
        tune={
            "trials": 3,
            "chips": 1,
            "chip_offset": 100,
            "search": {
                "training.learning_rate": {"low": 0.001, "high": 0.1, "log": True},
                "training.hidden_scale": {"choices": [1.0, 3.0]},
            },
            "entries": {
                "bp": {"training.hidden_scale": None},
                "bp, fa": {"training.decay": {"low": 0.5, "high": 1.0}},
            },
        },
    )
    _, table = tune(config, tmp_path / "s", options)
    assert table.groupby("candidate")["trial"].count().to_dict() == {"bp": 3, "fa": 3}
    assert table["training.learning_rate"][0] == 0.01, "the config's own setting is tried first"
    assert table.groupby("candidate")["training.hidden_scale"].count().to_dict() == {"bp": 0, "fa": 3}
    used = [yaml.safe_load(p.read_text())["mismatch"] for p in (tmp_path / "s").glob("cells/*/config.yaml")]
    assert {(m["first_chip"], m["chips"]) for m in used} == {(100, 1)}
    chosen = load_experiment(str(tmp_path / "s" / "chosen" / "bp.yaml"))
    best = table[table["candidate"] == "bp"].sort_values("validation_accuracy").iloc[-1]
    assert chosen.training.learning_rate == best["training.learning_rate"]
    assert (chosen.mismatch.first_chip, chosen.mismatch.chips) == (0, 2)
    assert chosen.build_network() == Experiment.from_mapping({"name": "base", **BASE}).build_network()
    nobody = replace(options, resume=True, scheduler="tcp://127.0.0.1:1")  # nothing is left to compute
    pd.testing.assert_frame_equal(tune(config, tmp_path / "s", nobody)[1], table)
    _refuses_other_logs(config, tmp_path / "s", nobody)


def _refuses_other_logs(config: Study, root: Path, options: Options) -> None:
    """The trials of a folder that somebody else wrote: words, other objects, a pipe; no word is run."""
    log = root / "trials.log"
    lines = log.read_bytes().splitlines(keepends=True)
    wrong = [
        b"words\n" * 3,
        b"[1, 2]\n" * 3,
        b'{"op_code": 99}\n' * 3,
        lines[0] + b'{"op_code": 4, "worker_id": "x"}\n' + lines[1],
        b"[" * 100_000 + b"\n",
    ]
    for content in wrong:
        log.write_bytes(content)
        with pytest.raises(InputError, match=r"trials\.log: got 'a damaged file'"):
            tune(config, root, options)
    log.unlink()
    os.mkfifo(log)
    with pytest.raises(InputError, match=r"trials\.log"):
        tune(config, root, options)


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        ({"chip_offset": 1}, r"tune\.chip_offset"),
        ({"search": {}}, r"tune\.search"),
        ({"entries": {"0.1, rules": {}}}, r"tune\.entries"),
        ({"search": {"training.learning_rate": {"low": 1.0, "high": 0.1}}}, r"training\.learning_rate"),
    ],
)
def test_a_search_that_would_look_at_the_reported_chips_is_refused(
    keys: dict[str, object], message: str, tmp_path: Path, options: Options
) -> None:
    ranges = {"training.learning_rate": {"low": 0.001, "high": 0.1}}
    with pytest.raises(InputError, match=message):
        tune(study(grid={}, tune={"search": ranges, **keys}), tmp_path / "s", options)


def test_overrides_are_for_the_cells_or_for_the_study() -> None:
    found = load_study("studies/mismatch.yaml", ["study.compare.chips=3", "training.epochs=2"])
    assert found.compare is not None
    assert found.compare.chips == 3
    cells = list(Plan(found).cells())
    assert {(c.config["mismatch"]["chips"], c.config["training"]["epochs"]) for c in cells} == {(3, 2)}


def test_a_folder_says_which_study_it_is_for(compared: Path) -> None:
    whole = study(grid={}, compare=COMPARE, keep={"rule": ["dfc"]})
    assert stored_study(compared).resolved() == whole.resolved()
    with pytest.raises(InputError, match="folder of a study"):
        stored_study(compared / "figures")


@pytest.mark.parametrize("name", [n for n in shipped() if n.startswith("studies/") and "all" not in n])
@pytest.mark.parametrize("quick", [False, True])
def test_the_shipped_studies_can_be_planned(name: str, quick: bool) -> None:
    found = load_study(name, quick=quick)
    plan = Plan(found)
    assert plan.errors == {}
    if quick:
        assert len(plan) <= 24


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (
            ["sweep", "-c", "studies/mismatch.yaml", "--dry-run"],
            0,
            "240 cells; varied: rule, form, task, kind, sigma, seed",
        ),
        (["sweep", "--resume"], 2, "--output DIR"),
        (["compare", "-c", "dfc_lif.yaml"], 2, "unknown key"),
        (["compare", "-c", "studies/depth.yaml"], 2, "section compare"),
        (["sweep", "-c", "studies/depth.yaml", "--cluster", "moon", "-o", "x"], 2, "No such option"),
        (["identify", "-c", "studies/depth.yaml", "--output", "{tmp}"], 2, "section identify"),
        (["tune", "-c", "studies/depth.yaml", "--output", "{tmp}"], 2, "section tune"),
        (["sweep", "--resume", "--output", "{tmp}"], 2, "folder of a study"),
    ],
)
def test_commands(arguments: list[str], code: int, said: str, tmp_path: Path) -> None:
    result = CliRunner().invoke(app, [a.replace("{tmp}", str(tmp_path)) for a in arguments])
    assert result.exit_code == code, result.output
    assert said in result.output
