"""Reading YAML: what comes back, and what was written comes back the same."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from root.errors import InputError
from spiketrain.config.finding import find_config, shipped
from spiketrain.reading import dump_yaml, parse, read, with_overrides

NUMBERS = [
    ("1e-3", 0.001),
    ("1.5e3", 1500.0),
    ("-2", -2),
    ("+3", 3),
    (".5", 0.5),
    ("1.", 1.0),
    ("0x10", "0x10"),
    ("1_000", "1_000"),
    ("1:30", "1:30"),
    ("2024-01-01", "2024-01-01"),
    ("no", "no"),
    ("on", "on"),
    ("true", True),
    ("null", None),
    ("~", None),
    ("", None),
    ("'3'", "3"),
    ("two_phase", "two_phase"),
]

TEXTS = st.text(st.characters(blacklist_categories=["Cs", "Cc"]), max_size=12)
SCALARS = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | TEXTS
DATA = st.dictionaries(
    TEXTS, SCALARS | st.lists(SCALARS, max_size=3) | st.dictionaries(TEXTS, SCALARS, max_size=3), max_size=4
)
RELAXED = settings(deadline=None, max_examples=50, suppress_health_check=[HealthCheck.too_slow])


@pytest.mark.parametrize(("text", "value"), NUMBERS)
def test_scalars_are_those_of_yaml_1_2(text: str, value: object) -> None:
    read_back = parse(text, "here")
    assert read_back == value
    assert type(read_back) is type(value)


@RELAXED
@given(DATA)
def test_what_is_written_reads_back_equal(data: dict[str, object]) -> None:
    assert parse(dump_yaml(data), "here") == (data or {})


@RELAXED
@given(st.text())
def test_any_text_is_data_or_an_input_error(text: str) -> None:
    with suppress(InputError):
        parse(text, "here")


@RELAXED
@given(st.binary())
def test_any_file_is_a_mapping_or_an_input_error(
    tmp_path_factory: pytest.TempPathFactory, content: bytes
) -> None:
    path = tmp_path_factory.getbasetemp() / "any.yaml"
    path.write_bytes(content)
    with suppress(InputError):
        assert isinstance(read(path), dict)


def test_a_few_aliases_are_allowed() -> None:
    assert parse("a: &n {kp: 1}\nb: *n\n", "here") == {"a": {"kp": 1}, "b": {"kp": 1}}


def test_aliases_count_as_often_as_they_stand() -> None:
    line = "a: &n [" + ", ".join("0" * 1000) + "]\n"
    assert len(parse(line + "b: [*n, *n, *n]\n", "here")["b"]) == 3
    with pytest.raises(InputError, match="aliases"):
        parse(line + "b: [" + ", ".join(["*n"] * 10) + "]\n", "here")


def test_overrides_are_set_in_order_and_leave_the_rest() -> None:
    data = {"a": {"b": 1, "c": 2}}
    assert with_overrides(data, ["a.b=3", "d.e.f=[1, x]", "a.b=4"]) == {
        "a": {"b": 4, "c": 2},
        "d": {"e": {"f": [1, "x"]}},
    }
    assert data == {"a": {"b": 1, "c": 2}}


def test_an_override_of_a_part_given_by_its_name() -> None:
    data = with_overrides({"training": {"optimizer": "adam"}}, ["training.optimizer.beta1=0.8"])
    assert data["training"]["optimizer"] == {"name": "adam", "beta1": 0.8}


def test_an_override_within_a_section_of_dotted_keys() -> None:
    data: dict[str, Any] = {"training": {"before": {"training.epochs": 8, "rule": {"name": "backprop"}}}}
    overrides = [
        "training.before.training.epochs=5",
        "training.before.training.decay=0.9",
        "training.before.rule.output_slope=false",
    ]
    assert with_overrides(data, overrides)["training"]["before"] == {
        "training.epochs": 5,
        "training.decay": 0.9,
        "rule": {"name": "backprop", "output_slope": False},
    }


def test_an_override_may_hold_equals_signs() -> None:
    assert with_overrides({}, ["a.b='x=y'"]) == {"a": {"b": "x=y"}}


@pytest.mark.parametrize("name", ["dfc_lif", "dfc_lif.yaml"])
def test_shipped_configs_are_found_by_name(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert find_config(name) == shipped()["dfc_lif.yaml"]


def test_a_path_comes_before_a_shipped_config(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "dfc_lif.yaml").write_text("task: digits")
    assert find_config("dfc_lif.yaml") == Path("dfc_lif.yaml")
    (tmp_path / "dfc_lif").mkdir()
    assert find_config("dfc_lif") == shipped()["dfc_lif.yaml"]


def test_folders_need_not_be_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("one/a.yaml", "two/a.yaml", "two/b.yaml"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text("task: digits")
    monkeypatch.setattr("spiketrain.config.finding.SHIPPED", tmp_path)
    assert find_config("b") == find_config("two/b") == find_config("two/b.yaml") == tmp_path / "two/b.yaml"
    with pytest.raises(InputError, match="name its folder"):
        find_config("a")
