import subprocess
from pathlib import Path

import numpy as np
import pytest
import torch
from lava_problems import header, random_program, uniform

import spiking.simulators.lava
from spiking.network import Connection, Network, chain
from spiking.neurons import LIF
from spiking.simulators.fixed_point import emulate
from spiking.simulators.lava.client import Client
from spiking.simulators.lava.data import integers

LIMIT = 1 << 23


def network_with_delays():
    chained = chain([40, 120, 60], LIF(), delay_steps=[2, 1])
    return Network(chained.inputs, chained.layers, (*chained.connections, Connection(2, 1, 3)))


@pytest.fixture(scope="module")
def client(environment):
    client = Client(environment, limit_s=30)
    yield client
    client.close()


@pytest.mark.parametrize("seed", [1, 2])
def test_lava_and_the_emulator_agree_bit_for_bit_over_the_whole_legal_ranges(client, seed):
    network, chips, batch, steps = network_with_delays(), 2, 10, 150
    arrays = random_program(seed, network, chips, batch, steps)
    record = frozenset({"spikes", "voltage", "current", "control", "readout"})
    ours = emulate(network, arrays, direct=False, closed=True, record=record)
    described = header(network, chips, batch, steps, record=sorted(record))
    theirs = client.run(described, integers(arrays))
    assert chips * batch * steps * sum(network.sizes[1:]) >= 500_000  # two seeds: over a million
    assert set(theirs) == set(ours)
    for name, value in theirs.items():
        np.testing.assert_array_equal(value, ours[name].numpy(), err_msg=name)
    voltage, current = ours["record.voltage.0"], ours["record.current.0"]
    assert int((voltage.abs() == LIMIT - 1).sum()) > 1000  # saturated
    assert int((current.diff(dim=2).abs() > LIMIT).sum()) > 1000  # wrapped
    assert 0.01 < float(ours["record.spikes.1"].mean()) < 0.9


def test_the_emulator_agrees_with_lavas_own_lif_neuron_by_neuron(environment, tmp_path):
    steps, neurons, inputs = 120, 60, 20
    g = torch.Generator().manual_seed(5)
    network = chain([inputs, neurons], LIF())
    arrays = random_program(6, network, 1, 1, steps)
    registers = {
        "du": arrays["layer.0.constant.synapse_decay"] - 1,
        "dv": arrays["layer.0.constant.dv"],
        "vth": arrays["layer.0.constant.vth"],
        "bias_mantissa": uniform(g, -4096, 4095, 1, 1, neurons),
        "bias_exponent": uniform(g, 0, 7, 1, 1, neurons),
    }
    arrays["layer.0.bias"] = registers["bias_mantissa"] * 2.0 ** registers["bias_exponent"]
    for name in ("state.v", "state.refractory", "state.synapse", "constant.refractory_steps"):
        arrays[f"layer.0.{name}"] = torch.zeros_like(arrays[f"layer.0.{name}"])
    found = emulate(
        network, arrays, direct=False, closed=False, record=frozenset({"spikes", "voltage", "current"})
    )
    spikes, weights = arrays["drive"][0].numpy(), arrays["weight.0"][0].numpy()
    factor = 2.0 ** float(arrays["weight.0.exponent"][0])
    arriving = spikes @ (weights * factor)
    late = np.vstack([np.zeros((1, neurons)), arriving[:-1]])  # Dense adds a step
    stock = run_stock(environment, tmp_path, a=late, spikes=spikes, weights=weights, **registers)
    np.testing.assert_array_equal(stock["v"], found["record.voltage.0"][0, 0].numpy())
    np.testing.assert_array_equal(stock["s"], found["record.spikes.0"][0, 0].numpy())
    # ours has taken in what arrived at the end of the step, stock does so at the beginning of the next
    np.testing.assert_array_equal(stock["u"][1:], found["record.current.0"][0, 0, :-1].numpy())

    alike = {
        n: v if v.ndim < 3 or v.shape[2] != neurons else v[..., :1].expand_as(v) for n, v in arrays.items()
    }
    alike["weight.0"], alike["weight.0.exponent"] = arrays["weight.0"], torch.zeros(1).double()
    whole = emulate(network, alike, direct=False, closed=False, record=frozenset({"voltage"}))
    np.testing.assert_array_equal(stock["network_v"], whole["record.voltage.0"][0, 0].numpy())


def run_stock(environment, folder: Path, **arrays):
    flat = {name: np.asarray(a).squeeze().astype(np.int64) for name, a in arrays.items()}
    np.savez(folder / "in.npz", **flat)
    here = Path(__file__).with_name("stock.py")
    subprocess.run(
        [str(environment.python), str(here), "in.npz", "out.npz"],
        cwd=folder,
        check=True,
        timeout=120,
        env={"PYTHONPATH": str(Path(spiking.simulators.lava.__file__).parent), "PATH": "/usr/bin:/bin"},
    )
    with np.load(folder / "out.npz") as file:
        return dict(file)
