"""Several studies under one name: each in its folder, gone on with together, whatever fails in one."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import typer
import yaml
from small_study import BASE
from typer.testing import CliRunner

from root.errors import InputError
from spiketrain.cli import app
from spiketrain.commands.sweep import _gather
from spiketrain.config.finding import shipped
from spiketrain.studies.collection import Collection, CollectionFolder, load_collection, stored_collection
from spiketrain.studies.sweep import Options

OPTIONS = Options(in_process=True, quiet=True)


@pytest.fixture
def collection(tmp_path: Path) -> Collection:
    """Two studies, the second of which has a cell that cannot be computed."""
    grids: dict[str, Any] = {"good": {"mismatch.weight.cv": [0.1]}, "bad": {"training.batch": [128, 0]}}
    for name, grid in grids.items():
        (tmp_path / f"{name}.yaml").write_text(yaml.safe_dump({"name": name, "base": BASE, "grid": grid}))
    members = {
        "second": {"study": str(tmp_path / "bad.yaml")},
        "first": {"study": str(tmp_path / "good.yaml"), "set": {"mismatch.chips": 1}},
    }
    return Collection.from_mapping({"name": "both", "studies": members})


def test_every_study_is_computed_whatever_fails_in_another(collection: Collection, tmp_path: Path) -> None:
    root = tmp_path / "runs"
    with pytest.raises(typer.Exit):
        _gather(collection, root, OPTIONS)
    listed = pd.read_csv(root / "studies.csv")
    assert listed[["study", "finished", "failed"]].values.tolist() == [["second", 1, 1], ["first", 1, 0]]
    assert (listed["hours"] > 0).all()
    assert pd.read_csv(root / "first" / "table.csv")["chip"].tolist() == [0]  # the member's own change
    assert len(pd.read_csv(root / "second" / "table.csv")) == 2
    assert (root / "first" / "report.html").is_file()

    written = {p: p.stat().st_mtime_ns for p in root.glob("*/cells/*/summary.json")}
    again = stored_collection(root)
    assert again == collection
    assert again is not None
    with pytest.raises(typer.Exit):
        _gather(again, root, Options(in_process=True, quiet=True, resume=True))
    assert {p: p.stat().st_mtime_ns for p in root.glob("*/cells/*/summary.json")} == written


def test_a_study_without_data_is_left_out_and_said_first(
    collection: Collection, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    root, data = tmp_path / "runs", tmp_path / "data"
    base = {**BASE, "task": {"name": "npz", "file": "d.npz"}}
    (tmp_path / "bad.yaml").write_text(yaml.safe_dump({"name": "bad", "base": base, "grid": {}}))
    with pytest.raises(typer.Exit):
        _gather(collection, root, OPTIONS)
    assert "second is left out: task.file: " in capsys.readouterr().err
    assert pd.read_csv(root / "studies.csv")["study"].tolist() == ["first"]
    data.mkdir()
    np.savez(data / "d.npz", x=np.random.default_rng(0).random((400, 64)), y=np.arange(400) % 10)
    _gather(collection, root, replace(OPTIONS, resume=True, data_dir=data))
    assert pd.read_csv(root / "studies.csv")["study"].tolist() == ["second", "first"]


def test_a_folder_keeps_its_collection(collection: Collection, tmp_path: Path) -> None:
    root = tmp_path / "runs"
    with CollectionFolder(root, collection, resume=False), pytest.raises(InputError, match="no other run"):
        CollectionFolder(root, collection, resume=True)
    with pytest.raises(InputError, match="--resume"):
        CollectionFolder(root, collection, resume=False)
    with pytest.raises(InputError, match=r"^quick: .*another --output"):
        CollectionFolder(root, collection.model_copy(update={"quick": True}), resume=True)
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "notes.txt").write_text("mine")
    with pytest.raises(InputError, match=r"notes\.txt"):
        CollectionFolder(tmp_path / "other", collection, resume=True)
    assert stored_collection(tmp_path / "other") is None


def test_all_the_evidence_is_every_study_but_the_benchmark() -> None:
    found = load_collection("studies/all.yaml")
    assert found is not None
    others = {"studies/all.yaml", "studies/scaling.yaml"}
    assert {member.study for member in found.studies.values()} == {
        name for name in shipped() if name.startswith("studies/") and name not in others
    }


def test_cells_are_counted_and_nothing_is_written(collection: Collection, tmp_path: Path) -> None:
    path = tmp_path / "c.yaml"
    path.write_text(yaml.safe_dump({"studies": collection.resolved()["studies"]}))
    found = CliRunner().invoke(
        app, ["sweep", "-c", str(path), "--dry-run", "--output", str(tmp_path / "runs")]
    )
    assert found.exit_code == 0, found.output
    assert "first: 1 cells" in found.output
    assert "second: impossible: training.batch" in found.output
    assert "3 cells in 2 studies" in found.output
    assert not (tmp_path / "runs").exists()
    searched = {"s": {"study": "studies/budget.yaml", "set": {"study.analysis": None}}}
    path.write_text(yaml.safe_dump({"studies": searched}))
    found = CliRunner().invoke(app, ["sweep", "-c", str(path), "--dry-run"])
    assert "s: 16 cells" in found.output, "what is searched, of one mismatch and seed"


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ({"studies": {}}, "studies: "),
        ({"studies": {"a": {"set": {}}}}, "studies.a.study: got 'nothing'"),
        ({"studies": {"a/b": {"study": "studies/deep.yaml"}}}, "studies"),
        ({"studies": {"a": {"study": "nowhere.yaml"}}}, "studies.a: --config: got 'nowhere.yaml'"),
        ({"studies": {"a": {"study": "studies/deep.yaml"}}, "grid": {}}, "one of the keys name, studies"),
        ({"studies": {"a": {"study": "studies/deep.yaml", "sets": {}}}}, "one of the keys study, set"),
    ],
)
def test_what_is_wrong_is_said_before_anything_is_written(
    content: dict[str, Any], said: str, tmp_path: Path
) -> None:
    path, root = tmp_path / "c.yaml", tmp_path / "runs"
    path.write_text(yaml.safe_dump(content))
    found = CliRunner().invoke(app, ["sweep", "-c", str(path), "--output", str(root)])
    assert (found.exit_code, said in found.output) == (2, True), found.output
    assert not root.exists()


def test_a_study_is_no_collection_and_neither_is_an_experiment() -> None:
    assert load_collection("studies/deep.yaml") is None
    found = CliRunner().invoke(app, ["--config", "studies/all.yaml"])
    assert (found.exit_code, "spiketrain sweep --config" in found.output) == (2, True), found.output


def test_a_study_that_compares_is_computed_though_it_can_be_searched(tmp_path: Path) -> None:
    """The same file twice: as it is, and without its analysis, which leaves the search."""
    search = {
        "trials": 1,
        "chips": 1,
        "chip_offset": 9,
        "search": {"training.learning_rate": {"low": 0.001, "high": 0.1}},
    }
    content = {"base": BASE, "grid": {"mismatch.weight.cv": [0.1, 0.2]}, "tune": search}
    content["analysis"] = {"x": "mismatch.weight.cv", "compare": "mismatch.weight.cv"}
    file = tmp_path / "both.yaml"
    file.write_text(yaml.safe_dump(content))
    members = {
        "search": {
            "study": str(file),
            "set": {"study.analysis": None, "study.keep": {"mismatch.weight.cv": [0.1]}},
        },
        "run": {"study": str(file)},
    }
    _gather(Collection.from_mapping({"name": "two", "studies": members}), tmp_path / "runs", OPTIONS)
    assert (tmp_path / "runs" / "search" / "settings.yaml").is_file()
    assert not (tmp_path / "runs" / "run" / "settings.yaml").exists()
    assert len(pd.read_csv(tmp_path / "runs" / "run" / "cells.csv")) == 2
