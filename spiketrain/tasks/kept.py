"""Samples over time as tensors by name, and back, for the file that a run keeps."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from rate_bridge.sequences import Events, Samples, Sequences, Series

__all__ = ["kept_samples", "parts_of"]


def parts_of(x: Sequences) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Return the tensors that samples over time are made of, and what else there is to know."""
    if isinstance(x, Series):
        return {"values": x.values, "parts": x.parts}, {"form": x.form, "step_ms": x.step_ms}
    assert isinstance(x, Events)
    tensors = {name: getattr(x, name) for name in ("times_ms", "units", "parts", "ends_ms")}
    return tensors, {"form": x.form, "size": x.size}


def kept_samples(tensors: Mapping[str, Tensor], over_time: Mapping[str, Any]) -> dict[str, Samples]:
    """Return samples by name.

    Args:
        tensors: by name; those of samples over time as ``name.part``.
        over_time: what else there is to know of these, by name.

    Raises:
        ValueError, KeyError, TypeError: they are none.
    """
    found: dict[str, Samples] = {}
    for name, note in over_time.items():
        own = {k.partition(".")[2]: v for k, v in tensors.items() if k.startswith(f"{name}.")}
        if note["form"] == "series":
            step_ms = note["step_ms"]
            if type(step_ms) not in (int, float):
                raise TypeError("step_ms is no number")
            found[name] = Series(own["values"].to(torch.float64), own["parts"], float(step_ms))
            continue
        if type(note["size"]) is not int:
            raise TypeError("size is no whole number")
        moments = {part: own[part].to(torch.float64) for part in ("times_ms", "ends_ms")}
        found[name] = Events(
            moments["times_ms"], own["units"], own["parts"], moments["ends_ms"], note["size"]
        )
    return {**{k: v for k, v in tensors.items() if "." not in k}, **found}
