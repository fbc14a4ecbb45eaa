"""Sweeps: nothing twice, nothing lost, one driver, and the same table whatever happened on the way."""

from __future__ import annotations

import errno
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from small_study import study

import spiketrain.studies.table as table_module
from root.errors import InputError, SimulationError
from spiketrain.record.lock import FolderLock
from spiketrain.studies.engine import DaskEngine
from spiketrain.studies.folder import Cells, StudyFolder
from spiketrain.studies.plan import Plan
from spiketrain.studies.sweep import Options, sweep
from spiketrain.studies.work import Outcome, compute, run_cell


@pytest.fixture(scope="module")
def finished(scheduler: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("sweep") / "study"
    sweep(study(), root, Options(scheduler=scheduler, quiet=True))
    return root


def table_of(root: Path) -> pd.DataFrame:
    return pd.read_parquet(root / "table.parquet")


def test_the_table_has_a_row_per_cell_and_chip(finished: Path) -> None:
    table = table_of(finished)
    assert len(table) == 2 * 2
    assert list(table.columns[:3]) == ["cell", "mismatch.weight.cv", "chip"]
    pd.testing.assert_frame_equal(
        table, pd.read_csv(finished / "table.csv", keep_default_na=False), check_dtype=False
    )
    summary = json.loads((finished / "cells" / table["cell"][0] / "summary.json").read_text())
    assert table["test_accuracy"].tolist()[:2] == summary["test_accuracy"]


def test_a_cell_is_the_run_of_its_config(finished: Path, tmp_path: Path) -> None:
    cell = next(Plan(study()).cells())
    alone = run_cell(str(tmp_path), cell.key, dict(cell.config), None)
    assert alone.status == "finished"
    assert alone.accuracy == pytest.approx(table_of(finished)["test_accuracy"][:2].mean(), abs=1e-12)


def test_nothing_is_computed_twice(finished: Path, options: Options) -> None:
    written = {p: p.stat().st_mtime_ns for p in finished.glob("cells/*/summary.json")}
    sweep(study(), finished, replace(options, resume=True, scheduler="tcp://127.0.0.1:1"))  # never asked
    assert {p: p.stat().st_mtime_ns for p in finished.glob("cells/*/summary.json")} == written


def test_an_unreadable_cell_is_set_aside_and_computed_again(tmp_path: Path, options: Options) -> None:
    before = sweep(study(), tmp_path / "s", options).table
    key = before["cell"][0]
    (tmp_path / "s" / "cells" / key / "summary.json").write_bytes(b"\x00\xff")
    after = sweep(study(), tmp_path / "s", replace(options, resume=True)).table
    pd.testing.assert_frame_equal(before, after)
    assert (tmp_path / "s" / "damaged" / f"{key}-0" / "weights.safetensors").is_file()


def test_a_bad_cell_is_kept_with_its_error_and_the_rest_goes_on(tmp_path: Path, options: Options) -> None:
    bad = study(grid={"training.batch": [128, 0]})
    swept = sweep(bad, tmp_path / "s", options)
    assert (swept.cells, swept.failed, len(swept.table)) == (2, 1, 2)
    listed = pd.read_csv(tmp_path / "s" / "cells.csv")
    assert listed["status"].tolist() == ["finished", "failed"]
    assert "training.batch" in listed["error"][1]
    kept = json.loads((tmp_path / "s" / "failed" / f"{listed['cell'][1]}.json").read_text())
    assert kept["config"]["training"]["batch"] == 0
    again = sweep(bad, tmp_path / "s", replace(options, resume=True, retry_failed=True))
    assert again.failed == 1


def test_two_drivers_on_one_folder_are_refused(finished: Path, options: Options) -> None:
    lock = FolderLock(finished)
    try:
        with pytest.raises(InputError, match="no other run"):
            sweep(study(), finished, replace(options, resume=True))
    finally:
        lock.release()


def test_another_config_is_refused(finished: Path, options: Options) -> None:
    with pytest.raises(InputError, match=r"grid.*keeps its config"):
        sweep(study(grid={"mismatch.weight.cv": [0.5]}), finished, replace(options, resume=True))
    with pytest.raises(InputError, match="--resume"):
        sweep(study(), finished, options)


def test_a_config_that_changes_under_the_driver_is_noticed(tmp_path: Path) -> None:
    with StudyFolder.open(tmp_path / "s", study(), resume=False) as folder:
        stored = (tmp_path / "s" / "study.yaml").read_text()
        (tmp_path / "s" / "study.yaml").write_text(stored.replace("0.3", "0.4"))
        with pytest.raises(InputError, match="keeps its config"):
            folder.check()


def test_a_folder_of_something_else_is_refused(tmp_path: Path, options: Options) -> None:
    (tmp_path / "thesis.tex").touch()
    with pytest.raises(InputError, match=r"thesis\.tex"):
        sweep(study(), tmp_path, options)


def no_space(*_: Any) -> None:
    raise OSError(errno.ENOSPC, "No space left on device")


def on_a_full_disk(root: str, key: str, config: dict[str, Any], data_dir: str | None) -> Outcome:
    return compute(root, key, config, data_dir, no_space)


def test_a_full_disk_ends_the_sweep_and_loses_nothing(tmp_path: Path, options: Options) -> None:
    with pytest.raises(SimulationError, match=r"disk of .* is full; 0 finished cells are kept"):
        sweep(study(), tmp_path / "s", options, on_a_full_disk)
    assert not list(tmp_path.glob("s/failed/*"))
    assert len(sweep(study(), tmp_path / "s", replace(options, resume=True)).table) == 4


def test_a_disk_that_fills_up_with_the_table(
    tmp_path: Path, options: Options, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(table_module, "write_text", no_space)
    with pytest.raises(SimulationError, match="2 finished cells are kept"):
        sweep(study(), tmp_path / "s", options)
    monkeypatch.undo()
    assert len(sweep(study(), tmp_path / "s", replace(options, resume=True)).table) == 4


def test_the_first_to_publish_wins(tmp_path: Path) -> None:
    cells = Cells(tmp_path)
    for content in ("first", "second"):
        folder = cells.under_way("a")
        folder.mkdir(parents=True)
        (folder / "summary.json").write_text(json.dumps({"test_accuracy": [1.0], "who": content}))
        cells.publish("a")
    summary = cells.summary("a")
    assert summary is not None
    assert summary["who"] == "first"
    assert not cells.under_way("a").exists()


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        ({"cluster": "moon"}, "local, slurm"),
        ({"scheduler": "tcp://127.0.0.1:1"}, "running Dask scheduler"),
        ({"scheduler": "tcp://127.0.0.1:1", "workers": 2}, "without --workers 2"),
    ],
)
def test_an_engine_that_cannot_be(keys: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        DaskEngine(**keys)
