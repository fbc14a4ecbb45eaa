import itertools

import nir as reference
import numpy as np
import pytest
import torch

from rate_bridge.errors import InputError, UnsupportedError
from rate_bridge.filters import window
from spiking.hardware import Hardware
from spiking.network import Clock, Connection, Network, chain
from spiking.neurons import LIF, Rate
from spiking.nir import Stored, read, write
from spiking.presentation import Phase, SpikeDrive
from spiking.simulators.snapshots import initial_snapshot
from spiking.simulators.torch import TorchSimulator

INPUT_STEPS = (
    *(60, 220, 270, 310, 320, 350, 370, 400, 410, 430, 440, 450, 460, 470, 480, 490, 500, 510, 520, 530),
    *(670, 680, 690, 700, 710, 720, 730, 740, 750, 760, 770, 780, 840, 850),
)


def random_chip(network, seed=1):
    g = torch.Generator().manual_seed(seed)

    def values(layer):
        return {
            p.field: float(getattr(layer.neuron, p.field))
            * (1 + 0.2 * torch.rand(layer.size, generator=g).double())
            for p in layer.neuron.parameters
        }

    sizes = network.sizes
    return Stored(
        network,
        tuple(torch.randn(sizes[c.pre], sizes[c.post], generator=g).double() for c in network.connections),
        tuple(values(layer) for layer in network.layers),
        chip=3,
        content="effective",
    )


def with_extra_connections():
    chained = chain(
        [7, 5, 4], [LIF(bias=0.3, refractory_ms=2), LIF(threshold=1.3)], delay_steps=[1, 3], dt_ms=0.3
    )
    extra = (Connection(2, 1, 2), Connection(2, 2, 1))
    return Network(chained.inputs, chained.layers, chained.connections + extra, 0.3, 83.0, 31.0)


@pytest.mark.parametrize(
    "network",
    [chain([4, 6, 3], LIF(bias=0.5)), chain([1, 1], LIF(tau_syn_ms=0, bias=0.1)), with_extra_connections()],
    ids=["filtered", "one neuron, no filter", "delays and loops"],
)
def test_the_round_trip_is_exact_to_the_bit(tmp_path, network):
    chip = random_chip(network)
    write(tmp_path / "chip.nir", chip)
    found = read(tmp_path / "chip.nir")
    assert found.network == network
    assert (found.chip, found.content) == (3, "effective")
    for ours, theirs in zip(found.weights, chip.weights, strict=True):
        assert torch.equal(ours, theirs)
    for ours, theirs in zip(found.neurons, chip.neurons, strict=True):
        assert set(ours) == set(theirs)
        assert all(torch.equal(ours[name], theirs[name]) for name in theirs)


def test_a_nir_reader_sees_the_same_dynamics(tmp_path):
    """NIR's own equations, solved exactly for a spike that is a current of 1 during its step."""
    network = chain([1, 1], LIF(bias=0.2, threshold=50.0), dt_ms=0.5)
    chip = random_chip(network)
    write(tmp_path / "chip.nir", chip)
    graph = reference.read(tmp_path / "chip.nir")
    node = graph.nodes["layer_1"]
    weight, dt = graph.nodes["connection_0"].weight[0, 0], 5e-4
    fall = np.exp(-dt / node.tau_mem[0])
    current = node.w_in[0] * weight * (1 - np.exp(-dt / node.tau_syn[0]))
    v = node.v_leak[0] * (1 - fall)  # the step of the spike itself
    for _ in range(30):  # 15 ms, the current constant within a step
        v = node.v_leak[0] + node.r[0] * current + (v - node.v_leak[0] - node.r[0] * current) * fall
        current *= np.exp(-dt / node.tau_syn[0])

    drive = torch.zeros(1, 31, 1, dtype=torch.bool)
    drive[0, 0, 0] = True
    found = shown(chip, drive).traces["voltage"][0][0, 0, -1]
    assert float(found) == pytest.approx(v, rel=1e-12)


def test_what_cannot_be_written_or_read_is_said(tmp_path):
    network = chain([2, 2], Rate())
    with pytest.raises(UnsupportedError, match="NIR has no such neuron"):
        write(tmp_path / "rate.nir", random_chip(network))
    (tmp_path / "bad.nir").write_bytes(b"no graph")
    with pytest.raises(InputError, match="a whole NIR file"):
        read(tmp_path / "bad.nir")
    write(tmp_path / "whole.nir", random_chip(chain([2, 2], LIF())))
    whole = (tmp_path / "whole.nir").read_bytes()
    for length in range(0, len(whole), len(whole) // 40):
        (tmp_path / "bad.nir").write_bytes(whole[:length])
        with pytest.raises(InputError, match="a whole NIR file"):
            read(tmp_path / "bad.nir")
    with pytest.raises(InputError, match="a readable NIR file"):
        read(tmp_path / "none.nir")
    reference.write(tmp_path / "foreign.nir", foreign())
    with pytest.raises(InputError, match=r"made by spiketrain export\. .* does not say its time step"):
        read(tmp_path / "foreign.nir")


def foreign(sizes=(3, 5, 2), *, filtered=True, seed=2, delay_s=None):
    """Return a graph as another program writes it, every neuron with values of its own."""
    rng = np.random.default_rng(seed)
    nodes = []
    for pre, post in itertools.pairwise(sizes):
        nodes.append(reference.Affine(rng.normal(2, 3, (post, pre)), rng.normal(0.3, 0.3, post)))
        if delay_s is not None:
            nodes.append(reference.Delay(np.full(post, delay_s)))
        common = {
            "r": rng.uniform(0.5, 2, post),
            "v_leak": rng.uniform(-0.2, 0.4, post),
            "v_threshold": rng.uniform(0.5, 1, post),
            "v_reset": rng.uniform(-0.5, 0.1, post),
        }
        if filtered:
            times = {"tau_syn": rng.uniform(2e-3, 8e-3, post), "tau_mem": rng.uniform(5e-3, 2e-2, post)}
            nodes.append(reference.CubaLIF(**common, **times, w_in=rng.uniform(0.5, 2, post)))
        else:
            nodes.append(reference.LIF(**common, tau=rng.uniform(5e-3, 2e-2, post)))
    return reference.NIRGraph.from_list(*nodes)


def solved(graph, spikes, dt, delay=1):
    """Return the spikes of every layer by NIR's equations, exponential Euler, a delay per connection."""
    names, trains = [n for n in graph.nodes if n not in ("input", "output")], [spikes.astype(float)]
    linears = [graph.nodes[n] for n in names if n.startswith("affine")]
    neurons = [graph.nodes[n] for n in names if "lif" in n]
    for linear, node in zip(linears, neurons, strict=True):
        filtered = isinstance(node, reference.CubaLIF)
        a = np.exp(-dt / (node.tau_mem if filtered else node.tau))
        d, w_in = (np.exp(-dt / node.tau_syn), node.w_in) if filtered else (0.0, 1.0)
        v, current, out = node.v_reset.copy(), 0.0, []
        for step in range(len(spikes)):
            drive = node.v_leak + node.r * (current + w_in * linear.bias)
            v = drive + (v - drive) * a
            fired = v > node.v_threshold
            v = np.where(fired, node.v_reset, v)
            out.append(fired)
            arriving = trains[-1][step - delay + 1] if step - delay + 1 >= 0 else 0 * trains[-1][0]
            current = current * d + (1 - d) * w_in * (linear.weight @ arriving)
        trains.append(np.array(out, dtype=float))
    return trains[1:]


def shown(chip, spikes):
    """Present spikes, ``(1, steps, inputs)``, to one chip; the potentials begin at reset."""
    network = chip.network
    one = torch.ones(1, network.outputs).double()
    values = tuple({k: v.unsqueeze(0) for k, v in layer.items()} for layer in chip.neurons)
    hardware = Hardware(
        values,
        values,
        tuple(w.unsqueeze(0) for w in chip.weights),
        tuple(torch.zeros(1, network.outputs, n).double() for n in network.sizes[1:]),
        {"gain": one, "offset": 0 * one, "kp": one, "ki": one},
    )
    steps = spikes.shape[1]
    uniform = [torch.zeros(1, 1, n).double() for n in network.sizes[1:]]
    start = initial_snapshot(network, hardware, uniform, shadow=False)
    phase = Phase("p", SpikeDrive(spikes), window(steps, steps), record=frozenset({"spikes", "voltage"}))
    return TorchSimulator().run(network, hardware, [phase], {"p": start})["p"]


@pytest.mark.parametrize("filtered", [True, False], ids=["CubaLIF", "LIF"])
@pytest.mark.parametrize("delay", [1, 3])
def test_other_programs_graphs_have_the_dynamics_of_nirs_equations(tmp_path, filtered, delay):
    dt_ms, steps = 0.5, 400
    graph = foreign(filtered=filtered, delay_s=None if delay == 1 else 1e-3 * dt_ms * delay)
    reference.write(tmp_path / "foreign.nir", graph)
    chip = read(tmp_path / "foreign.nir", Clock(dt_ms=dt_ms, max_rate_hz=73.0))
    spikes = np.random.default_rng(5).random((steps, 3)) < 0.2
    wanted = solved(graph, spikes, 1e-3 * dt_ms, delay)
    found = shown(chip, torch.from_numpy(spikes).unsqueeze(0)).traces["spikes"]
    assert all(train.sum() > 20 for train in wanted)
    for ours, theirs in zip(found, wanted, strict=True):
        assert torch.equal(ours[0, 0].double(), torch.from_numpy(theirs))


def test_one_value_may_stand_for_a_layer(tmp_path):
    lif = reference.LIF(
        tau=np.array([0.02]), r=np.array([1.0]), v_leak=np.array([0.0]), v_threshold=np.array([1.0])
    )
    nodes = {
        "input": reference.Input({"input": np.array([1, 2])}),
        "flat": reference.Flatten({"input": np.array([1, 2])}, start_dim=0),
        "linear": reference.Linear(np.ones((4, 2))),
        "lif": lif,
        "output": reference.Output({"output": np.array([4])}),
    }
    edges = [("input", "flat"), ("flat", "linear"), ("linear", "lif"), ("lif", "output")]
    reference.write(tmp_path / "a.nir", reference.NIRGraph(nodes, edges, type_check=False))
    chip = read(tmp_path / "a.nir", Clock(dt_ms=2.0, max_rate_hz=100.0))
    assert chip.network.sizes == (2, 4)
    assert chip.network.layers[0].neuron == LIF(tau_syn_ms=0.0)
    assert torch.equal(chip.weights[0], torch.full((2, 4), 0.2, dtype=torch.float64))
    assert chip.neurons[0]["threshold"].tolist() == [1.0] * 4


def test_the_single_neuron_of_the_nir_paper_as_a_graph(tmp_path):
    one = np.ones(1)
    lif = reference.LIF(tau=2.5e-3 * one, r=one, v_leak=0 * one, v_threshold=0.1 * one)
    graph = reference.NIRGraph.from_list(reference.Affine(np.ones((1, 1)), np.zeros(1)), lif)
    reference.write(tmp_path / "lif.nir", graph)
    spikes = torch.zeros(1, 1000, 1, dtype=torch.bool)
    spikes[0, list(INPUT_STEPS)] = True
    found = shown(read(tmp_path / "lif.nir", Clock(dt_ms=0.1, max_rate_hz=50.0)), spikes)
    assert found.traces["spikes"][0].flatten().nonzero().flatten().tolist() == [461, 511, 711, 761]


def edited(**changes):
    graph = foreign()
    for name, value in changes.items():
        setattr(graph.nodes["cubalif"], name, np.asarray(value))
    return graph


def rewired(nodes, edges):
    graph = foreign()
    return reference.NIRGraph({**graph.nodes, **nodes}, [*graph.edges, *edges], metadata={}, type_check=False)


def in_a_row(*nodes):
    return reference.NIRGraph.from_list(*nodes, type_check=False)


LI = reference.LI(np.ones(2), np.ones(2), np.zeros(2))
LINEAR = reference.Linear(np.ones((2, 2)))
NEURON = reference.LIF(np.ones(2), np.ones(2), np.zeros(2), np.ones(2))

WRONG = {
    "unknown node": (lambda: in_a_row(LINEAR, NEURON, LINEAR, LI), "the node 'li', LI"),
    "recurrent": (
        lambda: rewired(
            {"back": reference.Linear(np.ones((5, 5)))}, [("cubalif", "back"), ("back", "cubalif")]
        ),
        "a recurrent graph, .*back",
    ),
    "to itself": (lambda: rewired({}, [("cubalif", "cubalif")]), "a recurrent graph"),
    "skipping": (lambda: rewired({}, [("input", "affine_1")]), "branches, at 'affine_1'"),
    "no neurons at the end": (lambda: in_a_row(LINEAR, NEURON, LINEAR), "neurons before the Output"),
    "two maps": (lambda: in_a_row(LINEAR, LINEAR, NEURON), "2 linear maps between two layers"),
    "no map": (lambda: in_a_row(LINEAR, NEURON, NEURON), "0 linear maps between two layers"),
    "sizes": (
        lambda: in_a_row(reference.Linear(np.ones((3, 2))), NEURON),
        "2 values of .* 3, one per neuron",
    ),
    "inputs": (
        lambda: in_a_row(LINEAR, NEURON, reference.Linear(np.ones((2, 3))), NEURON),
        "weights for 3 inputs after 2",
    ),
    "threshold": (lambda: edited(v_threshold=[1, 1, -1, 1, 1]), "threshold -1 of neuron 2 of 'cubalif'"),
    "reset": (lambda: edited(v_reset=[0, 9, 0, 0, 0]), "reset 9 of neuron 1 of 'cubalif'.*below"),
    "time": (lambda: edited(tau_mem=[0.1, 0.1, 0.1, 0.1, np.nan]), "tau_m_ms nan of neuron 4"),
    "delay": (lambda: foreign(delay_s=1.3e-3), "a Delay of 1.3 ms'; allowed: a multiple of simulator.dt_ms"),
}


@pytest.mark.parametrize("case", WRONG)
def test_graphs_that_no_network_here_can_be_are_refused_by_name(tmp_path, case):
    graph, said = WRONG[case]
    reference.write(tmp_path / "a.nir", graph())
    with pytest.raises(InputError, match=said) as error:
        read(tmp_path / "a.nir", Clock())
    assert error.value.key == "network.nir"


def test_a_file_of_ours_that_was_changed_is_refused(tmp_path):
    network = chain([2, 3], LIF())
    good = random_chip(network)
    for values, said in (
        ({"threshold": torch.full((3,), -1.0).double()}, "threshold -1 of neuron 0 of layer 1"),
        ({"bias": torch.full((3,), torch.inf).double()}, "bias inf of neuron 0 of layer 1"),
    ):
        bad = Stored(network, good.weights, ({**good.neurons[0], **values},))
        write(tmp_path / "bad.nir", bad)
        with pytest.raises(InputError, match=said):
            read(tmp_path / "bad.nir")
