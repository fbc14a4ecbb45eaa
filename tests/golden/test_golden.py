"""Golden values: what a seed meant yesterday it means today.

A difference here is a change of what published seeds stand for: to be made on purpose, noted in the
changelog, and then written anew with ``python tests/golden/test_golden.py``.
"""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from torch import Tensor

from learning.feedback_control.dfc import DeepFeedbackControl
from learning.stimulus import Batch
from mismatch import oracle
from root.seeds import SeedTree
from spiketrain.config import load_experiment
from spiketrain.parts import build

FILE = Path(__file__).with_name("golden.json")
OVERRIDES = ["simulator.name=torch", "mismatch.chips=2", "training.batch=8"]


def summed(tensor: Tensor) -> list[float]:
    """Return numbers that any change of order or value would move."""
    flat = tensor.detach().double().flatten()
    return [float(flat.sum()), float(flat.square().sum()), float(flat[0]), float(flat[-1])]


def measured() -> dict[str, list[float]]:
    """Return the golden values as they are now."""
    parts = build(load_experiment("spiking/dfc_two_phase_digits.yaml", OVERRIDES), None)
    batch: Batch = next(iter(parts.batches(0)))
    model, rule = parts.model, parts.rule
    assert isinstance(rule, DeepFeedbackControl)
    model.feedback = rule.feedback_weights(model)
    parts.chips.program(model.weights())
    hardware = oracle.reveal(parts.chips)
    observation = parts.chips.present(rule.presentation(batch, model), *batch.key)
    update = rule.update(batch, observation, model)
    found = {
        "seed tree": SeedTree(7).child("chip", 3, "threshold").generator().random(4).tolist(),
        "shuffled batch": summed(batch.x),
        "threshold": summed(hardware.neurons[0]["threshold"]),
        "tau_m": summed(hardware.neurons[1]["tau_m_ms"]),
        "effective weights": summed(hardware.weights[0]),
        "feedback weights": summed(hardware.feedback[0]),
    }
    for phase, recording in observation.items():
        found |= {f"{phase} rates {layer}": summed(r) for layer, r in enumerate(recording.rates)}
    for index, change in enumerate(update.connections):
        assert change is not None
        found[f"update {index}"] = summed(change.weight())
    return found


@pytest.fixture(scope="module")
def now() -> dict[str, list[float]]:
    return measured()


@pytest.mark.parametrize("name", sorted(json.loads(FILE.read_text())) if FILE.exists() else [])
def test_golden_value(now: dict[str, list[float]], name: str) -> None:
    expected = torch.tensor(json.loads(FILE.read_text())[name], dtype=torch.float64)
    torch.testing.assert_close(torch.tensor(now[name], dtype=torch.float64), expected, rtol=1e-9, atol=1e-9)


def test_every_value_is_recorded(now: dict[str, list[float]]) -> None:
    assert now.keys() == json.loads(FILE.read_text()).keys()


if __name__ == "__main__":
    FILE.write_text(json.dumps(measured(), indent=1) + "\n")
