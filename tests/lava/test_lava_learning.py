"""Chips that learn inside Lava: many batches are one run, and what cannot be is refused."""

from copy import deepcopy

import pytest
import torch

from root.errors import InputError
from spiketrain.config import Experiment
from spiketrain.parts import build
from spiketrain.teaching import learn
from spiking.simulators.lava.client import Client

CONFIG = {
    "name": "small",
    "task": {"name": "digits"},
    "network": {"layers": [64, 12, 10], "neuron": {"model": "lif", "bias": 1.0}, "bias_spread": 0.5},
    "mismatch": {"chips": 2, "shadow": "shared", "weight": {"distribution": "normal", "cv": 0.2}},
    "bridge": {"encoding": "current"},
    "rule": {"name": "dfc", "prediction": "basal"},
    "simulator": {"name": "lava", "presentation_ms": 20, "window_ms": 15},
    "training": {"epochs": 1, "batch": 256, "learning_rate": 0.1, "plasticity": "on_chip"},
}


def changed(**sections):
    data = deepcopy(CONFIG)
    if sections.get("rule"):
        del data["mismatch"]["shadow"]  # there are none
    for name, keys in sections.items():
        data[name] |= keys
    return Experiment.from_mapping(data)


def test_an_epoch_of_batches_is_one_run_of_lava_and_ends_with_torch_s_weights(environment, monkeypatch):
    runs = []
    original = Client.run

    def counted(self, header, arrays, report=None):
        runs.append((header["presentations"], header["batch"]))
        return original(self, header, arrays, report)

    monkeypatch.setattr(Client, "run", counted)
    ends = []
    for name in ("lava", "torch"):
        parts = build(changed(simulator={"name": name}), None)
        (batch,) = parts.batches(0)
        learn(parts, batch, 0.1)
        ends.append(parts.model.forward_weights)
    assert runs == [(5, 256)]
    for ours, theirs in zip(*ends, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=0, atol=1e-12)


def test_in_every_step_they_learn_what_tensors_learn(environment):
    ends = []
    for name in ("lava", "torch"):
        parts = build(changed(simulator={"name": name}, rule={"prediction": "apical_online"}), None)
        before = [weight.clone() for weight in parts.model.forward_weights]
        (batch,) = parts.batches(0)
        learn(parts, batch, 0.1)
        ends.append(parts.model.forward_weights)
    for first, ours, theirs in zip(before, *ends, strict=True):
        assert not torch.equal(theirs, first)
        torch.testing.assert_close(ours, theirs, rtol=0, atol=1e-12)


def test_what_lava_s_synapses_cannot_learn_is_refused(environment):
    with pytest.raises(InputError, match=r"simulator\.name"):
        changed(simulator={"arithmetic": "fixed"})
