"""Registered parts (tasks, neurons, rules, ...) from the keys of a config, and back.

A part is a frozen dataclass whose fields are its keys, so its own annotations say what is allowed:
they are checked strictly (no text for a number, no boolean for an integer, nothing infinite), ranges
by the part's ``__post_init__``. A field may itself hold a part: a class with a ``plugin_group`` is
chosen by name, any other dataclass is a group of keys.
"""

from __future__ import annotations

import dataclasses
import inspect
import json
import types
from collections.abc import Mapping
from enum import Enum
from functools import cache
from pathlib import Path
from typing import Any, Union, get_args, get_origin, get_type_hints

from pydantic import ConfigDict, TypeAdapter, ValidationError

from root.errors import InputError
from root.plugins import available, load, name_of
from spiketrain.config.problems import input_error, prefixed, unknown

__all__ = ["build", "build_named", "call", "fields_of", "find", "key_of", "kinds", "plain", "signature"]

STRICT = ConfigDict(strict=True, allow_inf_nan=False)

REQUIRED = dataclasses.MISSING


def find(group: str, name: Any, key: str) -> Any:
    """Return the class registered as `name` in `group`.

    Raises:
        InputError: there is none, or it cannot be imported.
    """
    if not isinstance(name, str):
        raise InputError(key, "nothing" if name is None else name, ", ".join(available(group)))
    try:
        return load(group, name, key)
    except (ImportError, AttributeError) as error:
        raise InputError(key, name, "a part whose libraries are installed", str(error)) from error


def build(group: str, options: Mapping[str, Any], key: str, name_key: str = "name") -> Any:
    """Return the part that `options` describe.

    Args:
        group: the group of entry points, such as ``"rules"``.
        options: the name under `name_key`, and the part's own keys.
        key: where this stands in the config.
        name_key: the key that names the part.

    Raises:
        InputError: no such part, an unknown key, a wrong type or an impossible value.
    """
    cls = find(group, options.get(name_key), f"{key}.{name_key}")
    given = {k: v for k, v in options.items() if k != name_key}
    return _construct(cls, given, key, group.removesuffix("s"), (name_key,))


def build_named(group: str, name: str, options: Mapping[str, Any], key: str) -> Any:
    """Return the part whose registered name is itself the key of its `options`, below `key`.

    Raises:
        InputError: as for `build`.
    """
    return _construct(find(group, name, key), options, f"{key}.{name}", name)


def _construct(cls: Any, given: Mapping[str, Any], key: str, noun: str, above: tuple[str, ...] = ()) -> Any:
    fields = {key_of(f): f for f in dataclasses.fields(cls) if f.init}
    hints = get_type_hints(cls)
    for name, value in given.items():
        if name not in fields:
            raise unknown(f"{key}.{name}", value, [*above, *fields])
    for name, field in fields.items():
        if field.default is field.default_factory is REQUIRED and name not in given:
            raise InputError(f"{key}.{name}", "nothing", "a value; this key is required")
    names = {name: fields[name].name for name in given}
    values = {
        names[name]: _value(hints[names[name]], value, f"{key}.{name}") for name, value in given.items()
    }
    try:
        return cls(**values)
    except InputError as error:
        raise prefixed(error, key, noun) from None


def call(
    cls: Any, options: Mapping[str, Any], key: str, own: Mapping[str, Any], above: tuple[str, ...] = ()
) -> Any:
    """Return ``cls(**own, **options)``, the options checked against the constructor's annotations.

    Args:
        cls: the class.
        options: keys and values of the config.
        key: where they stand.
        own: arguments that are none of the config's business.
        above: keys that are known beside them.
    """
    known = signature(cls, without=frozenset(own))
    for name, value in options.items():
        if name not in known:
            raise unknown(f"{key}.{name}", value, [*above, *known])
    values = {name: _value(known[name][0], value, f"{key}.{name}") for name, value in options.items()}
    try:
        return cls(**own, **values)
    except InputError as error:
        raise prefixed(error, key) from None


def signature(cls: Any, without: frozenset[str]) -> dict[str, tuple[Any, Any]]:
    """Return the type and the default of the constructor's arguments, but for those in `without`."""
    hints = get_type_hints(cls.__init__)
    arguments = inspect.signature(cls).parameters
    return {name: (hints[name], arguments[name].default) for name in arguments if name not in without}


def _value(hint: Any, raw: Any, key: str) -> Any:
    part = next((kind for kind in kinds(hint) if dataclasses.is_dataclass(kind)), None)
    if part is not None and not (raw is None and type(None) in kinds(hint)):
        group = getattr(part, "plugin_group", None)
        if group and isinstance(raw, str):
            return build(group, {"name": raw}, key)
        if not isinstance(raw, dict):
            raise InputError(key, raw, "a name, or a mapping with a name" if group else "a mapping of keys")
        return build(group, raw, key) if group else _construct(part, raw, key, key.rpartition(".")[2])
    try:
        return _adapter(hint).validate_json(json.dumps(raw))
    except ValidationError as error:
        raise input_error(error, raw, key) from None


@cache
def _adapter(hint: Any) -> TypeAdapter[Any]:
    return TypeAdapter(hint, config=STRICT)


def kinds(hint: Any) -> tuple[Any, ...]:
    """Return the alternatives of an annotation."""
    return get_args(hint) if get_origin(hint) in (Union, types.UnionType) else (hint,)


def fields_of(part: Any, *, defaults: bool = True) -> dict[str, Any]:
    """Return the keys of a built part with their values, as plain data; without `defaults`, what differs."""
    fields = [f for f in dataclasses.fields(part) if f.init]
    kept = [f for f in fields if defaults or getattr(part, f.name) != _default(f)]
    return {key_of(f): plain(getattr(part, f.name), defaults=defaults) for f in kept}


def key_of(field: dataclasses.Field[Any]) -> str:
    """Return the config key of a field: its name, or what its metadata says under ``key``."""
    return str(field.metadata.get("key", field.name))


def _default(field: dataclasses.Field[Any]) -> Any:
    made = field.default_factory
    return field.default if made is REQUIRED else made()


def plain(value: Any, *, defaults: bool = True) -> Any:
    """Return `value` as YAML can say it; a part that is chosen by name gets its name."""
    if dataclasses.is_dataclass(value):
        group = getattr(value, "plugin_group", None)
        own = fields_of(value, defaults=defaults)
        return {"name": _name(group, type(value)), **own} if group else own
    if isinstance(value, Mapping):
        return {str(key): plain(inner, defaults=defaults) for key, inner in value.items()}
    if isinstance(value, (list, tuple, frozenset)):
        return [plain(inner, defaults=defaults) for inner in value]
    if isinstance(value, Enum):
        return plain(value.value)
    return str(value) if isinstance(value, Path) else value


def _name(group: str, cls: type) -> str:
    name = name_of(group, cls)
    if name is None:
        raise InputError(group, cls.__name__, "a registered part")
    return name
