"""Training is the same on every simulator: the same accuracies, and weights equal to 1e-9."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from spiketrain.config import load_experiment
from spiketrain.experiment import run

SHORT = ["training.epochs=1", "training.batch=96", "mismatch.chips=2"]

CASES = {
    "spiking/dfc_two_phase_digits.yaml": SHORT,
    "spiking/dfc_deep_digits.yaml": [
        "training.epochs=2",
        "training.learning_rate=0.015",
        "training.average=0.9",
        "mismatch.chips=2",
        "network.layers=[64,50,40,10]",
        "simulator.dtype=float64",
        "simulator.presentation_ms=100",
        "simulator.window_ms=60",
        "simulator.test_presentation_ms=120",
        "simulator.test_window_ms=100",
    ],
}
"""Direct and layered feedback."""


@pytest.fixture(scope="module", params=CASES)
def reference(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[str, Path]:
    return request.param, train(tmp_path_factory.mktemp("torch"), request.param, "torch")


def train(folder: Path, config: str, simulator: str) -> Path:
    directory = folder / "run"
    experiment = load_experiment(config, [*CASES[config], f"simulator.name={simulator}"])
    run(experiment, directory, quiet=True, report=False)
    return directory


@pytest.mark.parametrize("simulator", ["brian2", "compiled"])
def test_training_on_another_simulator_gives_the_same_weights(
    reference: tuple[str, Path], tmp_path: Path, simulator: str
) -> None:
    config, first = reference
    other = train(tmp_path, config, simulator)
    summaries = [json.loads((path / "summary.json").read_text()) for path in (first, other)]
    assert summaries[0]["test_accuracy"] == summaries[1]["test_accuracy"]
    assert min(summaries[0]["test_accuracy"]) > 0.5
    weights = [load_file(path / "weights.safetensors") for path in (first, other)]
    for name, expected in weights[0].items():
        torch.testing.assert_close(weights[1][name], expected, rtol=0, atol=1e-9)
