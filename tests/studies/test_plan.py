"""Plans: names are those of resolved configs, cells are the product of the axes, 10⁵ of them are nothing."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest
from small_study import BASE, study

from learning.backprop import Backprop
from root.errors import InputError
from spiketrain.config import Experiment, building
from spiketrain.studies.naming import Names
from spiketrain.studies.plan import Plan


def test_cells_are_the_product_of_the_axes() -> None:
    plan = Plan(
        study(list={"rule": [{"label": "a"}, {"label": "b", "training.learning_rate": 0.1}]}, seeds=3)
    )
    assert len(plan) == 2 * 2 * 3
    assert plan.columns == ["rule", "mismatch.weight.cv", "seed"]
    cell = list(plan.cells())[-1]
    assert cell.columns == {"rule": "b", "mismatch.weight.cv": 0.3, "seed": 2}
    resolved = Experiment.from_mapping(cell.config).resolved()
    assert resolved["training"]["learning_rate"] == 0.1
    assert resolved["mismatch"]["weight"]["cv"] == 0.3
    assert resolved["training"]["seed"] == 2


def test_a_name_is_that_of_the_resolved_config() -> None:
    """Defaults written out or not, sections seen before or not: the same experiment has the same name."""
    names = Names()
    resolved = Experiment.from_mapping({"name": "x", **BASE}).resolved()
    first = names.name(BASE)[0]
    assert names.name(resolved)[0] == first == Names().name(resolved)[0]
    other = {**BASE, "training": {**BASE["training"], "seed": 1}}
    assert Names().name(other)[0] == names.name(other)[0] != first
    assert names.name({**BASE, "training": {**BASE["training"], "seed": 0}})[0] == first
    backwards = Names()
    assert backwards.name(other)[0] != backwards.name(BASE)[0] == first


def test_a_key_that_is_new_changes_no_name(monkeypatch: pytest.MonkeyPatch) -> None:
    """A rule gets one more key, with a default: finished cells keep their names."""

    @dataclass(frozen=True)
    class Newer(Backprop):
        novelty: float = 0.5

    before = Names().name(BASE)[0]
    find = building.find
    monkeypatch.setattr(building, "find", lambda group, *of: Newer if group == "rules" else find(group, *of))
    assert Names().name(BASE)[0] == before
    said = {**BASE, "rule": {"name": "backprop", "novelty": 0.5}}
    assert Names().name(said)[0] == before
    assert Names().name({**BASE, "rule": {"name": "backprop", "novelty": 0.6}})[0] != before


def test_the_same_experiment_twice_is_one_cell() -> None:
    plan = Plan(study(grid={"training.seed": [0, 1, 0]}))
    assert len(plan) == len(list(plan.cells())) == 2
    assert [cell.columns["training.seed"] for cell in plan.rows()] == [0, 1, 0]


def test_one_axis_may_set_several_keys() -> None:
    both = ["mismatch.weight.cv", "mismatch.gain.cv"]
    gain = {"mismatch.gain.distribution": "normal"}
    plan = Plan(study(set=gain, grid={"sigma": {"keys": both, "values": [0.1, 0.4]}}))
    assert plan.columns == ["sigma"]
    assert list(Plan(study(set=gain, grid={", ".join(both): [0.1, 0.4]})).keys()) == list(plan.keys())
    mismatch = [cell.config["mismatch"] for cell in plan.cells()]
    assert [(m["weight"]["cv"], m["gain"]["cv"]) for m in mismatch] == [(0.1, 0.1), (0.4, 0.4)]


def test_labels_may_be_left_out() -> None:
    entries = {"rule": [{"label": "a"}, {"label": "b", "training.learning_rate": 0.1}]}
    plan = Plan(study(list=entries, keep={"rule": ["b"]}))
    assert {cell.columns["rule"] for cell in plan.cells()} == {"b"}
    with pytest.raises(InputError, match=r"keep\.rules.*did you mean 'rule'"):
        Plan(study(list=entries, keep={"rules": ["b"]}))


def test_some_cells_may_be_impossible_but_not_all() -> None:
    plan = Plan(study(grid={"training.batch": [128, 0]}))
    assert len(plan) == 2
    assert [error.key for error in plan.errors.values()] == ["training.batch"]
    with pytest.raises(InputError, match=r"training\.bach"):
        Plan(study(grid={"training.bach": [1, 2]}))


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        ({"sedes": 3}, "seeds"),
        ({"base": "nowhere.yaml"}, "base"),
        ({"base": None}, "base"),
        ({"grid": {"training..seed": [1]}}, r"training\.\.seed"),
        ({"grid": {"training.seed": []}}, "grid"),
        ({"seeds": [-1]}, "seeds"),
        ({"grid": {"chip": {"keys": ["mismatch.seed"], "values": [1]}}}, "a column chip.*chip_varied"),
        ({"list": {"case": [{"label": {"git": 1}}]}}, "a column git"),
        (
            {"grid": {"a": {"keys": ["training.batch"], "values": [8]}}, "list": {"a": [{"label": "b"}]}},
            "two axes",
        ),
    ],
)
def test_what_is_wrong_is_said(keys: dict[str, object], message: str) -> None:
    with pytest.raises(InputError, match=message):
        Plan(study(**keys))


PLANNING = """
import json, sys
from pathlib import Path
from spiketrain.studies.plan import Plan
from spiketrain.studies.study import Study
cells = len(Plan(Study.from_mapping(json.load(sys.stdin))))
status = Path("/proc/self/status").read_text()  # getrusage would begin with the parent's size
print(cells, status.partition("VmHWM:")[2].split()[0])
"""


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="only Linux tells a process its peak size")
def test_a_hundred_thousand_cells_are_planned_in_a_gigabyte() -> None:
    """Imports and libraries included, in a process of its own; benchmarks/study_driver.py has the time."""
    grid = {
        "mismatch.weight.cv": [i / 100 for i in range(50)],
        "training.learning_rate": [0.01 * i for i in range(1, 21)],
    }
    plain = json.dumps({"name": "large", "base": BASE, "grid": grid, "seeds": 100})
    done = subprocess.run(
        [sys.executable, "-c", PLANNING], input=plain, capture_output=True, text=True, check=True
    )
    cells, kilobytes = (int(word) for word in done.stdout.split())
    assert cells == 100_000
    assert kilobytes < 1_000_000
