"""A neuron of the user's own, from the config to chips and rules."""

import pytest
import yaml

from mismatch import oracle
from root.errors import InputError
from spiketrain.config import load_experiment
from spiketrain.config.experiment import Experiment
from spiketrain.parts import build

SMALL = ["simulator.name=torch", "mismatch.chips=2", "training.batch=8", "network.layers=[64,20,10]"]
GRADIENT = {"name": "backprop"}


def plain(name, overrides):
    """Return a config as a mapping."""
    return yaml.safe_load(yaml.safe_dump(load_experiment(name, overrides).resolved()))


def learned(parts):
    """Return the update of the first batch."""
    batch = next(iter(parts.batches(0)))
    parts.rule.start(parts.model)
    parts.model.feedback = parts.rule.feedback_weights(parts.model) if parts.rule.uses_feedback else ()
    parts.chips.program(parts.model.weights())
    seen = parts.chips.present(parts.rule.presentation(batch, parts.model), *batch.key)
    return parts.rule.update(batch, seen, parts.model)


def test_its_parameters_deviate_and_it_learns():
    parts = build(load_experiment("dfc_adaptive.yaml", SMALL), None)
    update = learned(parts)
    hardware = oracle.reveal(parts.chips)
    for field, nominal in (("theta", 1.0), ("tau_m_ms", 20.0), ("tau_w_ms", 100.0), ("jump", 0.1)):
        values = hardware.neurons[0][field]
        assert values.shape == (2, 20)
        assert 0.1 < float(values.std() / nominal) < 0.3, field
        assert float(values.mean()) == pytest.approx(nominal, rel=0.15)
    assert bool((hardware.neurons[0]["tau_syn_ms"] == 10.0).all())
    assert all(bool(change.weight().any()) for change in update.connections)


def test_a_rule_that_needs_its_slope_measures_it():
    data = plain("dfc_adaptive.yaml", SMALL)
    parts = build(Experiment.from_mapping({**data, "rule": GRADIENT}), None)
    update = learned(parts)
    assert all(bool(change.weight().isfinite().all()) for change in update.connections)
    assert bool(update.connections[0].weight().any())


def test_layers_of_different_models():
    data = plain("dfc_adaptive.yaml", SMALL)
    data["network"]["output_neuron"] = {"model": "li", "bias": 0.0}
    del data["mismatch"]["jump"]
    parts = build(Experiment.from_mapping(data), None)
    assert [layer.neuron.model for layer in parts.model.network.layers] == ["equations", "li"]
    assert all(bool(change.weight().any()) for change in learned(parts).connections)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"threshold": "v > thetta"}, r"network\.neuron\.threshold \(line 1, column 5\): got 'thetta'"),
        ({"parameters": {"tau_m": "20 mV"}}, r"network\.neuron\.parameters\.tau_m: got '20 mV'"),
        ({"parameters": {"tau_m": [1]}}, r"network\.neuron\.parameters"),
        ({"values": {"theta": 1}}, r"network\.neuron\.values: .*unknown key"),
        ({"reset": 3}, r"network\.neuron\.reset: got 3"),
    ],
)
def test_a_mistake_names_the_key(change, message):
    data = plain("dfc_adaptive.yaml", SMALL)
    data["network"]["neuron"].update(change)
    with pytest.raises(InputError, match=message):
        Experiment.from_mapping(data)


def test_a_name_that_is_the_chips_own_is_refused():
    data = plain("dfc_adaptive.yaml", SMALL)
    neuron = data["network"]["neuron"]
    neuron["reset"] = "v = 0; w += weight"
    neuron["parameters"]["weight"] = neuron["parameters"].pop("jump")
    del data["mismatch"]["jump"]
    with pytest.raises(InputError, match="got 'weight'; allowed: other names than those of the chip's own"):
        build(Experiment.from_mapping(data), None)


def test_a_config_comes_back_as_it_was():
    experiment = load_experiment("dfc_adaptive.yaml", SMALL)
    neuron = experiment.build_network().layers[0].neuron
    again = Experiment.from_mapping(plain("dfc_adaptive.yaml", SMALL)).build_network().layers[0].neuron
    assert again == neuron
    assert list(again.nominal.items()) == list(neuron.nominal.items())
