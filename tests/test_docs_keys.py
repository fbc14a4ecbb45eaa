"""The documentation says no key that a config does not have."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from root.errors import InputError
from root.plugins import available, load
from spiketrain.config import Experiment, json_schema
from spiketrain.studies.collection import Collection
from spiketrain.studies.study import Study

ROOT = Path(__file__).parents[1]
TEXTS = [*sorted((ROOT / "docs").glob("*.md")), ROOT / "README.md", ROOT / "CONTRIBUTING.md"]

BASE: dict[str, Any] = {
    "name": "docs",
    "task": {"name": "digits"},
    "network": {"layers": [64, 20, 10], "neuron": {"model": "lif"}},
    "mismatch": {},
    "rule": {"name": "dfc"},
    "simulator": {"name": "torch"},
    "training": {"epochs": 1, "batch": 32, "learning_rate": 0.5},
}

UNKNOWN = "unknown key"

FREE = {
    "input",
    "populations",
    "connections",
    "kinds",
    "forms",
    "rules",
    "tasks",
    "list",
    "grid",
    "search",
    "entries",
    "set",
    "keep",
    "label",
}
"""Keys whose own keys are names that the user chooses, or dotted keys."""


def _blocks(text: str) -> Iterator[dict[str, Any]]:
    """Yield the mappings in YAML blocks; alternatives that stand below each other, one by one."""
    for found in re.findall(r"^```yaml\n(.*?)^```", text, flags=re.M | re.S):
        block = found.replace(", ...", "")  # what is left out
        sections = re.split(r"^(?=[a-z])", block, flags=re.M)
        tops = [section.partition(":")[0] for section in sections]
        pieces = sections if len(set(tops)) < len(tops) else [block]
        yield from (data for piece in pieces if isinstance(data := yaml.safe_load(piece), dict))


def _merged(base: dict[str, Any], said: dict[str, Any]) -> dict[str, Any]:
    """Return a base with sections of a text; a part that is named anew is all of it."""
    found = dict(base)
    for key, value in said.items():
        named = isinstance(value, dict) and not {"name", "nir", "populations"} & set(value)
        found[key] = {**base[key], **value} if named and isinstance(base.get(key), dict) else value
    return found


@pytest.mark.parametrize("path", TEXTS, ids=lambda path: path.name)
def test_blocks(path: Path) -> None:
    wrong = []
    for data in _blocks(path.read_text(encoding="utf-8")):
        try:
            if set(data) <= set(Experiment.model_fields):
                Experiment.from_mapping(_merged(BASE, data))
            elif "studies" in data:
                Collection.from_mapping(data)
            else:
                Study.from_mapping({"name": "docs", "base": BASE, **data})
        except InputError as error:
            wrong.append((data, str(error)))
    assert not [message for _, message in wrong if UNKNOWN in message]


def _vocabulary() -> set[str]:
    """Return every key of configs and studies, whatever it stands in."""
    return set(_schema_keys(json_schema())) | set(_schema_keys(Study.model_json_schema())) | _deviating()


def _schema_keys(schema: Any) -> Iterator[str]:
    if isinstance(schema, dict):
        yield from schema.get("properties", {})
        for key, value in schema.items():
            if key == "x-parts":
                for group in value.values():
                    yield from group if isinstance(group, dict) and "properties" not in group else ()
            yield from _schema_keys(value)
    elif isinstance(schema, list):
        for value in schema:
            yield from _schema_keys(value)


def _deviating() -> set[str]:
    from mismatch.spec import READOUT, SYNAPTIC  # noqa: PLC0415

    neurons = [load("neurons", name) for name in available("neurons")]
    own = {parameter.name for neuron in neurons for parameter in getattr(neuron, "parameters", ())}
    return {"model", "distribution", "per", *own, *SYNAPTIC, *READOUT, *available("imperfections")}


def _said(text: str) -> Iterator[tuple[str, Any]]:
    """Yield the ``key: value`` that stand in single backticks."""
    plain = re.sub(r"^```.*?^```", "", text, flags=re.M | re.S)
    for key, value in re.findall(r"(?<!`)`([a-z_]+(?:\.[a-z_]+)*): ([^`\n]+)`", plain):
        yield key, yaml.safe_load(value)


def _inner(value: Any) -> Iterator[str]:
    if isinstance(value, dict):
        for key, inner in value.items():
            yield from str(key).split(".")
            if key not in FREE:
                yield from _inner(inner)


@pytest.mark.parametrize("path", TEXTS, ids=lambda path: path.name)
def test_keys_within_sentences(path: Path) -> None:
    known = _vocabulary()
    for key, value in _said(path.read_text(encoding="utf-8")):
        inner = () if key.split(".")[-1] in FREE else _inner(value)
        for step in (*key.split("."), *inner):
            assert step in known, f"{path.name}: `{key}: {value}` has a key {step}"


def test_keys_in_the_tables_of_mismatch() -> None:
    """A table with a column *keys* says those of the part in its first column."""
    text, checked = (ROOT / "docs" / "mismatch.md").read_text(encoding="utf-8"), 0
    for table in re.findall(r"(?:^\|.*\n)+", text, flags=re.M):
        rows = [[cell.strip() for cell in line.strip("|\n").split(" | ")] for line in table.splitlines()]
        if "keys" not in rows[0]:
            continue
        column = rows[0].index("keys")
        for row in rows[2:]:
            name = row[0].strip("|` ")
            group = "distributions" if name in available("distributions") else "imperfections"
            fields = {field.name for field in dataclasses.fields(load(group, name))}
            said = set(re.findall(r"`([a-z_0-9]+)`", row[column]))
            assert said <= fields, f"{name} has no key {said - fields}"
            checked += len(said)
    assert checked > 30


def test_a_wrong_key_would_be_found() -> None:
    assert "path" not in {field.name for field in dataclasses.fields(load("distributions", "empirical"))}
    text = "```yaml\nrule: {name: dfc, contoller: {kp: 1.0}}\n```\nand `training.epohcs: 3`"
    (block,) = _blocks(text)
    with pytest.raises(InputError, match=UNKNOWN):
        Experiment.from_mapping(_merged(BASE, block))
    assert not {step for key, _ in _said(text) for step in key.split(".")} <= _vocabulary()
