"""The JSON schema of a config, with the keys of every registered part."""

from __future__ import annotations

import dataclasses
from typing import Any, get_type_hints

from pydantic import TypeAdapter

from root import ranges
from root.plugins import available
from root.ranges import Range
from spiketrain.config import building
from spiketrain.config.experiment import Experiment

__all__ = ["json_schema"]

PLACES = {
    "tasks": "task",
    "neurons": "network.neuron",
    "connections": "network.connections.*",
    "distributions": "mismatch",
    "imperfections": "mismatch.*",
    "encodings": "bridge.encoding",
    "rules": "rule",
    "simulators": "simulator",
    "optimizers": "training.optimizer",
    "arms": "training.arm",
    "augmentations": "training.augment",
    "trackers": "analysis.tracker",
}
"""Group of entry points to the place of its parts in a config."""


def json_schema() -> dict[str, Any]:
    """Return the schema of a config; ``x-parts`` holds, per place and name, the keys of each part."""
    schema = Experiment.model_json_schema()
    schema["$schema"] = "https://json-schema.org/draft/2020-12/schema"
    schema["required"] = [key for key in schema["required"] if key != "name"]
    schema["x-parts"] = {
        place: {name: _part(group, name, place) for name in available(group)}
        for group, place in PLACES.items()
    }
    return schema


def _part(group: str, name: str, place: str) -> dict[str, Any]:
    cls = building.find(group, name, place)
    if group == "simulators":
        arguments = building.signature(cls, frozenset({"device", "dtype"}))
        limits = ranges.of(cls.__init__)
        return {"properties": {key: _key(hint, limits.get(key)) for key, (hint, _) in arguments.items()}}
    hints, limits = get_type_hints(cls), ranges.of(cls)
    keys = {
        building.key_of(f): _key(hints[f.name], limits.get(f.name)) for f in dataclasses.fields(cls) if f.init
    }
    return {"description": (cls.__doc__ or "").partition("\n")[0], "properties": keys}


def _key(hint: Any, limits: Range | None) -> dict[str, Any]:
    """Return the schema of one key; a part that is chosen by name gives its names.

    Args:
        hint: its type.
        limits: of its number, or of every number in it.
    """
    group = next((kind.plugin_group for kind in building.kinds(hint) if hasattr(kind, "plugin_group")), None)
    if group is not None:
        return {"enum": available(group), "x-parts": {n: _part(group, n, n) for n in available(group)}}
    return _limited(TypeAdapter(hint).json_schema(), limits)


def _limited(schema: dict[str, Any], limits: Range | None) -> dict[str, Any]:
    """Return `schema` with `limits` wherever it says a number."""
    if limits is None:
        return schema
    inner = {k: _limited(v, limits) for k, v in schema.items() if isinstance(v, dict)}
    lists = {
        k: [_limited(each, limits) for each in v] for k, v in schema.items() if k in ("anyOf", "prefixItems")
    }
    own = limits.schema if schema.get("type") in ("number", "integer") else {}
    return {**schema, **inner, **lists, **own}
