"""Folders of studies that were damaged, data that changed, and labels that want to be something else."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np
import pandas as pd
import pytest
from small_study import BASE, study
from typer.testing import CliRunner

from root.errors import DamagedError, InputError
from spiketrain.cli import app
from spiketrain.config import Experiment
from spiketrain.record.scratch import USED, scratch
from spiketrain.studies.folder import StudyFolder
from spiketrain.studies.plan import Plan
from spiketrain.studies.report import write_report
from spiketrain.studies.study import Study, stored_study
from spiketrain.studies.sweep import Options, sweep

BOMB = "a: &a [x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"{b}: &{b} [{', '.join([f'*{a}'] * 9)}]\n" for a, b in zip("abcdefgh", "bcdefghi", strict=True)
)


@pytest.mark.parametrize(
    "content",
    [b"", b"- 1", b"a: [1", bytes(range(256)), BOMB.encode(), b"a: !!python/name:os.system", None],
    ids=["empty", "a list", "no YAML", "binary", "an alias bomb", "a tag", "a pipe"],
)
def test_a_stored_study_is_input(content: bytes | None, tmp_path: Path) -> None:
    path = tmp_path / "study.yaml"
    os.mkfifo(path) if content is None else path.write_bytes(content)
    with pytest.raises(DamagedError, match=r"study\.yaml"):
        stored_study(tmp_path)
    result = CliRunner().invoke(app, ["sweep", "--resume", "--output", str(tmp_path)])
    assert result.exit_code == 2
    assert "study.yaml" in result.stderr
    assert result.stderr.count("\n") == 1


def rewrite(path: Path, **changes: Any) -> None:
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))


DAMAGE: dict[str, Callable[[Path], Any]] = {
    "summary: a list": lambda cell: (cell / "summary.json").write_text("[]"),
    "summary: very deep": lambda cell: (cell / "summary.json").write_text("[" * 100_000),
    "summary: words": lambda cell: rewrite(cell / "summary.json", test_accuracy=["good"]),
    "summary: one number": lambda cell: rewrite(cell / "summary.json", test_accuracy=0.5),
    "summary: no mismatch": lambda cell: rewrite(cell / "summary.json", mismatch=None),
    "summary: a word for a chip": lambda cell: rewrite(cell / "summary.json", mismatch={"first_chip": "x"}),
    "summary: no reasons": lambda cell: rewrite(cell / "summary.json", diverged_chips=3),
    "summary: a pipe": lambda cell: ((cell / "summary.json").unlink(), os.mkfifo(cell / "summary.json")),
    "metrics: gone": lambda cell: (cell / "metrics.csv").unlink(),
    "metrics: binary": lambda cell: (cell / "metrics.csv").write_bytes(b"\xff\0"),
    "metrics: a word": lambda cell: (cell / "metrics.csv").write_text("epoch,chip\n1,zero\n"),
    "metrics: a chip too few": lambda cell: (cell / "metrics.csv").write_text("epoch,chip\n1,0\n"),
}


def test_damaged_cells_are_set_aside(tmp_path: Path, options: Options) -> None:
    """Each kind of damage in turn: found before anything is added up, moved away, not in the table."""
    before = sweep(study(), tmp_path / "s", options).table
    key = before["cell"][0]
    cell = tmp_path / "s" / "cells" / key
    content = {path.name: path.read_bytes() for path in cell.iterdir() if path.is_file()}
    for number, (case, spoil) in enumerate(DAMAGE.items()):
        spoil(cell)
        with StudyFolder.open(tmp_path / "s", study(), resume=True) as folder:
            assert key not in folder.done({key}), case
        assert (tmp_path / "s" / "damaged" / f"{key}-{number}").is_dir()
        cell.mkdir()
        for name, data in content.items():
            (cell / name).write_bytes(data)
    with StudyFolder.open(tmp_path / "s", study(), resume=True) as folder:
        assert folder.done({key}) == {key}


def test_a_damaged_cell_under_way_is_begun_again(tmp_path: Path, options: Options) -> None:
    before = sweep(study(), tmp_path / "s", options).table
    key = before["cell"][0]
    (tmp_path / "s" / "work").mkdir(exist_ok=True)
    cell = (tmp_path / "s" / "cells" / key).rename(tmp_path / "s" / "work" / key)
    (cell / "config.yaml").write_text(BOMB)
    after = sweep(study(), tmp_path / "s", replace(options, resume=True)).table
    pd.testing.assert_frame_equal(before, after)
    assert (tmp_path / "s" / "damaged" / f"{key}-0" / "config.yaml").read_text() == BOMB


def test_a_study_goes_on_with_its_own_data(tmp_path: Path, options: Options) -> None:
    """Finished cells and new ones must not be trained on different data."""
    rng = np.random.default_rng(0)
    data = {"x": rng.random((200, 64)), "y": np.arange(200) % 10}
    np.savez(tmp_path / "d.npz", **data)
    base = {**BASE, "task": {"name": "npz", "file": "d.npz"}, "training": {**BASE["training"], "batch": 32}}
    planned, there = study(base=base), replace(options, data_dir=tmp_path)
    table = sweep(planned, tmp_path / "s", there).table
    last = tmp_path / "s" / "cells" / table["cell"].iloc[-1]
    last.rename(tmp_path / "aside")
    np.savez_compressed(tmp_path / "d.npz", **data)  # packed in another way: the same data
    again = sweep(planned, tmp_path / "s", replace(there, resume=True)).table
    pd.testing.assert_frame_equal(table, again)
    last.rename(tmp_path / "aside too")
    np.savez(tmp_path / "d.npz", x=data["x"], y=np.roll(data["y"], 1))
    with pytest.raises(InputError, match=r"task\.sha256: .*The data have changed"):
        sweep(planned, tmp_path / "s", replace(there, resume=True))
    assert not (tmp_path / "s" / "failed").exists()
    assert not last.exists()


# --- texts -------------------------------------------------------------------------------------

CONTROL = ["\x00", "\x07", "\x1b[31m", "\x7f", "\x85", "\u2028", "\u202e", "\ud800", "\ufffe", "\n", "\t"]


@pytest.mark.parametrize("character", CONTROL, ids=lambda c: f"U+{ord(c[0]):04X}")
def test_control_characters_are_refused_wherever_they_stand(character: str) -> None:
    odd = f"a{character}b"
    for keys in (
        {"list": {"rule": [{"label": odd}]}},
        {"list": {odd: [{"label": "x"}]}},
        {"grid": {odd: {"keys": ["training.epochs"], "values": [1]}}},
        {"grid": {"task.name": ["digits", odd]}},
        {"list": {"rule": [{"label": {"rule": odd}}]}},
        {"name": odd},
    ):
        with pytest.raises(InputError, match=r"U\+[0-9A-F]{4} at character|name: got"):
            Plan(study(**keys))
    if character not in "\n\t":  # a value may have several lines: equations have
        with pytest.raises(InputError, match=r"task\.file: got 'U\+"):
            Experiment.from_mapping({**BASE, "name": "x", "task": {"name": "npz", "file": odd}})


def test_the_command_line_shows_no_control_character(tmp_path: Path) -> None:
    (tmp_path / "s.yaml").write_text('base: dfc_lif.yaml\nlist: {"a\\e[31mb": [{label: "x\\ay"}]}\n')
    for arguments in (["sweep", "-c", str(tmp_path / "s.yaml")], ["--config", "no\x1b[31m\n"]):
        result = CliRunner().invoke(app, arguments)
        assert result.exit_code == 2
        assert result.stderr.rstrip("\n").isprintable(), result.stderr


def test_labels_of_any_script_are_drawn_and_formulas_are_texts(tmp_path: Path, options: Options) -> None:
    """Letters and signs stay as they are, in figures, pages and tables; no cell of a table is a formula."""
    labels = ['=HYPERLINK("x")', "+1+1", "-2+3", "@SUM(A1)", "−0.1 → größer", "обучение <b>&amp;", "-0.5"]
    planned = study(
        grid={"mismatch.weight.cv": [0.1]},
        list={
            "=rule": [
                {"label": label, "training.learning_rate": 0.001 * (n + 1)} for n, label in enumerate(labels)
            ]
        },
        analysis={"x": "mismatch.weight.cv", "compare": "=rule", "resamples": 20},
    )
    swept = sweep(planned, tmp_path / "s", options)
    assert list(dict.fromkeys(swept.table["=rule"])) == labels
    write_report(planned, swept.root, swept.table)
    for path in swept.root.rglob("*.csv"):
        cells = pd.read_csv(path, dtype=str, keep_default_na=False, header=None).to_numpy().ravel()
        for text in cells:
            assert not text.startswith(("=", "+", "@")), (path, text)
            assert not text.startswith("-") or float(text) < 0, (path, text)
    rows = pd.read_csv(swept.root / "table.csv", dtype=str)
    assert list(dict.fromkeys(rows["'=rule"])) == [*(f"'{label}" for label in labels[:4]), *labels[4:]]
    for path in swept.root.rglob("*.svg"):
        ElementTree.parse(path)
    page = (swept.root / "report.html").read_text(encoding="utf-8")
    assert "обучение &lt;b&gt;&amp;amp;" in page


# --- what killed drivers leave --------------------------------------------------------------------


def test_what_a_killed_driver_left_is_removed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    root = tmp_path / "s"
    StudyFolder.open(root, study(), resume=False).__exit__()
    left = [root / ".table.csv.7.tmp", root / ".dask-jobqueue.worker.key.abc"]
    for folder in ("figures", "tables", "failed", "chosen"):
        (root / folder).mkdir()
        left.append(root / folder / ".a.csv.7.tmp")
    for path in left:
        path.write_text("half")
    with StudyFolder.open(root, study(), resume=True):
        assert not [path for path in left if path.exists()]


def test_scratch_folders_go_with_their_process_or_at_the_next_start(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    killed, foreign = tmp_path / f"{USED}killed", tmp_path / f"{USED}foreign"
    killed.mkdir()
    foreign.mkdir()  # without a lock: not ours
    (killed / ".lock").touch()
    (killed / "worker").mkdir()
    with scratch() as first, scratch() as second:
        assert {first, second, foreign} == set(tmp_path.iterdir())
        assert first.stat().st_mode & 0o077 == 0
    assert set(tmp_path.iterdir()) == {foreign}


def test_a_study_from_python_is_checked_too() -> None:
    with pytest.raises(InputError, match=r"base\.task\.name"):
        Study.from_mapping({"name": "s", "base": {"task": {"name": "a\x00"}}})
