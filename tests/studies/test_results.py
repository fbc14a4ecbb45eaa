"""Tables of a text from a study's folder: rebuilt from a small stored one and worked out anew here."""

import csv
import json
from pathlib import Path

import numpy as np
import pytest
from scipy import stats
from typer.testing import CliRunner

from root.errors import InputError
from spiketrain.cli import app
from spiketrain.studies.results import build, marked, put
from spiketrain.studies.statistics import mean_interval

STORED = Path(__file__).parent / "stored"


def accuracies() -> dict[tuple[str, float], np.ndarray]:
    """Return every cell's accuracies in the last epoch, straight from the files."""
    found = {}
    for folder in (STORED / "cells").iterdir():
        summary = json.loads((folder / "summary.json").read_text())
        rows = list(csv.DictReader((folder / "metrics.csv").open()))
        last = [float(row["test_accuracy"]) for row in rows if row["epoch"] == "2"]
        arm = "offline" if summary["arm"] == "offline" else "in the loop"
        found[arm, summary["mismatch"]["weight"]["cv"]] = np.array(last)
    return found


def test_the_table_says_what_the_cells_say():
    seen = accuracies()
    tests = [stats.ttest_rel(seen["in the loop", cv], seen["offline", cv]).pvalue for cv in (0.1, 0.5)]
    low, high = sorted(tests)
    adjusted = {low: min(1.0, 2 * low), high: max(min(1.0, 2 * low), high)}  # Holm's, of two
    lines = build(STORED).text.splitlines()
    rows = [[cell.strip() for cell in line.strip("| ").split(" | ")] for line in lines if line[:2] == "| "][
        2:
    ]
    assert [row[:2] for row in rows] == [
        [arm, str(cv)] for arm in ("in the loop", "offline") for cv in (0.1, 0.5)
    ]
    for row in rows:
        own = seen[row[0], float(row[1])]
        interval = mean_interval(own)
        assert row[2:6] == [
            f"{own.mean():.4f}",
            f"{interval.low:.4f} to {interval.high:.4f}",
            f"{own.min():.4f}",
            "4",
        ]
        assert row[6:8] == ["2048" if row[0] == "in the loop" else "0", "no"]
    for row, p in zip(rows[:2], tests, strict=True):
        difference = seen["in the loop", float(row[1])] - seen["offline", float(row[1])]
        effect = difference.mean() / difference.std(ddof=1)
        assert row[8] == f"{difference.mean():+.4f}, d {effect:.1f}, p {adjusted[p]:.2g}"


def test_it_says_where_the_numbers_come_from():
    lead = build(STORED).text.splitlines()[0]
    for said in (
        "`stored`: 4 cells",
        "mismatch seed 1",
        "training seed 0",
        "0.1.0 at 0123abc",
        "2026-11-28",
        "bench",
    ):
        assert said in lead


def test_a_block_of_a_text_is_replaced_and_nothing_else(tmp_path):
    page = tmp_path / "page.md"
    page.write_text("# Title\n\n<!-- results: stored -->\nold\n<!-- end of results -->\n\nrest\n", "utf-8")
    built = build(STORED)
    assert put(built, "stored", page, check=True)
    assert "old" in page.read_text("utf-8")
    assert put(built, "stored", page)
    text = page.read_text("utf-8")
    assert text.startswith("# Title\n\n<!-- results: stored -->\n\nStudy `stored`")
    assert text.endswith("<!-- end of results -->\n\nrest\n")
    assert "old" not in text
    assert not put(built, "stored", page, check=True)
    names = {path.name for path in (tmp_path / "figures").iterdir()}
    assert names == {"stored-budget.svg", "stored-test_accuracy_against_sigma.svg"}
    assert all(f"](figures/{name})" in text for name in names)
    page.write_text(text.replace("in the loop", "somewhere"), "utf-8")
    assert put(built, "stored", page, check=True)


def test_the_command_prints_writes_and_checks(tmp_path):
    runner = CliRunner()
    printed = runner.invoke(app, ["results", "build", str(STORED)])
    assert printed.exit_code == 0
    assert printed.output == build(STORED).text
    page = tmp_path / "page.md"
    page.write_text("<!-- results: small -->\n<!-- end of results -->\n", "utf-8")
    command = ["results", "build", str(STORED), "--into", str(page), "--name", "small"]
    assert runner.invoke(app, [*command, "--check"]).exit_code == 1
    assert runner.invoke(app, command).exit_code == 0
    assert runner.invoke(app, [*command, "--check"]).exit_code == 0


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["nowhere"], "nowhere"),
        ([str(STORED), "--check"], "--into FILE"),
        ([str(STORED), "--into", "nowhere.md"], "nowhere.md"),
    ],
)
def test_what_cannot_be_built_is_refused(arguments, said, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    result = CliRunner().invoke(app, ["results", "build", *arguments])
    assert result.exit_code == 2
    assert said in result.output


def test_a_text_without_the_block_is_refused():
    with pytest.raises(InputError, match="no block stored"):
        marked("# Title\n", "stored")


def test_studies_are_joined_into_one_table(tmp_path):
    seen = accuracies()
    page = tmp_path / "page.md"
    page.write_text("<!-- results: both -->\n<!-- end of results -->\n", "utf-8")
    call = ["results", "join", f"one={STORED}", f"other={STORED}", "--name", "both", "--into", str(page)]
    result = CliRunner().invoke(app, [*call, "--keep", "sigma=0.5"])
    assert result.exit_code == 0, result.output
    text = page.read_text("utf-8")
    rows = [[cell.strip() for cell in line.strip("| ").split(" | ")] for line in text.splitlines()]
    rows = [row for row in rows if row[0] in ("in the loop", "offline")]
    assert rows[0][1:] == rows[0][1:2] * 2
    assert {row[0]: row[1] for row in rows} == {
        arm: f"{seen[arm, 0.5].mean():.4f} ({seen[arm, 0.5].min():.4f})*"
        for arm in ("in the loop", "offline")
    }
    assert text.count("Study `stored`: 4 cells") == 2
    assert (tmp_path / "figures" / "both-studies.svg").is_file()
    assert "as it was" in CliRunner().invoke(app, [*call, "--keep", "sigma=0.5", "--check"]).output


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (["one"], "NAME=VALUE"),
        (["one={0}", "one={0}"], "one is there twice"),
        (["one={0}"], "Choose one by --keep"),
        (["one={0}", "--keep", "depth=3"], "what one of the studies varies"),
        (["one={0}", "--keep", "sigma=0.7"], "levels that one has finished cells of"),
    ],
)
def test_studies_that_cannot_be_joined(given, said):
    call = ["results", "join", *(text.format(STORED) for text in given), "--name", "both"]
    result = CliRunner().invoke(app, call)
    assert result.exit_code == 2
    assert said in " ".join(result.output.split())
