"""Distributions made of others, described by the keys a config would give them."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping
from typing import Any, get_type_hints

from pydantic import BaseModel, ConfigDict, ValidationError, create_model

from mismatch.distributions.base import Distribution
from root.errors import InputError, nearest
from root.plugins import load

__all__ = ["nested"]

STRICT = ConfigDict(strict=True, extra="forbid", allow_inf_nan=False)


def nested(options: Mapping[str, Any], key: str) -> Distribution:
    """Return the registered distribution that `options` describe.

    Args:
        options: the name under ``distribution``, and the distribution's own keys.
        key: where this stands, for messages.

    Raises:
        InputError: no such distribution, or keys or values that it does not take.
    """
    name = options.get("distribution")
    if not isinstance(name, str):
        raise InputError(f"{key}.distribution", name, "the name of a distribution")
    part: type[Distribution] = load("distributions", name, f"{key}.distribution")
    own = {k: v for k, v in options.items() if k != "distribution"}
    model = _keys(part)
    try:
        checked = model.model_validate_json(json.dumps(own))
        return part(**{field: getattr(checked, field) for field in model.model_fields})
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(str(step) for step in first["loc"])
        fix = nearest(place, model.model_fields) if first["type"] == "extra_forbidden" else ""
        given = "nothing" if first["type"] == "missing" else first["input"]
        allowed = f"{', '.join(model.model_fields)} ({first['msg']})"
        raise InputError(f"{key}.{place}", given, allowed, fix) from None
    except InputError as error:
        raise InputError(f"{key}.{error.key}", error.given, error.allowed, error.fix) from None


def _keys(part: type[Distribution]) -> type[BaseModel]:
    """Return a model of a distribution's fields."""
    hints = get_type_hints(part)
    fields: dict[str, Any] = {
        field.name: (hints[field.name], ... if field.default is dataclasses.MISSING else field.default)
        for field in dataclasses.fields(part)  # type: ignore[arg-type]
    }
    return create_model(part.__name__, __config__=STRICT, **fields)
