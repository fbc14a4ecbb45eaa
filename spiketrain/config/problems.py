"""From pydantic's complaints to this project's: one message with key, value, what is allowed and the fix."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, get_args, get_origin, get_type_hints

from pydantic import BaseModel, Tag, ValidationError

from root.errors import InputError, nearest

__all__ = ["ALTERNATIVE", "input_error", "prefixed", "unknown"]

ALTERNATIVE = "|"
"""How the names of the alternatives for a section begin; they are no keys."""


def input_error(
    error: ValidationError, raw: Any, key: str = "", model: type[BaseModel] | None = None
) -> InputError:
    """Return the first thing that is wrong, unknown keys before everything else.

    Args:
        error: what pydantic found.
        raw: the value that was validated.
        key: its dotted name, empty at the top.
        model: what it was validated as, for the names of the known keys.
    """
    problems = error.errors(include_url=False)
    problem = min(problems, key=lambda p: p["type"] != "extra_forbidden")
    path = _path(problem["loc"], raw, problem["type"] == "missing")
    place = ".".join([key, *path] if key else path)
    if problem["type"] == "extra_forbidden":
        return unknown(place, problem["input"], _keys(model, problem["loc"][:-1]) if model else [])
    if problem["type"] == "missing" and isinstance(problem["loc"][-1], int):
        place, _, index = place.rpartition(".")
        return InputError(place, problem["input"], f"a list of {int(index) + 1} or more")
    if problem["type"] == "missing":
        return InputError(place, "nothing", "a value; this key is required")
    same = [p for p in problems if _path(p["loc"], raw, p["type"] == "missing") == path]
    return InputError(place, problem["input"], " or ".join(dict.fromkeys(_allowed(p) for p in same)))


def unknown(key: str, given: Any, known: Iterable[str]) -> InputError:
    """Return the error for a key that does not exist."""
    names = list(known)
    fix = nearest(key.rpartition(".")[2], names)
    allowed = f"one of the keys {', '.join(names)}" if names else "no key at all here"
    return InputError(key, given, f"unknown key; {allowed}", fix)


def prefixed(error: InputError, place: str, noun: str = "") -> InputError:
    """Return `error` with its key written out in full: ``reset``, in ``network.neuron``, and so on.

    Args:
        error: what a part raised; its key may be full, partly full or bare.
        place: where the part stands in the config.
        noun: what the part calls itself (``neuron``), to be replaced by `place`.
    """
    steps, above = error.key.split("."), place.split(".")
    if noun and noun != above[0] and steps[0] == noun:
        steps = steps[1:]
    overlap = max(n for n in range(len(above) + 1) if steps[:n] == above[len(above) - n :])
    return type(error)(".".join([*above, *steps[overlap:]]), error.given, error.allowed, error.fix)


WORDS = {
    "model_type": "a mapping of keys and values",
    "dict_type": "a mapping of keys and values",
    "tuple_type": "a list",
    "string_type": "a text",
    "bool_type": "true or false",
    "int_type": "an integer",
    "float_type": "a number",
    "too_short": "a list of {min_length} or more",
    "too_long": "a list of at most {max_length}",
    "string_pattern_mismatch": "letters, digits, '.', '_' and '-', a letter or digit first, at most 100",
}
"""pydantic's kinds of errors that read better in a config's own words."""


def _allowed(problem: Mapping[str, Any]) -> str:
    words = WORDS.get(problem["type"], str(problem["msg"]).removeprefix("Input should be "))
    return words.format(**problem["ctx"]) if problem["type"] in WORDS and "ctx" in problem else words


def _path(location: Sequence[int | str], raw: Any, missing: bool) -> list[str]:
    """Return the steps of `location` that are keys; pydantic adds the names of alternatives to them."""
    steps: list[str] = []
    for step in location:
        if str(step).startswith(ALTERNATIVE):
            continue
        inside = isinstance(raw, dict) and step in raw
        listed = isinstance(raw, list) and isinstance(step, int) and step < len(raw)
        if inside or listed:
            raw = raw[step]
        elif not missing:
            break
        steps.append(str(step))
    return steps


def _keys(model: Any, location: Sequence[int | str]) -> list[str]:
    """Return the keys that `model` has at a location, which may name alternatives."""
    hints = [model]
    for step in map(str, location):
        if step.startswith(ALTERNATIVE):
            hints = [inner for hint in hints for inner in _alternatives(hint) if step in _tags(inner)]
        else:
            hints = [inner for hint in hints for inner in _behind(hint, step)]
    found = (kind for hint in hints for kind in _sections(hint))
    section = next(found, None)
    return [] if section is None else [field.alias or name for name, field in section.model_fields.items()]


def _alternatives(hint: Any) -> Iterator[Any]:
    """Yield what may stand in the place of a hint, itself included."""
    yield hint
    for inner in get_args(hint):
        yield from _alternatives(inner)


def _tags(hint: Any) -> list[str]:
    return [item.tag for item in getattr(hint, "__metadata__", ()) if isinstance(item, Tag)]


def _sections(hint: Any) -> Iterator[Any]:
    return (k for k in _alternatives(hint) if isinstance(k, type) and hasattr(k, "model_fields"))


def _behind(hint: Any, step: str) -> Iterator[Any]:
    """Yield the hints of a key: of a section's field, or of any name in a mapping."""
    for kind in _alternatives(hint):
        if isinstance(kind, type) and hasattr(kind, "model_fields"):
            known = get_type_hints(kind, include_extras=True)
            name = next((n for n, field in kind.model_fields.items() if field.alias == step), step)
            yield from [known[name]] if name in known else []
        elif get_origin(kind) is dict:
            yield get_args(kind)[1]
