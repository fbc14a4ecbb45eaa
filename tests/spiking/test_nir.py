import nir as reference
import numpy as np
import pytest
import torch

from rate_bridge.errors import InputError, UnsupportedError
from spiking.network import Connection, Network, chain
from spiking.neurons import LIF, Rate
from spiking.nir import Stored, read, write


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
    """NIR's own equations, solved exactly between impulses, give our potential after one spike."""
    network = chain([1, 1], LIF(bias=0.2, threshold=50.0), dt_ms=0.01)
    chip = random_chip(network)
    write(tmp_path / "chip.nir", chip)
    graph = reference.read(tmp_path / "chip.nir")
    node = graph.nodes["layer_1"]
    weight = graph.nodes["connection_0"].weight[0, 0]
    tau_s, tau_m = node.tau_syn[0], node.tau_mem[0]
    after = 0.015
    jump = node.w_in[0] * weight / tau_s
    kernel = tau_s / (tau_s - tau_m) * (np.exp(-after / tau_s) - np.exp(-after / tau_m))
    expected = node.v_leak[0] * (1 - np.exp(-after / tau_m)) + node.r[0] * jump * kernel

    values = chip.neurons[0]
    d = float(torch.exp(-network.dt_ms / values["tau_syn_ms"])[0])
    a = float(torch.exp(-network.dt_ms / values["tau_m_ms"])[0])
    current, v = float(chip.weights[0][0, 0]) * network.spike_value * (1 - d), 0.0
    for _ in range(round(1000 * after / network.dt_ms)):
        drive = current + float(values["bias"][0])
        v = drive + (v - drive) * a
        current *= d
    assert v == pytest.approx(expected, rel=2e-3)


def test_what_cannot_be_written_or_read_is_said(tmp_path):
    network = chain([2, 2], Rate())
    with pytest.raises(UnsupportedError, match="NIR has no such neuron"):
        write(tmp_path / "rate.nir", random_chip(network))
    (tmp_path / "bad.nir").write_bytes(b"no graph")
    with pytest.raises(InputError, match="a NIR file made by spiketrain export"):
        read(tmp_path / "bad.nir")
    foreign = reference.NIRGraph.from_list(reference.Linear(np.ones((2, 2))))
    reference.write(tmp_path / "foreign.nir", foreign)
    with pytest.raises(InputError, match="a NIR file made by spiketrain export"):
        read(tmp_path / "foreign.nir")
