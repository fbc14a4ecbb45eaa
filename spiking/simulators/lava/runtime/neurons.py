"""One step of every neuron model: from its statements in floating point, by hand in integers.

The names of states and constants are those that the project's ``spiking.neurons`` uses.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from .bundle import Arrays
from .loihi import decayed, interpolated, saturated
from .program import Step, stepper

__all__ = ["FIXED", "fixed", "floating", "part"]


def part(arrays: Arrays, prefix: str) -> Arrays:
    """Return the arrays whose names begin with `prefix`, without it."""
    return {name[len(prefix) :]: array for name, array in arrays.items() if name.startswith(prefix)}


def _lif_fixed(state: Arrays, current: Any, constants: Arrays) -> Any:
    v = saturated(decayed(state["v"], constants["dv"]) + current, 24)
    held = constants["refractory_steps"]
    v = np.where(state["refractory"] > 0, 0, v)
    spikes = v > (constants["vth"] << 6)
    state["v"][...] = np.where(spikes, 0, v)
    state["refractory"][...] = np.where(spikes, held, np.maximum(state["refractory"] - 1, 0))
    return spikes.astype(np.int64)


def _rate_fixed(state: Arrays, current: Any, constants: Arrays) -> Any:
    state["v"][...] = saturated(decayed(state["v"], constants["dv"]) + current, 24)
    return saturated(interpolated(state["v"], constants["table"], constants["table_bits"]), 24)


FIXED: dict[str, Step] = {"lif": _lif_fixed, "rate": _rate_fixed}
"""Models in integers; the rate neuron's activation, whatever it is, is a table."""


def fixed(described: Mapping[str, Any]) -> Step:
    """Return the step in integers of the model that a header describes."""
    return FIXED[described["model"]]


def floating(described: Mapping[str, Any]) -> Step:
    """Return the step in floating point of the statements that a header holds."""
    return stepper(described["program"])
