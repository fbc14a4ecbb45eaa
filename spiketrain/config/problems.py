"""From pydantic's complaints to this project's: one message with key, value, what is allowed and the fix."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, get_args, get_type_hints

from pydantic import BaseModel, ValidationError

from rate_bridge.errors import InputError, nearest

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
        return unknown(place, problem["input"], _keys(model, path[:-1]))
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


def _keys(model: Any, path: Sequence[str]) -> list[str]:
    """Return the keys that `model` has at `path`."""
    for step in path:
        hint = get_type_hints(model).get(step)
        model = next((t for t in (hint, *get_args(hint)) if hasattr(t, "model_fields")), None)
    return list(model.model_fields) if model is not None else []
