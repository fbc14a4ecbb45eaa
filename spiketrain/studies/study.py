"""A study's config: which experiments, by what they have in common and what varies."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Self, final

from pydantic import Field, ValidationError

from root.errors import InputError, nearest
from root.texts import check_texts
from spiketrain.config.experiment import refuse_settings
from spiketrain.config.finding import find_config
from spiketrain.config.network import anchored
from spiketrain.config.problems import input_error
from spiketrain.config.sections import Section, Seed
from spiketrain.reading import parse, read, with_overrides
from spiketrain.record.files import read_yaml
from spiketrain.studies.parts import (
    AnalysisPart,
    ComparePart,
    Entry,
    GridAxis,
    IdentifyPart,
    Settings,
    TunePart,
)

__all__ = ["STORED", "Study", "load_study", "read_stored", "stored_study"]

STORED = "study.yaml"

MAX_NODES, MAX_BYTES = 2_000_000, 100_000_000
"""Of a stored study: its bases are written out."""

Base = str | dict[str, Any]

OWN = "study."
"""Overrides that begin so are about the study, all others about its cells."""


@final
class Study(Section):
    """A study: a base config, changes to it, and what varies; `load_study` makes one.

    Cells are the product of all the axes: those of ``list`` first, then those of ``grid``, then the seeds.
    Later axes overrule earlier ones, and all of them overrule ``set``, which overrules the base. What a
    search found (``tuned``) overrules all of it.

    Args:
        name: what the study's folder is called after.
        base: the config that every cell starts from, inline; `load_study` reads it where it is a name.
        set: dotted keys and their values, the same in every cell.
        list: axis to entries, each a label and any number of changes.
        grid: column to the values of one key or of several together.
        seeds: training seeds; None leaves the base's.
        keep: column to the labels that remain; what is not named is left out.
        device: where all cells compute, each with the simulator that goes there; None leaves the cells' own.
        analysis: what the report compares.
        tuned: the settings of every cell, as a search found them; `load_study` reads them where it is a name.
        compare, identify, tune: what only these commands read.
        quick: keys of the study that are different in its quick variant.
    """

    name: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,99}$")
    base: Base | None = None
    changes: dict[str, Any] = Field(default={}, alias="set")
    lists: dict[str, Annotated[tuple[Entry, ...], Field(min_length=1)]] = Field(default={}, alias="list")
    grid: dict[str, GridAxis] = Field(default={})
    seeds: tuple[Seed, ...] | None = None
    keep: dict[str, tuple[str | float | int, ...]] = Field(default={})
    device: str | None = None
    analysis: AnalysisPart | None = None
    tuned: Settings | None = None
    compare: ComparePart | None = None
    identify: IdentifyPart | None = None
    tune: TunePart | None = None
    quick: dict[str, Any] = Field(default={})

    @classmethod
    def from_mapping(cls, data: Mapping[str, Any]) -> Self:
        """Return the study that plain `data` describe, its bases read.

        Raises:
            InputError: the first thing that is wrong with it.
        """
        check_texts(data)
        raw = _with_bases(_written_out(data))
        try:
            study = cls.model_validate_json(json.dumps(raw))
        except ValidationError as error:
            raise input_error(error, raw, model=cls) from None
        bases = any("base" in entry.keys for axis in study.lists.values() for entry in axis)
        if study.base is None and study.compare is None and not bases:
            raise InputError(
                "base", "nothing", "a config's name, or a config; here or in every entry of a list"
            )
        return study

    @property
    def is_search(self) -> bool:
        """Whether there is something to search and nothing to compare."""
        return self.tune is not None and self.analysis is None and self.identify is None

    def searched(self) -> Study:
        """Return what a search goes through: what ``tune.keep`` leaves, without settings found before."""
        kept = {} if self.tune is None else self.tune.keep
        return self.model_copy(update={"tuned": None, "keep": {**self.keep, **kept}})

    def resolved(self) -> dict[str, Any]:
        """Return the study as plain data, every default written out."""
        plain: dict[str, Any] = json.loads(self.model_dump_json(by_alias=True))
        return plain


def load_study(name: str, overrides: Sequence[str] = (), *, quick: bool = False) -> Study:
    """Return the study in a file or shipped config.

    Args:
        name: a path, or the name of a shipped config.
        overrides: ``section.key=value``, for every cell; ``study.key=value``, for the study itself.
        quick: take the quick variant.

    Raises:
        InputError: there is none, or the first thing that is wrong with it.
    """
    path = find_config(name)
    data = read(path)
    refuse_settings(data, name, "a study")
    if isinstance(data.get("base"), dict):
        data["base"] = anchored(data["base"], path.parent)
    stem = re.sub(r"[^A-Za-z0-9._-]+", "-", path.stem).lstrip("._-")[:100]
    data = {"name": stem or "study", **data}
    if quick:
        data = _quick(data, name)
    own = [text.removeprefix(OWN) for text in overrides if text.startswith(OWN)]
    data = with_overrides(data, own)
    chosen = dict(_override(text) for text in overrides if not text.startswith(OWN))
    return Study.from_mapping({**data, "set": {**data.get("set", {}), **chosen}} if chosen else data)


def stored_study(root: Path) -> Study:
    """Return the study that a folder was made for.

    Raises:
        InputError: it is no folder of a study.
    """
    if not (root / STORED).exists():
        raise InputError("resume", str(root), "the folder of a study", f"It holds no {STORED}.")
    return Study.from_mapping(read_stored(root))


def read_stored(root: Path) -> dict[str, Any]:
    """Return the study in a folder as it was written down, bases and all.

    Raises:
        DamagedError: it cannot be read.
    """
    return read_yaml(root / STORED, nodes=MAX_NODES, size=MAX_BYTES)


def _override(text: str) -> tuple[str, Any]:
    key, equals, value = text.partition("=")
    if not equals or not all(key.strip().split(".")):
        raise InputError("--set", text, "section.key=value, such as training.epochs=3")
    return key.strip(), parse(value, f"--set {key.strip()}")


def _quick(data: dict[str, Any], name: str) -> dict[str, Any]:
    """Return the quick variant: its mappings are merged, those within them too, and all else replaces."""
    changed = data.get("quick")
    if not isinstance(changed, dict) or not changed:
        raise InputError("--quick", name, "a study with a section quick")
    return {**_merged(data, changed), "name": f"{data['name'][:90]}-quick", "quick": {}}


def _merged(data: dict[str, Any], changed: dict[str, Any]) -> dict[str, Any]:
    merged = dict(data)
    for key, value in changed.items():
        old = data.get(key)
        inside = isinstance(old, dict) and isinstance(value, dict)
        merged[key] = _merged(dict(old or {}), value) if inside else value
    return merged


def _written_out(data: Mapping[str, Any]) -> dict[str, Any]:
    """Write what may be short in full: a single list, a number of seeds, plain values in a grid."""
    raw = dict(data)
    if isinstance(raw.get("list"), list):
        raw["list"] = {"case": raw["list"]}
    if isinstance(raw.get("list"), dict):
        raw["list"] = {
            axis: [_labelled(e, n) for n, e in enumerate(entries)] if isinstance(entries, list) else entries
            for axis, entries in raw["list"].items()
        }
    if isinstance(raw.get("grid"), dict):
        raw["grid"] = {
            name: {"keys": [key.strip() for key in name.split(",")], "values": values}
            if isinstance(values, list)
            else values
            for name, values in raw["grid"].items()
        }
    if isinstance(raw.get("seeds"), int) and not isinstance(raw["seeds"], bool):
        raw["seeds"] = list(range(raw["seeds"]))
    return raw


def _labelled(entry: Any, number: int) -> Any:
    return {"label": str(number), **entry} if isinstance(entry, dict) else entry


def _with_bases(raw: dict[str, Any]) -> dict[str, Any]:
    """Read the configs that are named, so that the stored study says all."""
    if isinstance(raw.get("base"), str):
        raw = {**raw, "base": _read_base(raw["base"])}
    if isinstance(raw.get("tuned"), str):
        raw["tuned"] = _read_settings(raw["tuned"])
    lists = raw.get("list")
    if isinstance(lists, dict):
        raw["list"] = {
            axis: [_with_base(entry) for entry in entries] if isinstance(entries, list) else entries
            for axis, entries in lists.items()
        }
    if isinstance(raw.get("compare"), dict):
        raw["compare"] = {key: _with_base(part, deep=3) for key, part in raw["compare"].items()}
    return raw


def _with_base(entry: Any, deep: int = 0) -> Any:
    """Read the config that an entry names, and those that entries within it name, `deep` levels down."""
    if not isinstance(entry, dict):
        return entry
    inner = {k: _with_base(v, deep - 1) if deep and k != "base" else v for k, v in entry.items()}
    named = isinstance(inner.get("base"), str)
    return {**inner, "base": _read_base(inner["base"])} if named else inner


def _read_base(name: str) -> dict[str, Any]:
    try:
        path = find_config(name)
        return anchored(read(path), path.parent)
    except InputError as error:
        raise InputError("base", name, error.allowed, error.fix or nearest(name, [])) from None


def _read_settings(name: str) -> dict[str, Any]:
    try:
        return read(find_config(name))
    except InputError as error:
        allowed = "settings.yaml of a search (`spiketrain tune`), or a shipped file of that kind"
        raise InputError("tuned", name, allowed, error.fix) from None
