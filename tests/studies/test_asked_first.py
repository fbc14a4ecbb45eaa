"""What can be wrong with a study is asked before its first cell; what is drawn may change at any time."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from small_study import BASE, study

from root.errors import InputError
from spiketrain.studies.figures import against
from spiketrain.studies.folder import StudyFolder
from spiketrain.studies.page import drawn
from spiketrain.studies.plan import Plan
from spiketrain.studies.study import stored_study
from spiketrain.studies.sweep import Options, sweep
from spiketrain.studies.tune import tune

RULES = [{"label": "a"}, {"label": "b", "training.learning_rate": 0.1}]
ANALYSIS = {"x": "mismatch.weight.cv", "compare": "rule"}


@pytest.mark.parametrize(
    ("analysis", "key"),
    [
        ({"x": "mismatch.weight.cw", "compare": "rule"}, r"analysis\.x.*did you mean 'mismatch\.weight\.cv'"),
        ({"x": "mismatch.weight.cv", "compare": "rules"}, r"analysis\.compare"),
        ({**ANALYSIS, "panels": "form"}, r"analysis\.panels"),
        ({**ANALYSIS, "outcome": "rule"}, r"analysis\.outcome"),
    ],
)
def test_an_analysis_of_what_does_not_vary(analysis: dict[str, Any], key: str) -> None:
    with pytest.raises(InputError, match=key):
        Plan(study(list={"rule": RULES}, analysis=analysis))


def test_two_entries_of_one_label() -> None:
    with pytest.raises(InputError, match="two entries called rule: a"):
        Plan(study(list={"rule": [RULES[0], {**RULES[1], "label": "a"}]}))
    with pytest.raises(InputError, match="two entries called x: 1"):
        Plan(study(grid={"x": {"keys": ["training.epochs"], "values": [1, "1"]}}))


def test_the_analysis_of_a_study_may_be_changed_and_the_cells_may_not(tmp_path: Path) -> None:
    first = study(list={"rule": RULES})
    with StudyFolder.open(tmp_path, first, resume=False):
        pass
    second = study(list={"rule": RULES}, analysis=ANALYSIS)
    with StudyFolder.open(tmp_path, second, resume=True) as folder:
        folder.check()
    kept = stored_study(tmp_path).analysis
    assert kept is not None
    assert kept.x == "mismatch.weight.cv"
    with pytest.raises(InputError, match="grid"):
        StudyFolder.open(tmp_path, study(list={"rule": RULES}, grid={"seed": [1]}), resume=True)


def test_a_label_with_dollar_signs_is_a_label() -> None:
    """As mathematics the first would end the study, the second would lose its signs."""
    rows = [
        {"cost": label, "x": x, "mean": x, "low": x, "high": x, "n": 2}
        for label in (r"$\frac{$", "5 $ or 6 $", "plain")
        for x in (0.1, 0.2)
    ]
    with drawn():
        drawing = against(pd.DataFrame(rows), x="x", series=["cost"], panels=(), outcome="test_accuracy")
        assert "<svg" in drawing.svg()
    texts = [text for text in drawing.figure.findobj() if hasattr(text, "get_parse_math")]
    assert {text.get_text() for text in texts} >= {r"$\frac{$", "5 $ or 6 $"}  # type: ignore[attr-defined]
    assert not any(text.get_parse_math() for text in texts if "$" in text.get_text())  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("means", "scale"), [((0.95, 0.99), "logit"), ((-0.5, 0.9), "linear"), ((0.5, 1.0), "linear")]
)
def test_good_accuracies_are_told_apart_and_other_scores_stay_where_they_are(
    means: tuple[float, float], scale: str
) -> None:
    rows = [
        {"rule": "a", "x": x, "mean": m, "low": m, "high": m, "n": 2}
        for x, m in zip((1, 3), means, strict=True)
    ]
    with drawn():
        drawing = against(pd.DataFrame(rows), x="x", series=["rule"], panels=(), outcome="test_accuracy")
    (ax,) = drawing.figure.axes
    assert ax.get_yscale() == scale
    assert [text.get_text() for text in ax.get_xticklabels()] == ["1", "3"]


MISSING = {**BASE, "task": {"name": "npz", "file": "missing.npz"}}
SEARCH = {"trials": 1, "search": {"training.learning_rate": {"low": 0.001, "high": 0.1}}}
COMPUTED = Options(in_process=True, quiet=True)


@pytest.mark.parametrize("act", [sweep, tune])
def test_data_that_cannot_be_read(act: Callable[..., object], tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"task\.file: .*missing\.npz.*--data-dir"):
        act(study(base=MISSING, tune=SEARCH), tmp_path / "s", COMPUTED)
    assert not (tmp_path / "s").exists()


def test_a_study_of_two_tasks_is_computed_where_one_can_be_read(tmp_path: Path) -> None:
    both = {"task": [{"label": "missing", "base": MISSING}, {"label": "there"}]}
    swept = sweep(study(list=both, grid={}), tmp_path / "s", COMPUTED)
    assert (swept.cells, swept.failed, set(swept.table["task"])) == (2, 1, {"there"})
