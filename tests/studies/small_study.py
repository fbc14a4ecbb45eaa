"""A study of two cells that train in a second."""

from __future__ import annotations

from typing import Any

from spiketrain.studies.study import Study

BASE: dict[str, Any] = {
    "task": {"name": "digits"},
    "network": {
        "layers": [64, 12, 10],
        "neuron": {"model": "rate", "activation": "tanh", "tau_ms": 20},
        "output_neuron": {"activation": "linear"},
    },
    "mismatch": {"chips": 2, "seed": 1, "weight": {"distribution": "normal", "cv": 0.2}},
    "bridge": {"encoding": "current", "target_rates": [0.0, 1.0]},
    "rule": {"name": "backprop"},
    "simulator": {"name": "steady", "presentation_ms": 100, "window_ms": 1},
    "training": {"epochs": 1, "batch": 128, "optimizer": "adam", "learning_rate": 0.01, "validation": 0.2},
}


def study(**keys: Any) -> Study:
    """Return a study of two cells; keys replace its own."""
    return Study.from_mapping(
        {"name": "small", "base": BASE, "grid": {"mismatch.weight.cv": [0.1, 0.3]}, **keys}
    )
