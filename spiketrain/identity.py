"""What a run is, in the first fields of its summary."""

from __future__ import annotations

from typing import Any

from spiketrain.parts import Parts

__all__ = ["identity"]


def identity(parts: Parts) -> dict[str, Any]:
    """Return the first fields of ``summary.json``."""
    experiment = parts.experiment
    resolved = experiment.resolved()
    return {
        "task": experiment.task.name,
        "rule": experiment.rule.name,
        "arm": experiment.training.arm.name,
        "simulator": experiment.simulator.name,
        "neuron": parts.model.network.layers[0].neuron.model,
        "layers": list(parts.model.network.sizes),
        "chips": parts.chips.chips,
        "mismatch": resolved["mismatch"],
        "seed": experiment.training.seed,
        "epochs": experiment.training.epochs,
    }
