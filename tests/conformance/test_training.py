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


@pytest.fixture(scope="module")
def reference(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return train(tmp_path_factory.mktemp("torch"), "torch")


def train(folder: Path, simulator: str) -> Path:
    directory = folder / "run"
    experiment = load_experiment("dfc_lif.yaml", [*SHORT, f"simulator.name={simulator}"])
    run(experiment, directory, quiet=True, report=False)
    return directory


@pytest.mark.parametrize("simulator", ["brian2", "compiled"])
def test_training_on_another_simulator_gives_the_same_weights(
    reference: Path, tmp_path: Path, simulator: str
) -> None:
    other = train(tmp_path, simulator)
    summaries = [json.loads((path / "summary.json").read_text()) for path in (reference, other)]
    assert summaries[0]["test_accuracy"] == summaries[1]["test_accuracy"]
    assert min(summaries[0]["test_accuracy"]) > 0.5
    weights = [load_file(path / "weights.safetensors") for path in (reference, other)]
    for name, expected in weights[0].items():
        torch.testing.assert_close(weights[1][name], expected, rtol=0, atol=1e-9)
