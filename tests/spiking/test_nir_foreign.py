"""What other programs' graphs hold: linear nodes, neurons of every kind, oddities, and lava-dl's files."""

from __future__ import annotations

import h5py
import nir as reference
import numpy as np
import pytest
import torch
from test_nir import foreign
from test_nir_refused import LINEAR, NEURON, chained
from torch.nn import functional

from root.errors import InputError, UnsupportedError
from spiking.network import Clock
from spiking.nir import NIRFile, Reading, read, replay

CLOCK = Clock(dt_ms=1.0, max_rate_hz=1000.0)  # a spike a step is a rate of 1
RNG = np.random.default_rng(4)


def told(tmp_path, graph, reading=None, clock=CLOCK):
    reference.write(tmp_path / "a.nir", graph)
    return read(tmp_path / "a.nir", clock, reading)


def lif(n, tau=1e-2):
    return reference.LIF(np.full(n, tau), np.ones(n), np.zeros(n), np.ones(n))


def test_linear_nodes_become_one_matrix_and_one_bias(tmp_path):
    """A convolution, both poolings, a scale and two affine maps, against torch."""
    kernel, bias = RNG.normal(size=(4, 2, 3, 3)), RNG.normal(size=4)
    first, second = RNG.normal(size=(6, 8)), RNG.normal(size=(5, 6))
    offsets = RNG.normal(size=6), RNG.normal(size=5)
    scale = RNG.normal(size=(4, 8, 8))
    two, none = np.array([2, 2]), np.array([0, 0])
    graph = chained(
        reference.Conv2d((8, 8), kernel, 1, 1, 1, 1, bias),
        reference.Scale(scale),
        reference.SumPool2d(two, two, none),
        reference.AvgPool2d(two, two, none),
        reference.Conv2d((2, 2), np.ones((2, 4, 1, 1)), 1, 0, 1, 1, np.zeros(2)),
        reference.Flatten(np.array([2, 2, 2]), 0),
        reference.Affine(first, offsets[0]),
        reference.Affine(second, offsets[1]),
        lif(5),
        shape=(2, 8, 8),
        outputs=5,
    )
    chip = told(tmp_path, graph)
    x = torch.from_numpy(RNG.normal(size=(3, 2, 8, 8)))
    y = functional.conv2d(x, torch.from_numpy(kernel), torch.from_numpy(bias), padding=1)
    y = functional.avg_pool2d(functional.avg_pool2d(y * torch.from_numpy(scale), 2, divisor_override=1), 2)
    y = y.sum(1, keepdim=True).expand(-1, 2, -1, -1).flatten(1)
    y = functional.linear(y, torch.from_numpy(first), torch.from_numpy(offsets[0]))
    y = functional.linear(y, torch.from_numpy(second), torch.from_numpy(offsets[1]))
    assert chip.network.sizes == (128, 5)
    assert torch.allclose(x.flatten(1) @ chip.weights[0] + chip.neurons[0]["bias"], y, rtol=1e-12)


def test_groups_dilation_stride_and_one_dimension(tmp_path):
    kernel = RNG.normal(size=(4, 1, 3))
    graph = chained(reference.Conv1d(9, kernel, 2, 1, 2, 2, np.zeros(4)), lif(16), shape=(2, 9), outputs=16)
    chip = told(tmp_path, graph)
    x = torch.from_numpy(RNG.normal(size=(3, 2, 9)))
    y = functional.conv1d(x, torch.from_numpy(kernel), None, 2, 1, 2, 2)
    assert torch.allclose(x.flatten(1) @ chip.weights[0], y.flatten(1), rtol=1e-12)


def test_branches_that_meet_leaps_and_loops(tmp_path):
    a, b, back, leap = (RNG.normal(size=(4, 4)) for _ in range(4))
    nodes = {
        "input": reference.Input(np.array([4])),
        "a": reference.Linear(a),
        "b": reference.Linear(b),
        "one": lif(4),
        "on": reference.Linear(np.eye(4)),
        "two": lif(4),
        "leap": reference.Linear(leap),
        "three": lif(4),
        "back": reference.Linear(back),
        "on_2": reference.Linear(np.eye(4)),
        "output": reference.Output(np.array([4])),
    }
    edges = [
        *(("input", "a"), ("input", "b"), ("a", "one"), ("b", "one"), ("one", "on"), ("on", "two")),
        *(("two", "on_2"), ("on_2", "three"), ("one", "leap"), ("leap", "three")),
        *(("three", "back"), ("back", "one"), ("three", "output"), ("three", "output")),
    ]
    chip = told(tmp_path, reference.NIRGraph(nodes, edges, metadata={}, type_check=False))
    found = {(c.pre, c.post): w for c, w in zip(chip.network.connections, chip.weights, strict=True)}
    assert set(found) == {(0, 1), (1, 2), (2, 3), (1, 3), (3, 1)}
    assert torch.allclose(found[0, 1], torch.from_numpy((a + b).T))
    assert torch.allclose(found[3, 1], torch.from_numpy(back.T))
    assert torch.allclose(found[1, 3], torch.from_numpy(leap.T))
    assert "1 edges that stand there twice are taken once" in chip.notes


def test_graphs_within_graphs_and_what_leads_nowhere(tmp_path):
    inner = {
        "in": reference.Input(np.array([2])),
        "lif": NEURON,
        "w": reference.Linear(np.eye(2) * 3),
        "out": reference.Output(np.array([2])),
        "side": NEURON,
    }
    ways = [("in", "lif"), ("lif", "w"), ("w", "lif"), ("lif", "out"), ("lif", "side")]
    graph = chained(LINEAR, reference.NIRGraph(inner, ways, metadata={}, type_check=False), LINEAR, NEURON)
    chip = told(tmp_path, graph)
    assert [(c.pre, c.post) for c in chip.network.connections] == [(0, 1), (1, 2), (1, 1)]
    assert torch.equal(chip.weights[2], 3 * torch.eye(2).double())
    assert any("'node_1.side' is left out" in note for note in chip.notes)


def test_an_input_of_the_whole_samples_shape_is_understood(tmp_path):
    for shape in ((5, 2), (1, 5, 2)):
        chip = told(tmp_path, chained(LINEAR, NEURON, shape=shape))
        assert chip.network.inputs == 2
        assert any("is taken for batch and time" in note for note in chip.notes)


def test_neurons_of_every_kind(tmp_path):
    """Each alone, its spikes or potential by its own equations."""
    drive = RNG.random((60, 2)) < 0.4
    one, zero = np.ones(2), np.zeros(2)
    w = np.array([[0.6137, 0.5071], [0.3113, 0.9231]])
    keep, keep_syn = np.exp(-1 / 8), np.exp(-1 / 3)

    def layer(node, bias=0.1, reading=None):
        chip = told(tmp_path, chained(reference.Affine(w, bias * one), node), reading)
        return replay(chip, drive)[-1].numpy(), chip

    def run(step, size=2):
        state, out = np.zeros((2, size)), []
        for x in drive:
            state, emitted = step(state, w @ x + 0.1)
            out.append(emitted)
        return np.array(out, dtype=float)

    def leaky(state, x):
        v = x + (state[1] - x) * keep
        return np.array([x, v]), v

    def filtered(state, x):
        i = keep_syn * state[0] + (1 - keep_syn) * x
        v = i + (state[1] - i) * keep
        return np.array([i, v]), v

    def perfect(state, x):
        v = state[1] + x
        fired = v > 1
        return np.array([x, np.where(fired, 0, v)]), fired

    def subtracting(state, x):
        v = state[1] + x
        return np.array([x, v - (v > 1)]), v > 1

    cases = [
        (reference.LI(8e-3 * one, one, zero), leaky, "li", None),
        (reference.CubaLI(3e-3 * one, 8e-3 * one, one, zero, one), filtered, "equations", None),
        (reference.IF(1e3 * one, one, zero), perfect, "equations", None),
        (reference.IF(1e3 * one, one, zero), subtracting, "if", Reading(reset="subtract")),
        (reference.Threshold(0.8 * one), lambda s, x: (s, x > 0.8), "lif", None),
        (reference.I(1e3 * one), lambda s, x: (s + x, (s + x)[1]), "equations", None),
    ]
    for node, step, model, reading in cases:
        found, chip = layer(node, reading=reading)
        assert chip.network.layers[0].neuron.model == model
        assert np.abs(found).sum() > 5, node
        assert np.allclose(found, run(step), rtol=1e-9, atol=1e-12), node


def test_a_graph_that_ends_without_neurons_reads_currents_out(tmp_path):
    chip = told(tmp_path, chained(LINEAR, lif(2), reference.Affine(np.eye(2) * 2, np.array([0.5, 0]))))
    assert [layer.neuron.model for layer in chip.network.layers] == ["lif", "li"]
    spikes, out = replay(chip, np.ones((40, 2)))
    assert spikes.sum() > 0
    assert torch.allclose(out, 2 * spikes + torch.tensor([0.5, 0.0]).double(), atol=1e-12)


def test_potentials_in_volts_are_counted_from_the_reset(tmp_path):
    def neuron(shift):
        return reference.LIF(
            1e-2 * np.ones(2), np.ones(2), shift + np.zeros(2), shift + np.ones(2), shift + np.zeros(2)
        )

    drive = np.ones((80, 2))
    graphs = [chained(reference.Linear(np.eye(2) * 1.5), neuron(shift)) for shift in (0.0, -65.0)]
    here, there = (told(tmp_path, graph) for graph in graphs)
    assert torch.equal(replay(here, drive)[0], replay(there, drive)[0])
    assert any("counted from v_reset" in note for note in there.notes)


def test_what_is_odd_is_said(tmp_path):
    said = told(tmp_path, chained(LINEAR, lif(2, tau=1e-5)), clock=Clock(dt_ms=1.0)).notes
    assert any("tau of 'node_1' is 0.01 ms, less than half a step" in note for note in said)
    assert any("whether a reset subtracts" in note for note in said)
    said = told(tmp_path, chained(LINEAR, lif(2, tau=20.0))).notes
    assert any("is 20000 ms, which no neuron" in note for note in said)


BROKEN = {
    "a type that nir does not know": (
        lambda node: node.__setitem__("type", "Izhikevich"),
        "'lif' is of the type 'Izhikevich'",
    ),
    "a field that it does not know": (
        lambda node: node.create_dataset("beta", data=1.0),
        "'lif', LIF, has a field 'beta'",
    ),
    "a field that is missing": (lambda node: node.__delitem__("tau"), "'lif', LIF, has no tau"),
    "no type": (lambda node: node.__delitem__("type"), "'lif' has no type"),
}


@pytest.mark.parametrize("case", BROKEN)
def test_a_graph_that_nir_cannot_read_is_told_from_a_damaged_file(tmp_path, case):
    change, said = BROKEN[case]
    graph = foreign(filtered=False)
    reference.write(tmp_path / "a.nir", graph)
    with h5py.File(tmp_path / "a.nir", "r+") as file:
        node = file["node/nodes/lif"]
        if case.startswith("a type"):
            del node["type"]
        change(node)
    with pytest.raises(InputError, match=rf"a graph that nir .* can read\. The node {said}"):
        NIRFile(tmp_path / "a.nir")


def netx(path, *, conv=False, bias=0, delay=None, kind="CUBA", refractory=1):
    """Write a file as lava-dl does."""
    with h5py.File(path, "w") as file:

        def layer(number, name, shape, **values):
            group = file.create_group(f"layer/{number}")
            group.create_dataset("type", (1,), "S10", [name.encode()])
            group.create_dataset("shape", data=np.array(shape))
            for key, value in values.items():
                group.create_dataset(key, data=value)
            if name in {"dense", "conv"}:
                group.create_dataset("neuron/type", data=kind)
                for key, value in {
                    "iDecay": 1024,
                    "vDecay": 512,
                    "vThMant": 80,
                    "refDelay": refractory,
                }.items():
                    group.create_dataset(f"neuron/{key}", data=value)

        weights = np.random.default_rng(1).integers(-30, 60, (5, 8))
        layer(0, "input", (2, 2, 2) if conv else (8, 1, 1))
        if conv:
            kernel = np.random.default_rng(2).integers(-30, 60, (2, 2, 1, 1, 1))
            sides = {"stride": [1, 1, 1], "padding": [0, 0, 0], "dilation": [1, 1, 1], "groups": 1}
            layer(1, "conv", (2, 2, 2), weight=kernel, **sides)
            layer(2, "flatten", (8, 1, 1))
        more = {} if delay is None else {"delay": delay}
        layer(3 if conv else 1, "dense", (5, 1, 1), weight=weights, bias=np.full(5, bias), **more)
    return weights


def test_lava_dls_files_step_as_loihis_neurons_do(tmp_path):
    weights = netx(tmp_path / "a.net", bias=3)
    drive = np.random.default_rng(3).random((100, 8)) < 0.2
    chip = read(tmp_path / "a.net", CLOCK)
    u, v, out = np.zeros(5), np.zeros(5), []
    for x in drive:
        u = u * (1 - 1024 / 4096) + weights @ x
        v = v * (1 - 512 / 4096) + u + 3
        out.append(v > 80)
        v = np.where(out[-1], 0, v)
    assert np.sum(out) > 20
    assert np.array_equal(replay(chip, drive)[0], np.array(out, dtype=float))
    assert any("the integers of Loihi" in note for note in chip.notes)
    assert NIRFile(tmp_path / "a.net").kind == "a network of lava-dl"
    with pytest.raises(InputError, match=r"network\.solver: got 'euler'; allowed: exponential"):
        read(tmp_path / "a.net", CLOCK, Reading("euler"))


def test_lava_dls_convolutions_delays_and_refractory_times(tmp_path):
    netx(tmp_path / "a.net", conv=True, delay=np.full(8, 2.0), refractory=4)
    chip = read(tmp_path / "a.net", CLOCK)
    assert chip.network.sizes == (8, 8, 5)
    assert [c.delay_steps for c in chip.network.connections] == [1, 3]
    assert chip.network.layers[1].neuron.refractory_ms == 3.0
    netx(tmp_path / "a.net", kind="SDNN")
    with pytest.raises(UnsupportedError, match="neurons SDNN of the layer 1"):
        read(tmp_path / "a.net", CLOCK)
    netx(tmp_path / "a.net", delay=np.arange(8.0))
    with pytest.raises(UnsupportedError, match="delays of single neurons in the layer 1"):
        read(tmp_path / "a.net", CLOCK)


def huge_input(tmp_path):
    graph = chained(
        reference.Conv2d((3, 3), np.ones((1, 1, 3, 3)), 1, 1, 1, 1, np.zeros(1)), lif(1), shape=(1, 3, 3)
    )
    graph.nodes["input"].input_type = {"input": np.array([1, 100_000, 100_000])}
    graph.nodes["node_0"].input_shape = (100_000, 100_000)
    reference.write(tmp_path / "a", graph)


def huge_chain(tmp_path):
    many = reference.LIF(*(np.full(50_000, value) for value in (0.1, 1.0, 0.0, 1.0)))
    reference.write(tmp_path / "a", chained(many, many, shape=(50_000,), outputs=50_000))


def no_stride(tmp_path):
    pool = reference.SumPool2d(np.array([2, 2]), np.array([0, 0]), np.array([0, 0]))
    reference.write(tmp_path / "a", chained(pool, lif(1), shape=(1, 3, 3)))


def huge_layer(tmp_path):
    netx(tmp_path / "a")
    with h5py.File(tmp_path / "a", "r+") as file:
        file["layer/1/shape"][...] = [2**31, 2**31, 2**31]


def a_layer_elsewhere(tmp_path):
    netx(tmp_path / "a")
    with h5py.File(tmp_path / "a", "r+") as file:
        file["layer/2"] = h5py.ExternalLink(str(tmp_path / "other"), "/layer")


def a_layer_without_neurons(tmp_path):
    netx(tmp_path / "a")
    with h5py.File(tmp_path / "a", "r+") as file:
        del file["layer/1/neuron"]


def a_cut_file(tmp_path):
    netx(tmp_path / "a")
    content = (tmp_path / "a").read_bytes()
    (tmp_path / "a").write_bytes(content[: len(content) // 2])


HOSTILE = {
    huge_input: "at most 10000000",
    huge_chain: "50000 × 50000 weights",
    no_stride: "whole numbers from 1 to 10000",
    huge_layer: "neurons'; allowed: 1 to 10000000|at most 10000000",
    a_layer_elsewhere: "is a link to somewhere else",
    a_layer_without_neurons: "neurons none of the layer 1",
    a_cut_file: "a whole NIR file",
}


@pytest.mark.parametrize("spoil", HOSTILE, ids=lambda spoil: spoil.__name__)
def test_files_that_mean_harm_are_refused(tmp_path, spoil):
    spoil(tmp_path)
    with pytest.raises(InputError, match=HOSTILE[spoil]) as error:
        read(tmp_path / "a", CLOCK)
    assert error.value.key == "network.nir"
