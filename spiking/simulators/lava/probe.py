"""Does Lava work here? A short real run says so."""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from root.errors import InputError, SpiketrainError
from spiking.simulators.lava.client import Client
from spiking.simulators.lava.environment import Environment, find

__all__ = ["probe", "single_neuron", "try_out"]

STEPS = 12


NEURON = {
    "update": [["v", "current + (v - current) * decay"]],
    "spike": "v > threshold",
    "reset": [["v", "reset"]],
    "emission": "",
}
"""The statements of a leaky integrate-and-fire neuron."""


@cache
def probe() -> tuple[bool, str]:
    """Return whether Lava works here, and what to know or to do about it; asked once per process."""
    try:
        return try_out(find())
    except InputError as error:
        return False, f"not installed in {error.given}: spiketrain lava install"


def try_out(environment: Environment) -> tuple[bool, str]:
    """Run one neuron under a constant current, whose spikes are known.

    :math:`v_t = 1 - 2^{-t}` crosses 0.9 in every fourth step.
    """
    client = Client(environment, limit_s=30.0)
    try:
        spikes = client.run(*single_neuron(STEPS))["record.spikes.0"].ravel()
    except SpiketrainError as error:
        return False, str(error)
    finally:
        client.close()
    expected = [0.0, 0.0, 0.0, 1.0] * (STEPS // 4)
    works = spikes.tolist() == expected
    said = "runs" if works else f"gives wrong spikes ({spikes.tolist()}); install it again"
    return works, f"{said}, in {environment.folder}"


def single_neuron(steps: int) -> tuple[dict[str, Any], dict[str, NDArray[Any]]]:
    """Return header and arrays of the neuron and `steps` steps."""
    header = {
        "arithmetic": "floating_pt",
        "sizes": [1, 1],
        "chips": 1,
        "batch": 1,
        "steps": steps,
        "drive": "values",
        "connections": [[0, 1, 1]],
        "layers": [{"model": "lif", "program": NEURON}],
        "shadow": False,
        "closed": False,
        "record": ["spikes"],
    }
    block, row = np.zeros((1, 1, 1)), np.ones((1, 1, 1))
    arrays = {
        "drive": np.ones((1, 1)),
        "window": np.zeros((1, steps)),
        "weight.0": row,
        "layer.0.bias": block,
        "layer.0.state.v": block,
        "layer.0.state.refractory": block,
        "layer.0.state.synapse": block,
        "layer.0.constant.decay": 0.5 * row,
        "layer.0.constant.threshold": 0.9 * row,
        "layer.0.constant.reset": block,
        "layer.0.constant.synapse_decay": block,
        "trace": block,
        "integral": block,
        "controller.trace_decay": np.zeros(()),
        "controller.trace_gain": np.zeros(()),
    }
    return header, arrays
