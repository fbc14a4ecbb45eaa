"""Settings that a search found, and studies that are computed with them: equal tuning for all, or refused."""

from __future__ import annotations

import csv
from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import yaml
from small_study import BASE, study
from typer.testing import CliRunner

from root.errors import InputError
from spiketrain.cli import app
from spiketrain.studies.plan import Plan
from spiketrain.studies.results import build
from spiketrain.studies.settings import settings_table
from spiketrain.studies.study import Study, load_study
from spiketrain.studies.sweep import Options, sweep
from spiketrain.studies.tune import tune

ARMS = [{"label": "bp"}, {"label": "fa", "rule": {"name": "feedback_alignment"}}]
SEARCH = {
    "trials": 2,
    "chips": 1,
    "chip_offset": 100,
    "search": {"training.learning_rate": {"low": 0.001, "high": 0.1, "log": True}},
    "entries": {"fa": {"training.decay": {"low": 0.5, "high": 1.0}}},
    "set": {"training.validation": 0.2},
    "keep": {"mismatch.weight.cv": [0.1]},
}
UNHELD = {**BASE, "training": {**BASE["training"], "validation": 0.0}}


def found(*arms: tuple[dict[str, Any], dict[str, Any]]) -> dict[str, Any]:
    """Return settings as a search would write them."""
    listed = [{"columns": columns, "values": values, "validation": 0.9} for columns, values in arms]
    return {"study": "search", "trials": 30, "chips": [100, 101], "found": listed}


def planned(**keys: Any) -> dict[tuple[str, float], dict[str, Any]]:
    """Return the cells' sections `training` by arm and mismatch."""
    plan = Plan(study(list={"arm": ARMS}, **keys))
    return {(c.columns["arm"], c.columns["mismatch.weight.cv"]): c.config["training"] for c in plan.cells()}  # type: ignore[misc]


@pytest.fixture(scope="module")
def searched(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Study]:
    """Return the folder of a small search, and its study."""
    root = tmp_path_factory.mktemp("searched")
    config = study(base=UNHELD, list={"arm": ARMS}, tune=SEARCH, analysis=ANALYSIS)
    tune(config, root / "s", Options(in_process=True, quiet=True))
    return root / "s", config


ANALYSIS = {"x": "mismatch.weight.cv", "compare": "arm", "reference": "bp"}


def test_what_is_found_at_one_mismatch_is_for_every_cell(searched: tuple[Path, Study]) -> None:
    root, config = searched
    written = yaml.safe_load((root / "settings.yaml").read_text())
    assert [one["columns"] for one in written["found"]] == [{"arm": "bp"}, {"arm": "fa"}]
    assert (written["trials"], written["chips"]) == (2, [100, 100])
    trained = [yaml.safe_load(p.read_text()) for p in root.glob("cells/*/config.yaml")]
    assert {c["mismatch"]["weight"]["cv"] for c in trained} == {0.1}, "only what is kept is searched"
    assert {c["training"]["validation"] for c in trained} == {0.2}
    tuned = study(base=UNHELD, list={"arm": ARMS}, tuned=written)
    for cell in Plan(tuned).cells():
        values = written["found"][cell.columns["arm"] == "fa"]["values"]
        assert cell.config["training"]["learning_rate"] == values["training.learning_rate"]
        assert cell.config["training"]["validation"] == 0.0, "what is set for the trials is for them alone"
    assert config.tuned is None


def test_settings_are_read_by_name_and_stand_in_the_text(
    searched: tuple[Path, Study], tmp_path: Path
) -> None:
    root, _ = searched
    file = tmp_path / "mine.yaml"
    content = {"base": UNHELD, "list": {"arm": ARMS}, "grid": {"mismatch.weight.cv": [0.3]}}
    content |= {"tune": {**SEARCH, "keep": {}}, "tuned": str(root / "settings.yaml"), "analysis": ANALYSIS}
    file.write_text(yaml.safe_dump(content))
    config = load_study(str(file))
    sweep(config, tmp_path / "s", Options(in_process=True, quiet=True))
    text = build(tmp_path / "s").text
    assert "the best of 2 trials on chips 100 to 100 by validation accuracy (study `small`)" in text
    assert "(0.001 to 0.1)" in text
    again = tune(config, tmp_path / "t", Options(in_process=True, quiet=True))[1]
    assert set(again["candidate"]) == {"bp", "fa"}, (
        "a study that is computed with settings can be searched again"
    )


def test_the_closest_candidate_counts_and_settings_overrule_axes() -> None:
    one = ({"arm": "bp"}, {"training.learning_rate": 0.5})
    closer = ({"arm": "bp", "mismatch.weight.cv": 0.3}, {"training.learning_rate": 0.25})
    other = ({"arm": "fa"}, {"training.decay": 0.5})
    seen = planned(tuned=found(one, closer, other))
    assert {key: part["learning_rate"] for key, part in seen.items()} == {
        ("bp", 0.1): 0.5,
        ("bp", 0.3): 0.25,
        ("fa", 0.1): 0.01,
        ("fa", 0.3): 0.01,
    }


@pytest.mark.parametrize(
    ("keys", "said"),
    [
        ({"tuned": found(({"arm": "bp"}, {"training.decay": 0.5}))}, r"tuned: got 'none for arm: fa"),
        ({"tuned": found(({}, {"mismatch.weight.cv": 0.5}))}, r"tuned: mismatch\.weight\.cv"),
        ({"tuned": "nowhere.yaml"}, r"tuned: got 'nowhere\.yaml'"),
        ({"tuned": found(({}, {"training.bad": 1}))}, r"training\.bad"),
        ({"tuned": {"study": "s", "trials": 3, "chips": [1, 2], "found": []}}, r"tuned\.found"),
    ],
)
def test_settings_that_do_not_fit_are_refused(keys: dict[str, Any], said: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=said):
        planned(**keys)


@pytest.mark.parametrize("command", [[], ["sweep"]])
def test_settings_are_no_config_and_no_study(command: list[str], tmp_path: Path) -> None:
    call = [*command, "--config", "settings/budget_digits.yaml", "--output", str(tmp_path / "out")]
    result = CliRunner().invoke(app, call)
    assert result.exit_code == 2
    assert "a study takes it by tuned: settings/budget_digits.yaml" in " ".join(result.output.split())
    assert not (tmp_path / "out").exists()


def test_a_value_at_an_end_of_its_range_is_marked() -> None:
    within = {"low": 0.001, "high": 0.1, "log": True}
    one = {"columns": {}, "values": {"training.learning_rate": 0.1}, "validation": 0.9}
    config = study(tuned={**found(), "found": [{**one, "ranges": {"training.learning_rate": within}}]})
    assert config.tuned is not None
    table = settings_table(config.tuned, [{}])
    assert table["training.learning_rate"].tolist() == ["0.1* (0.001 to 0.1)"]


def test_resumed_with_other_settings_is_another_study(tmp_path: Path) -> None:
    quiet = Options(in_process=True, quiet=True)
    sweep(study(tuned=found(({}, {"training.learning_rate": 0.02}))), tmp_path / "s", quiet)
    other = study(tuned=found(({}, {"training.learning_rate": 0.03})))
    with pytest.raises(InputError, match="tuned"):
        sweep(other, tmp_path / "s", replace(quiet, resume=True))


def test_trials_that_are_behind_end_early(tmp_path: Path) -> None:
    """Of three that come to a rung one goes on, as halving has it; told from the curves alone."""
    search = {
        "trials": 9,
        "chips": 1,
        "chip_offset": 100,
        "search": {"training.learning_rate": {"low": 0.00001, "high": 1.0, "log": True}},
        "halving": {"first": 0.25, "factor": 3},
    }
    config = study(grid={}, set={"training.epochs": 8}, tune=search)
    options = Options(in_process=True, quiet=True)
    _, table = tune(config, tmp_path / "s", options)
    curves = []
    for rate in table["training.learning_rate"]:
        cell = next(
            c for c in (tmp_path / "s" / "cells").iterdir() if f"{rate}" in (c / "config.yaml").read_text()
        )
        rows = [row for row in csv.DictReader((cell / "metrics.csv").open()) if row["epoch"] != "0"]
        curves.append([float(row["validation_accuracy"]) for row in rows])
    at = {2: [], 6: []}
    for curve, early, value in zip(curves, table["ended_early"], table["validation_accuracy"], strict=True):
        length = 8
        for rung in (2, 6):
            if length == 8:
                kept = (len(at[rung]) + 1) // 3
                asked = sorted(at[rung])[-kept] if kept else 0.0
                at[rung].append(curve[rung - 1])
                length = 8 if curve[rung - 1] >= asked else rung
        assert (len(curve), early, value) == (length, length < 8, curve[-1])
    assert table["ended_early"].sum() >= 3
    assert yaml.safe_load((tmp_path / "s" / "settings.yaml").read_text())["found"][0]["validation"] == max(
        curve[-1] for curve in curves if len(curve) == 8
    )
    again = tune(config, tmp_path / "s", replace(options, resume=True))[1]
    pd.testing.assert_frame_equal(again, table)


def test_candidates_that_try_the_same_have_a_trial_each(tmp_path: Path) -> None:
    """What is asked of a trial on its way depends on whose it is: the second does not take the first's."""
    rates = [
        {"label": "slow", "training.learning_rate": 0.01},
        {"label": "fast", "training.learning_rate": 0.1},
    ]
    search = {
        "trials": 1,
        "chips": 1,
        "chip_offset": 100,
        "search": {"training.learning_rate": {"choices": [0.05]}},
        "halving": {"first": 0.5, "factor": 3},
    }
    both = study(grid={}, list={"arm": rates}, tune=search)
    tune(both, tmp_path / "s", Options(in_process=True, quiet=True))
    assert len(list((tmp_path / "s" / "cells").iterdir())) == 2


def test_what_will_be_searched_can_be_counted() -> None:
    counted = CliRunner().invoke(app, ["tune", "-c", "studies/budget.yaml", "--dry-run"])
    assert counted.output.startswith("16 cells"), "one mismatch, one seed"
    assert (
        CliRunner()
        .invoke(app, ["sweep", "-c", "studies/budget.yaml", "--dry-run"])
        .output.startswith("96 cells")
    )
