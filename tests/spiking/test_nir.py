import itertools

import nir as reference
import numpy as np
import pytest
import torch

from rate_bridge.filters import window
from root.errors import InputError, UnsupportedError
from spiking.blocks.snapshots import initial_snapshot
from spiking.hardware import Hardware
from spiking.network import Clock, Connection, Network, chain
from spiking.neurons import ALIF, IF, LI, LIF, CubaLIF, Rate
from spiking.nir import EXACT, FORMS, READERS, Stored, lost, read, replay, write
from spiking.presentation import Phase, SpikeDrive
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


NETWORKS = {
    "filtered": chain([4, 6, 3], LIF(bias=0.5)),
    "one neuron, no filter": chain([1, 1], LIF(tau_syn_ms=0, bias=0.1)),
    "delays and loops": with_extra_connections(),
    "filter of its own": chain([4, 6, 3], CubaLIF(bias=0.5)),
    "without a leak": chain([4, 6, 3], IF(tau_syn_ms=0, bias=0.5)),
    "a read-out that does not spike": chain([4, 6, 3], [LIF(bias=0.5), LI(bias=0.2)]),
}


@pytest.mark.parametrize("form", ["portable", "exact", "snntorch"])
@pytest.mark.parametrize("case", NETWORKS)
def test_the_round_trip_is_exact_to_the_bit(tmp_path, case, form):
    network = NETWORKS[case]
    chip = random_chip(network)
    write(tmp_path / "chip.nir", chip, FORMS[form])
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
    write(tmp_path / "chip.nir", chip, EXACT)
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


def test_a_replay_is_the_simulators_run_moved_by_a_step_for_every_layer():
    network = chain([3, 8, 5], LIF(tau_syn_ms=4.0), delay_steps=[1, 3])
    chip = random_chip(network)
    for values in chip.neurons:
        values["reset"] -= values["reset"]  # at rest without input, so that nothing moves before it
        values["bias"] -= values["bias"]
    spikes = np.random.default_rng(5).random((200, 3)) < 0.2
    ours = shown(chip, torch.from_numpy(spikes).unsqueeze(0)).traces["spikes"]
    theirs = replay(chip, spikes)
    for layer, (one, other) in enumerate(zip(ours, theirs, strict=True), start=1):
        assert other.sum() > 20
        assert torch.equal(one[0, 0, layer:].double(), other[:-layer])


def test_a_replay_looks_ahead_where_a_neuron_has_a_filter_of_its_own():
    """A filter of the neuron is one step later than the machine's; in their order there is no such step."""
    own, machine = (chain([3, 8], neuron) for neuron in (CubaLIF(), LIF()))
    chip = random_chip(own)
    values = {**chip.neurons[0], "refractory_ms": torch.zeros(8).double()}
    spikes = np.random.default_rng(5).random((200, 3)) < 0.3
    one = replay(chip, spikes)[0]
    assert one.sum() > 20
    assert torch.equal(one, replay(Stored(machine, chip.weights, (values,)), spikes)[0])
    with pytest.raises(InputError, match=r"spikes: .*allowed: \(steps, 3\)"):
        replay(chip, spikes[:, :2])


def test_the_portable_form_needs_no_leak_no_reset_and_one_threshold(tmp_path):
    for case in ("filtered", "one neuron, no filter", "without a leak"):
        write(tmp_path / "a.nir", random_chip(NETWORKS[case]))
        for name, node in reference.read(tmp_path / "a.nir").nodes.items():
            if name.startswith("layer"):
                assert (node.v_threshold == 1).all()
                assert (node.v_reset == 0).all()
                assert np.all(getattr(node, "v_leak", 0) == 0)
            if name.startswith("connection"):
                assert (node.bias != 0).all()


def test_what_a_file_cannot_say_is_told():
    chip = random_chip(NETWORKS["delays and loops"])
    said = " ".join(lost(chip, FORMS["portable"]))
    assert "refractory times (up to" in said
    assert "the onset of biases" in said
    notes = {name: " ".join(reader.notes(chip, FORMS["portable"])) for name, reader in READERS.items()}
    assert all(
        "does not read the node Delay" in notes[name] for name in ("norse", "snntorch", "spikingjelly")
    )
    assert "gives back the currents" in notes["norse"]
    assert "refuses connections within a layer" in notes["snntorch"]
    assert "loop over several layers" in notes["spikingjelly"]
    assert "subtracts the threshold" in notes["sinabs"]
    assert lost(random_chip(chain([2, 2], CubaLIF())), FORMS["portable"]) == []
    assert "reset by subtraction" in lost(random_chip(NETWORKS["without a leak"]), FORMS["portable"])[0]


def test_what_cannot_be_written_or_read_is_said(tmp_path):
    for neuron in (Rate(), ALIF()):
        with pytest.raises(UnsupportedError, match="NIR has no such neuron"):
            write(tmp_path / "rate.nir", random_chip(chain([2, 2], neuron)))
    with pytest.raises(UnsupportedError, match="without a leak have no synaptic filter"):
        write(tmp_path / "if.nir", random_chip(chain([2, 2], IF())))
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
    """Return the spikes of every layer by NIR's equations, exponential Euler, a delay per connection.

    A spike acts on the next layer in its own step, or delay - 1 steps later, as in `replay`.
    """
    names, trains = [n for n in graph.nodes if n not in ("input", "output")], [spikes.astype(float)]
    linears = [graph.nodes[n] for n in names if n.startswith("affine")]
    neurons = [graph.nodes[n] for n in names if "lif" in n]
    for linear, node in zip(linears, neurons, strict=True):
        filtered = isinstance(node, reference.CubaLIF)
        a = np.exp(-dt / (node.tau_mem if filtered else node.tau))
        d, w_in = (np.exp(-dt / node.tau_syn), node.w_in) if filtered else (0.0, 1.0)
        v, current, out = node.v_reset.copy(), 0.0, []
        for step in range(len(spikes)):
            arriving = trains[-1][step - delay + 1] if step - delay + 1 >= 0 else 0 * trains[-1][0]
            current = current * d + (1 - d) * w_in * (linear.weight @ arriving + linear.bias)
            drive = node.v_leak + node.r * current
            v = drive + (v - drive) * a
            fired = v > node.v_threshold
            v = np.where(fired, node.v_reset, v)
            out.append(fired)
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
    assert [layer.neuron.model for layer in chip.network.layers] == ["equations" if filtered else "lif"] * 2
    assert all(train.sum() > 20 for train in wanted)
    for ours, theirs in zip(replay(chip, spikes), wanted, strict=True):
        assert torch.equal(ours, torch.from_numpy(theirs))


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
