"""One step of every neuron model, in floating point and in integers.

The names of states and constants are those that the project's ``spiking.neurons`` uses.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from .bundle import Arrays
from .loihi import decayed, interpolated, saturated

__all__ = ["FIXED", "FLOAT", "part"]

Step = Callable[[Arrays, Any, Arrays], Any]

Curve = Callable[[Any, Any, Any], Any]
"""An activation: its argument, saturation and shape (both None for the usual ones) to its value."""


def part(arrays: Arrays, prefix: str) -> Arrays:
    """Return the arrays whose names begin with `prefix`, without it."""
    return {name[len(prefix) :]: array for name, array in arrays.items() if name.startswith(prefix)}


def _lif(state: Arrays, current: Any, constants: Arrays) -> Any:
    v = state["v"]
    v -= current
    v *= constants["decay"]
    v += current
    held = constants.get("refractory_steps")
    if held is not None:
        np.copyto(v, np.broadcast_to(constants["reset"], v.shape), where=state["refractory"] > 0)
    spikes = v > constants["threshold"]
    np.copyto(v, np.broadcast_to(constants["reset"], v.shape), where=spikes)
    if held is not None:
        state["refractory"][...] = np.where(spikes, held, np.maximum(state["refractory"] - 1, 0))
    return spikes.astype(v.dtype)


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


class _Rate:
    """The leaky rate neuron; its emission is an activity, sent as a graded message."""

    def __init__(self, activation: str) -> None:
        self.value = _ACTIVATIONS[activation]

    def __call__(self, state: Arrays, current: Any, constants: Arrays) -> Any:
        v = state["v"]
        v -= current
        v *= constants["decay"]
        v += current
        x = v - constants["offset"] if "offset" in constants else v
        activity = self.value(x, constants.get("saturation"), constants.get("shape"))
        return activity * constants["gain"] if "gain" in constants else activity.copy()


def _bent(x: Any, shape: Any, centre: float = 0.0) -> Any:
    """Return the argument with its shape, as in ``spiking.neurons.bend``."""
    if shape is None:
        return x
    away = x - centre
    return np.sign(away) * np.expm1(shape * np.log1p(np.abs(away))) / shape + centre


def _plateau(curve: Callable[[Any], Any]) -> Curve:
    return lambda x, s, k: curve(_bent(x, k)) if s is None else s * curve(_bent(x / s, k))


def _clipped(curve: Callable[[Any], Any], centre: float = 0.0) -> Curve:
    def value(x: Any, s: Any, k: Any) -> Any:
        free = curve(_bent(x, k, centre))
        return free if s is None else np.clip(free, -s, s)

    return value


def _firing(x: Any) -> Any:
    above = np.where(x > 1, x - 1, 1.0)
    return np.where(x > 1, 1 / np.log1p(1 / above), 0.0)


_ACTIVATIONS: dict[str, Curve] = {
    "tanh": _plateau(np.tanh),
    "sigmoid": _plateau(lambda x: 1 / (1 + np.exp(-x))),
    "relu": _clipped(lambda x: np.maximum(x, 0)),
    "softplus": _clipped(lambda x: np.logaddexp(0, x)),
    "linear": _clipped(lambda x: x + 0),
    "lif": _clipped(_firing, centre=1.0),
}


FLOAT: dict[str, Callable[[dict[str, Any]], Step]] = {
    "lif": lambda options: _lif,
    "rate": lambda options: _Rate(options["activation"]),
}
"""Models in floating point: options to step."""

FIXED: dict[str, Callable[[dict[str, Any]], Step]] = {
    "lif": lambda options: _lif_fixed,
    "rate": lambda options: _rate_fixed,
}
"""Models in integers; the rate neuron's activation, whatever it is, is a table."""
