"""Rate networks on Lava through messages of changes: against torch, and in integers against the emulator."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from lava_problems import header, random_rate_program
from test_lava_simulator import compare, hardware_of, phases_of, run

from root.errors import UnsupportedError
from spiketrain.testing.problems import layered, pair, relayed
from spiking.network import Connection, Network, bidirectional, chain
from spiking.neurons import LIF, Rate
from spiking.presentation import CurrentDrive
from spiking.simulators.fixed_point import emulate
from spiking.simulators.fixed_point.simulator import LoihiSimulator
from spiking.simulators.lava.client import Client
from spiking.simulators.lava.data import integers
from spiking.simulators.lava.simulator import LavaSimulator
from spiking.simulators.torch import TorchSimulator

HIDDEN = Rate("tanh", tau_ms=5.0, gain=1.1, offset=0.1, saturation=0.9, shape=1.2, bias=0.1)

NETWORKS = {
    "tanh and linear": lambda: chain([6, 9, 3], [HIDDEN, Rate("linear", tau_ms=3.0)]),
    "relu, delays": lambda: chain([6, 9, 3], Rate("relu", tau_ms=4.0, saturation=2.0), delay_steps=[2, 3]),
    "both ways": lambda: bidirectional(chain([6, 7, 3], replace(HIDDEN, activation="sigmoid"))),
}


def constant(phases):
    """The first values of drives over time, for ever."""
    return [replace(p, drive=CurrentDrive(p.drive.values[:, 0])) for p in phases]


def problem(name, drive, batch=3, steps=40):
    network = NETWORKS[name]()
    phases = phases_of(network, batch, steps, currents=drive != "spikes")
    return network, hardware_of(network, 2, 2), constant(phases) if drive == "constant" else phases


@pytest.fixture(scope="module")
def machines(environment):
    made = {
        "float": LavaSimulator(message_threshold=0.0),
        "coarse": LavaSimulator(message_threshold=0.05),
        "fixed": LavaSimulator(arithmetic="fixed", message_threshold=0.01),
    }
    yield made
    for machine in made.values():
        machine.close()


@pytest.mark.parametrize(
    ("name", "drive"),
    [
        ("tanh and linear", "constant"),
        ("tanh and linear", "spikes"),
        ("relu, delays", "in time"),
        ("both ways", "constant"),
    ],
)
def test_with_threshold_0_messages_of_changes_are_the_rate_dynamics(machines, name, drive):
    network, hardware, phases = problem(name, drive)
    expected = run(TorchSimulator(), network, hardware, phases, 3)
    compare(run(machines["float"], network, hardware, phases, 3), expected, 1e-10)


def test_layered_feedback_passes_gates_that_see_what_neurons_have_told(machines):
    problem = relayed(pair(layered(chain([6, 9, 7, 3], HIDDEN), refresh_ms=4.0), 2, 3, 40, currents=1))
    expected = problem.run(TorchSimulator())
    given = problem.run(machines["float"])
    compare(given, expected, 1e-10)
    for ours, theirs in zip(given["after"].apical, expected["after"].apical, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=0, atol=1e-10)


@pytest.mark.parametrize("drive", ["constant", "in time", "spikes"])
@pytest.mark.parametrize("name", NETWORKS)
def test_lava_and_the_emulator_agree_bit_for_bit(machines, name, drive):
    network, hardware, phases = problem(name, drive)
    emulator = LoihiSimulator(message_threshold=0.01)
    told = {}
    for label, machine in (("lava", machines["fixed"]), ("emulator", emulator)):
        original, seen = machine.run_block, []
        machine.run_block = lambda *given, do=original, seen=seen: seen.append(do(*given)) or seen[-1]
        told[label] = run(machine, network, hardware, phases, 3), seen
        machine.run_block = original
    (ours, blocks), (theirs, others) = told["emulator"], told["lava"]
    compare(theirs, ours, 0)
    for mine, other in zip(blocks, others, strict=True):
        for kind in ("messages", "sums", "basal"):
            for a, b in zip(getattr(mine, kind), getattr(other, kind), strict=True):
                assert torch.equal(a, b)
        for a, b in zip(mine.final.sent, other.final.sent, strict=True):
            assert torch.equal(a, b)
        assert torch.equal(mine.final.integral, other.final.integral)
    assert 0 < float(blocks[0].messages[1].sum()) < blocks[0].sums[0].numel() * 40


def test_with_a_threshold_errors_stay_below_what_theory_says(machines):
    """Who listens is off by at most θ; a leaky potential by at most what its currents are."""
    network = chain([6, 9, 8, 3], [replace(HIDDEN, shape=1.0)] * 2 + [Rate("linear", tau_ms=3.0)])
    hardware, phases = hardware_of(network, 2, 2), phases_of(network, 3, 40, currents=True)[:1]
    hardware = replace(hardware, neurons=tuple({**v, "shape": v["gain"] ** 0} for v in hardware.neurons))
    exact = run(TorchSimulator(), network, hardware, phases, 3)["free"].traces
    found = run(machines["coarse"], network, hardware, phases, 3)["free"].traces
    bound, theta = torch.full((2, 6), 0.05, dtype=torch.float64), 0.05
    for index, values in enumerate(hardware.neurons):
        potential = torch.einsum("ci,cij->cj", bound, hardware.weights[index].abs())
        bound = theta + values["gain"] * potential  # neither activation is steeper than 1
        off = (found["voltage"][index] - exact["voltage"][index]).abs().amax((1, 2))
        assert bool((off <= potential + 1e-12).all())
        off = (found["spikes"][index] - exact["spikes"][index]).abs().amax((1, 2))
        assert bool((off <= bound + 1e-12).all())
        assert float(off.max()) > 0.02  # so there was something to bound


def test_lava_and_the_emulator_agree_over_the_whole_ranges_of_registers(environment):
    chained = chain([40, 120, 60], Rate(), delay_steps=[2, 1])
    network = Network(chained.inputs, chained.layers, (*chained.connections, Connection(2, 1, 3)))
    chips, batch, steps = 2, 10, 300
    arrays = random_rate_program(3, network, chips, batch, steps)
    record = frozenset({"spikes", "voltage", "current", "control", "readout"})
    ours = emulate(network, arrays, direct=False, closed=True, record=record)
    client = Client(environment, limit_s=60)
    described = header(network, chips, batch, steps, record=sorted(record)) | {"deltas": True}
    described["layers"] = [{"model": "rate"}] * 2
    theirs = client.run(described, integers(arrays))
    client.close()
    assert chips * batch * steps * sum(network.sizes[1:]) >= 1_000_000
    assert set(theirs) == set(ours)
    for name, value in theirs.items():
        np.testing.assert_array_equal(value, ours[name].numpy(), err_msg=name)
    voltage, current = ours["record.voltage.0"], ours["record.current.0"]
    assert int((voltage.abs() == (1 << 23) - 1).sum()) > 1000  # saturated
    assert int((current.diff(dim=2).abs() > 2**31).sum()) > 100  # wrapped
    share = float(ours["messages.1"].mean()) / (steps * 120)
    assert 0.01 < share < 0.99


def test_what_cannot_be_is_refused(environment):
    with pytest.raises(UnsupportedError, match=r"simulator\.message_threshold"):
        LavaSimulator(message_threshold=0.1).check(chain([2, 2], LIF()))
    with pytest.raises(UnsupportedError, match="one model for all layers"):
        LavaSimulator(arithmetic="fixed").check(chain([2, 2, 2], [Rate(), LIF()]))
