"""What runs cost, whether they are over, and whether a search ended at its own edge."""

import numpy as np
import pandas as pd
import pytest
from small_study import BASE, study

from spiketrain.studies.budget import against_presentations, converged, spent
from spiketrain.studies.edges import edge, searched, warnings
from spiketrain.studies.parts import SearchRange
from spiketrain.studies.report import write_report
from spiketrain.studies.sweep import Options, sweep


@pytest.mark.parametrize("epochs", [12, 40])
@pytest.mark.parametrize("tau", [1.0, 3.0, 10.0])
def test_a_curve_is_flat_where_its_exponential_is(tau, epochs):
    """1 - .3 exp(-t / tau) moves by its difference over the last quarter, but for the line's fit."""
    t = np.arange(1, epochs + 1)
    curve = 1 - 0.3 * np.exp(-t / tau)
    quarter = max(3, epochs // 4)
    moved = curve[-1] - curve[-quarter]
    if abs(moved - 0.003) > 0.0005:
        assert converged(curve) == (moved < 0.003)


def test_noise_about_a_level_is_flat_and_a_fall_is_not():
    noise = 0.001 * np.cos(np.pi * np.arange(40))
    assert converged(0.9 + noise)
    assert not converged(0.9 + noise - 0.0005 * np.arange(40))
    assert not converged([0.9] * 11)  # too short to have a last quarter
    assert not converged([float("nan")] * 40)


def test_the_validation_set_judges_where_there_is_one():
    epochs = np.arange(21)
    rising = 0.5 + 0.02 * epochs
    rows = {"cell": "a", "epoch": epochs, "chip": 0, "presentations": 10.0 * epochs, "test_accuracy": rising}
    both = pd.DataFrame({**rows, "validation_accuracy": 0.9})
    assert not spent(pd.DataFrame(rows))["converged"].item()
    assert spent(both)["converged"].item()
    assert spent(both)["presentations"].item() == 200.0


def test_a_study_counts_what_it_showed_its_chips(tmp_path):
    arms = [
        {"label": "in the loop"},
        {"label": "four pairs", "rule": {"name": "node_perturbation", "draws": 4}},
        {"label": "offline", "training.arm": "offline"},
        {"label": "trimmed", "training.arm": "trimmed"},
        {"label": "calibrated", "training.arm": "calibrated", "training.presentations": 300},
    ]
    small = study(
        base={**BASE, "training": {**BASE["training"], "epochs": 2}},
        grid={},
        list={"arm": arms, "level": [{"label": {"sigma": 0.2}, "mismatch.weight.cv": 0.2}]},
        analysis={"x": "sigma", "compare": "arm"},
    )
    swept = sweep(small, tmp_path, Options(quiet=True, in_process=True))
    shown = dict(swept.table[["arm", "presentations"]].itertuples(index=False))
    samples = 2 * (1149 // 128) * 128  # of the 1437 samples a fifth is held out
    assert shown == {
        "in the loop": samples,
        "four pairs": 8 * samples,
        "offline": 0,
        "trimmed": 50,
        "calibrated": 25 + 3 * 128,
    }
    assert not swept.table["converged"].any()
    history = pd.read_csv(tmp_path / "history.csv")
    assert len(history) == 2 * (4 * 3 + 2)
    write_report(small, tmp_path, swept.table)
    drawn = pd.read_csv(tmp_path / "figures" / "budget.csv")
    last = history[(history["arm"] == "four pairs") & (history["epoch"] == 2)]
    row = drawn[drawn["line"].str.startswith("four pairs")].iloc[-1]
    assert row["mean"] == pytest.approx(last["test_accuracy"].mean())
    assert row["presentations"] == 8 * samples
    assert "not converged" in (tmp_path / "report.html").read_text()


def told(rules, depths):
    rows = [
        {"rule": f"r{rule}", "depth": depth, "epoch": epoch, "chip": 0, "presentations": 9.0 * epoch}
        for rule in range(rules)
        for depth in range(depths)
        for epoch in (0, 1)
    ]
    return pd.DataFrame(rows).assign(test_accuracy=0.5)


def test_studies_in_which_not_all_were_counted_have_no_such_figure():
    assert against_presentations(pd.DataFrame({"cell": ["a"]}), series=[], panels=[]) is None
    some = told(2, 1)
    some.loc[0, "presentations"] = None
    assert against_presentations(some, series=["rule"], panels=[]) is None


def test_every_line_has_a_colour_of_its_own():
    for depths, lines, panels in ((4, 8, 1), (5, 2, 5)):
        drawing = against_presentations(told(2, depths), series=["rule", "depth"], panels=[], apart="depth")
        assert drawing is not None
        table = drawing.data
        assert (table["line"].nunique(), table["panel"].nunique()) == (lines, panels)


@pytest.mark.parametrize(
    ("value", "log", "where"),
    [(0.01, True, "low"), (0.0115, True, "low"), (0.02, True, ""), (0.9, True, "high"), (0.05, False, "low")],
)
def test_an_optimum_at_the_edge_is_told(value, log, where):
    assert edge(SearchRange(low=0.01, high=1.0, log=log), value) == where
    assert edge(SearchRange(choices=(1, 2)), 1) == ""


def test_every_edge_is_a_sentence():
    ranges = {"training.learning_rate": SearchRange(low=0.01, high=1.0, log=True)}
    found = searched(
        [("dfc", ranges, {"training.learning_rate": 1.0}), ("bp", ranges, {"training.learning_rate": 0.1})]
    )
    first, last = warnings(found)
    assert "dfc: training.learning_rate = 1 is at the high end of its range (0.01 to 1)" in first
    assert last == "1 of 2 values found are inside their ranges."
