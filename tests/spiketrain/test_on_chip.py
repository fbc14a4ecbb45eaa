"""Chips that learn by themselves: an epoch is one presentation, and what makes no sense is refused."""

from copy import deepcopy

import pytest
import torch

from root.errors import InputError
from spiketrain.config import Experiment
from spiketrain.parts import build
from spiketrain.teaching import learn

CONFIG = {
    "name": "small",
    "task": {"name": "digits"},
    "network": {"layers": [64, 12, 10], "neuron": {"model": "lif", "bias": 1.0}, "bias_spread": 0.5},
    "mismatch": {"chips": 1, "shadow": "shared", "weight": {"distribution": "normal", "cv": 0.2}},
    "bridge": {"encoding": "current"},
    "rule": {"name": "dfc", "prediction": "basal"},
    "simulator": {"name": "torch", "presentation_ms": 20, "window_ms": 15},
    "training": {
        "epochs": 1,
        "batch": 32,
        "learning_rate": 0.1,
        "hidden_scale": 0.5,
        "plasticity": "on_chip",
    },
}


def changed(**sections):
    data = deepcopy(CONFIG)
    for name, keys in sections.items():
        data[name] |= keys
    return data


@pytest.mark.parametrize("prediction", ["basal", "apical_online"])
def test_an_epoch_is_shown_in_one_go_and_the_model_follows_the_chip(prediction):
    data = changed(rule={"prediction": prediction})
    if prediction != "basal":
        del data["mismatch"]["shadow"]
    parts = build(Experiment.from_mapping(data), None)
    (batch,) = parts.batches(0)
    assert len(batch.x) == len(parts.data.x_train) // 32 * 32
    before = [weight.clone() for weight in parts.model.forward_weights]
    update, _ = learn(parts, batch, 0.1)
    assert parts.model.on_chip.steps == (0.05, 0.1)
    for old, new, change in zip(before, parts.model.forward_weights, update.connections, strict=True):
        assert bool((change.weight() != 0).any())
        assert torch.equal(new, old + change.weight())


@pytest.mark.parametrize(
    ("sections", "key"),
    [
        ({"rule": {"prediction": "two_phase"}, "mismatch": {"shadow": "own"}}, "rule.prediction"),
        ({"training": {"optimizer": "nlms"}}, "training.optimizer"),
        ({"training": {"average": 0.9}}, "training.average"),
        ({"training": {"guard": {}}}, "training.guard"),
        ({"simulator": {"name": "compiled"}}, "simulator.name"),
        ({"mismatch": {"write_noise": {}}}, "mismatch.write_noise"),
    ],
)
def test_what_chips_cannot_do_by_themselves_is_refused(sections, key):
    with pytest.raises(InputError) as error:
        Experiment.from_mapping(changed(**sections))
    assert error.value.key.startswith(key)


def test_other_rules_learn_on_the_host():
    data = changed(mismatch={"shadow": "own"})
    data["rule"] = {"name": "backprop"}
    with pytest.raises(InputError, match="plasticity"):
        Experiment.from_mapping(data)
