"""The same experiment without mismatch: what a report holds its chips against."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from root.errors import InputError
from spiketrain.config.design import Design

__all__ = ["KEY", "check_reference", "without_mismatch"]

KEY = "analysis.reference"


def without_mismatch(config: Mapping[str, Any], epochs: int | None = None) -> dict[str, Any]:
    """Return a config of one chip that is as it was designed, simulated here, trained in the loop.

    Args:
        config: what to take the mismatch from, every default written out.
        epochs: how long it is trained; None: as long as `config` says.
    """
    kept = {name: section for name, section in config.items() if name not in ("chips", "analysis")}
    training = {**kept["training"], "arm": {"name": "in_loop"}}
    for key in ("before", "presentations"):  # what chips were spared, or rationed
        training.pop(key, None)
    if epochs is not None:
        training["epochs"] = epochs
    return {**kept, "mismatch": {"chips": 1}, "training": training}


def check_reference(experiment: Design) -> None:
    """Raise `InputError` where a reference is asked for and there is none."""
    if experiment.chips.at is not None:
        raise InputError(KEY, True, "false: it would be simulated, and these chips are elsewhere (chips.at)")
    if experiment.build_mismatch().is_ideal:
        raise InputError(KEY, True, "false: nothing deviates, so the run is its own reference")
