"""Synapses that learn inside the machine, in every simulator that has such: what the tensor reference does.

Spikes are the same; weights differ by no more than the order in which products are summed.
"""

from dataclasses import replace
from functools import cache

import pytest
import torch

from rate_bridge.filters import window
from root.errors import UnsupportedError
from root.plugins import available, load
from spiketrain.testing.agreement import agree, close
from spiketrain.testing.problems import (
    EVERYTHING,
    Problem,
    layered,
    random_currents,
    random_hardware,
    random_spikes,
    random_start,
    random_target,
    relayed,
)
from spiking.network import bidirectional, chain
from spiking.neurons import LIF, Rate
from spiking.presentation import Controller, Phase, Plasticity
from spiking.simulators.torch import TorchSimulator

NEURON = LIF(bias=1.1, refractory_ms=2.0)
STEPS, BATCH = 50, 7
CHANGING = Plasticity(3, None, (0.9, 0.4))
"""Seven samples in threes: the last presentation is a short one."""

MACHINES = [name for name in available("simulators") if "plasticity" in load("simulators", name).abilities]


def problem(network, plasticity, *, currents=None, synapses=True):
    hardware = random_hardware(network, 2, 4)
    made = [None for _ in hardware.weights]
    if synapses:
        g = torch.Generator().manual_seed(8)
        made[:-1] = [1 + 0.2 * torch.randn(*w.shape, generator=g).double() for w in hardware.weights[:-1]]
    hardware = replace(hardware, synapses=tuple(made))
    drive = random_spikes(network, BATCH, STEPS, 1)
    if currents is not None:
        drive = random_currents(network, BATCH, currents and STEPS, 1)
    loop = Controller(random_target(network, BATCH, 2), 1.0, 0.02, 0.005)
    phase = Phase(
        "controlled",
        drive,
        window(STEPS, 30, "hann"),
        loop,
        shadow=True,
        plasticity=plasticity,
        record=EVERYTHING,
    )
    start = random_start(network, hardware, BATCH, 3, shadow=True)
    return Problem(network, hardware, [phase], {"controlled": start})


CASES = {
    "spikes": lambda: problem(chain([12, 15, 4], NEURON), CHANGING),
    "constant currents": lambda: problem(chain([12, 15, 4], NEURON), CHANGING, currents=0),
    "currents in time, delays": lambda: problem(
        chain([12, 15, 4], NEURON, delay_steps=[1, 3]), CHANGING, currents=1
    ),
    "all at once, true synapses": lambda: problem(
        chain([12, 15, 4], NEURON), Plasticity(0, None, (0.9, 0.4)), synapses=False
    ),
    "sums that change nothing": lambda: problem(chain([12, 15, 4], NEURON), Plasticity(3)),
    "rates": lambda: problem(chain([12, 9, 4], [Rate("tanh"), Rate("linear")]), CHANGING, currents=0),
    "layered feedback": lambda: relayed(
        problem(layered(chain([12, 10, 8, 4], NEURON)), Plasticity(3, None, (0.9, 0.6, 0.4)))
    ),
    "both ways": lambda: problem(
        bidirectional(chain([12, 9, 4], Rate("sigmoid"))), Plasticity(2, None, (0.5, 0.4, 0.3)), currents=0
    ),
}


@cache
def reference(case):
    made = CASES[case]()
    return made, made.run(TorchSimulator())["controlled"]


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("name", [name for name in MACHINES if name != "torch"])
def test_the_same_weights_are_learnt(name, case):
    made, expected = reference(case)
    kind = load("simulators", name)
    works, reason = kind.status()
    if not works:
        pytest.skip(reason)
    machine = kind()
    try:
        given = made.run(machine)["controlled"]
    except UnsupportedError as error:
        pytest.skip(str(error))
    agree(made.network, given, expected)
    for mine, theirs in zip(given.changes, expected.changes, strict=True):
        close(mine.weight, theirs.weight, "weights", 1e-13)
        close(mine.bias, theirs.bias, "biases", 1e-13)


@pytest.mark.parametrize("case", ["spikes", "constant currents", "rates"])
def test_later_samples_meet_other_weights_so_that_comparing_means_something(case):
    made, expected = reference(case)
    (phase,) = made.phases
    still = replace(phase, plasticity=replace(phase.plasticity, steps=()))
    unchanged = Problem(made.network, made.hardware, [still], made.starts).run(TorchSimulator())["controlled"]
    assert torch.equal(unchanged.rates[1][:, :3], expected.rates[1][:, :3])
    assert not torch.equal(unchanged.rates[1][:, 3:], expected.rates[1][:, 3:])
    assert all(float(change.weight.abs().max()) > 1e-3 for change in expected.changes)
