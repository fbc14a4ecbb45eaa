"""Networks that are graphs, from a config: what is said, what follows, what is refused, and a run of each."""

import copy

import pytest
import torch
import yaml
from safetensors.torch import load_file, save_file

from root.errors import InputError
from spiketrain.config import Experiment, load_experiment
from spiketrain.experiment import run
from spiking.connections import AveragePool2d, Conv2d, Dense, Recurrent, Sparse

BASE = {
    "name": "graph",
    "task": {"name": "digits"},
    "network": {
        "input": [8, 8],
        "populations": {
            "maps": {"bias_spread": 0.2},
            "means": {},
            "hidden": {"size": 12, "neuron": {"bias": 1.3}},
            "output": {"size": 10},
        },
        "connections": {
            "skip": {"pre": "means", "post": "output"},
            "loop": {"pre": "hidden", "post": "hidden", "kind": "recurrent", "delay_ms": 3.0},
            "first": {"pre": "input", "post": "maps", "kind": "conv2d", "channels": 3, "kernel": 3},
            "pool": {"pre": "maps", "post": "means", "kind": "average_pool2d", "size": 3},
            "second": {"pre": "means", "post": "hidden", "weight_gain": 0.5},
            "last": {"pre": "hidden", "post": "output"},
        },
        "neuron": {"model": "lif", "bias": 1.0},
    },
    "mismatch": {"chips": 2, "weight": {"distribution": "normal", "cv": 0.2}},
    "rule": {"name": "backprop"},
    "simulator": {"name": "torch", "presentation_ms": 40.0, "window_ms": 30.0},
    "training": {"epochs": 1, "batch": 32, "learning_rate": 0.01},
}


def config(*changes):
    """Return the config with dotted keys set, or removed where the value is None."""
    data = copy.deepcopy(BASE)
    for key, value in changes:
        *above, last = key.split(".")
        place = data
        for name in above:
            place = place.setdefault(name, {})
        if value is None:
            del place[last]
        else:
            place[last] = copy.deepcopy(value)
    return data


def test_names_places_and_shapes_follow():
    experiment = Experiment.from_mapping(config())
    network = experiment.build_network()
    assert network.names == ("input", "maps", "means", "hidden", "output")
    assert [layer.axes for layer in network.layers] == [(6, 6, 3), (2, 2, 3), (12,), (10,)]
    assert network.connection_names == ("first", "pool", "second", "last", "skip", "loop")
    kinds = [Conv2d(channels=3, kernel=3), AveragePool2d(3), Dense(), Dense(), Dense(), Recurrent()]
    assert [c.pattern for c in network.connections] == kinds
    assert [c.delay_steps for c in network.connections] == [1, 1, 1, 1, 1, 3]
    assert [layer.neuron.bias for layer in network.layers] == [1.0, 1.0, 1.3, 1.0]
    assert experiment.network.weight_gains(network) == (1.0, 1.0, 0.5, 1.0, 1.0, 1.0)
    assert experiment.network.bias_spreads(network) == (0.2, 0.0, 0.0, 0.0)


@pytest.mark.parametrize("defaults", [True, False])
def test_what_is_written_out_runs_again(defaults):
    experiment = Experiment.from_mapping(config(("mismatch.weight.per", "parameter")))
    again = Experiment.from_mapping(experiment.resolved(defaults=defaults))
    assert again.build_network() == experiment.build_network()
    assert again.build_mismatch() == experiment.build_mismatch()
    assert again.resolved() == experiment.resolved()


C, P = "network.connections", "network.populations"


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ([(f"{C}.first.channel", 3)], [f"{C}.first.channel", "channels"]),
        ([(f"{C}.first.kind", "conv3d")], [f"{C}.first.kind", "conv2d"]),
        ([(f"{C}.first.kernel", 9)], [f"{C}.first.kernel", "within the image"]),
        ([(f"{C}.first.kernel", None)], [f"{C}.first.kernel", "required"]),
        ([(f"{C}.first.stride", 0)], [f"{C}.first.stride"]),
        ([(f"{C}.pool.size", 4)], [f"{C}.pool.size", "divisor"]),
        ([(f"{C}.pool.weight_gain", 2.0)], [f"{C}.pool.weight_gain", "without effect"]),
        ([(f"{C}.skip.pre", "mean")], [f"{C}.skip.pre", "did you mean 'means'"]),
        ([(f"{C}.skip.post", "input")], [f"{C}.skip.post", "maps"]),
        ([(f"{C}.skip.delay_ms", 0.5)], [f"{C}.skip.delay_ms", "multiple"]),
        ([(f"{C}.last", None)], ["network.connections", "from hidden to output"]),
        ([(f"{C}.loop.pre", "output")], [f"{C}.loop", "as many neurons"]),
        ([(f"{P}.hidden.size", None)], [f"{P}.hidden.size", "second does not say it"]),
        ([(f"{P}.maps.size", 5)], [f"{P}.maps", "first"]),
        ([(f"{P}.maps.shape", [6, 6, 4])], [f"{P}.maps", "[6, 6, 3]"]),
        ([(f"{P}.output.size", 9)], [P, "10 last"]),
        ([(f"{P}.hidden.neuron", {"threshhold": 2.0})], [f"{P}.hidden.neuron.threshhold", "threshold"]),
        ([(f"{P}.hidden.sizes", 3)], [f"{P}.hidden.sizes"]),
        ([("network.input", [8, 11])], [P, "64 first"]),
        ([("network.layers", [64, 10])], ["network.layers"]),
        ([("mismatch.weight.per", "synapses")], ["mismatch.weight.per", "parameter"]),
        (
            [("mismatch.weight.per", "parameter"), ("mismatch.faults", {"dead": 0.1})],
            ["mismatch.faults", "per"],
        ),
        ([("analysis", {"measures": True})], ["analysis.measures", "chain"]),
    ],
)
def test_what_cannot_be_is_refused_by_its_key(changes, words):
    with pytest.raises(InputError) as error:
        Experiment.from_mapping(config(*changes))
    assert all(word in str(error.value) for word in words), str(error.value)


INPUTS = [
    ("network.input", {"image": [6, 8], "row": [16]}),
    (f"{C}.first.pre", "image"),
    (f"{C}.pool.size", 2),
    (f"{C}.beside", {"pre": "row", "post": "hidden"}),
]


def test_several_inputs_have_names():
    network = Experiment.from_mapping(config(*INPUTS)).build_network()
    assert network.inputs == 64
    assert [source.axes for source in network.sources] == [(6, 8), (16,)]
    found = dict(zip(network.connection_names, network.synapses, strict=True))
    assert found["beside"].parameters == (16, 12)
    assert (found["beside"].inputs, found["beside"].count) == (64, 16 * 12)
    assert int(found["beside"].wiring.pre.min()) == 48
    assert int(found["first"].wiring.pre.max()) == 47
    again = Experiment.from_mapping(Experiment.from_mapping(config(*INPUTS)).resolved())
    assert again.build_network() == network


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ([(f"{C}.beside.pre", "rows")], [f"{C}.beside.pre", "did you mean 'row'"]),
        ([(f"{C}.beside.pre", "input")], [f"{C}.beside.pre", "image, row"]),
        ([("network.input", {"image": [6, 8], "row": [15]})], [P, "64 first"]),
        ([("network.input", {"image": [6, 8], "hidden": [16]})], [P, "another name"]),
        ([("network.input", {})], ["network.input"]),
        ([(f"{C}.first.pre", "hidden")], ["from image or row to maps"]),
        ([("simulator.name", "loihi")], ["one connection from the input, in loihi"]),
    ],
)
def test_several_inputs_that_cannot_be_are_refused(changes, words):
    with pytest.raises(InputError) as error:
        Experiment.from_mapping(config(*INPUTS, *changes))
    assert all(word in str(error.value) for word in words), str(error.value)


def test_shared_numbers_deviate_once_only_where_some_are_shared():
    chain = config(
        ("network", {"layers": [64, 10], "neuron": {"model": "lif"}}), ("mismatch.weight.per", "parameter")
    )
    with pytest.raises(InputError, match=r"mismatch\.weight\.per.*share"):
        Experiment.from_mapping(chain)


def test_a_file_of_synapses_is_found_beside_its_config_and_known_by_its_checksum(tmp_path):
    save_file(
        {"pre": torch.arange(60) % 12, "post": torch.arange(60) // 12 * 2}, tmp_path / "list.safetensors"
    )
    text = config((f"{C}.last.kind", "sparse"), (f"{C}.last.file", "list.safetensors"))
    path = tmp_path / "graph.yaml"
    path.write_text(yaml.safe_dump(text, sort_keys=False))
    experiment = load_experiment(str(path))
    pattern = experiment.build_network().connections[3].pattern
    assert isinstance(pattern, Sparse)
    assert experiment.resolved()["network"]["connections"]["last"]["sha256"] == pattern.sha256


CONTROLLED = {
    "name": "dfc",
    "prediction": "none",
    "gate": "slope",
    "feedback": {"name": "transposed", "scale": 0.05},
}


@pytest.mark.parametrize(
    ("name", "changes"),
    [
        ("backprop", [("simulator.name", "compiled"), ("mismatch.faults", {"dead": 0.05, "rows": 0.05})]),
        (
            "dfc",
            [("rule", CONTROLLED), ("network.feedback", "layered"), ("mismatch.write_noise", {"std": 0.01})],
        ),
        ("two phases", [("rule", {"name": "dfc"}), ("mismatch.weight.per", "parameter")]),
    ],
)
def test_it_trains_all_that_can_be_and_is_stored(name, changes, tmp_path):
    experiment = Experiment.from_mapping(config(*changes, ("training.optimizer", "nlms")))
    network = experiment.build_network()
    result = run(experiment, tmp_path / "run", quiet=True)
    assert not result.summary["diverged_chips"]
    begun, ended = (
        load_file(tmp_path / "run" / f"{name}.safetensors") for name in ("initial_weights", "weights")
    )
    for connection in network.connections:
        moved = bool((begun[f"forward.{connection.name}"] != ended[f"forward.{connection.name}"]).any())
        assert moved == connection.pattern.trained, (name, connection.name)
    assert (tmp_path / "run" / "report.html").exists()
