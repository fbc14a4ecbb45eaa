"""Every registered neuron: what `spiketrain.testing` asks, and the tensors' spikes in every simulator."""

from functools import cache

import pytest
import torch
from example_neurons import NEURONS

from root.errors import UnsupportedError
from root.plugins import available, load
from spiketrain.testing.neurons import alike, in_time, neuron_cases
from spiketrain.testing.problems import pair
from spiketrain.testing.simulators import exact
from spiking.network import chain
from spiking.neurons import LIF, Rate
from spiking.simulators.torch import TorchSimulator

LAYERED = ("alif, held", "if", "cuba_lif", "qif", "equations", "equations, smooth", "li")
UNSTABLE = {"qif", "equations, exponential"}
REFUSE = {
    "compiled": "all layers of a network are of one model there",
    "loihi": "a neuron's registers are written by hand: integers are no matter of equations alone",
}
EVERY = {**NEURONS, "lif": LIF(bias=1.1, refractory_ms=2.0), "rate": Rate("tanh", gain=1.5, bias=0.3)}
CASES = [
    pytest.param(case, id=f"{name}-{case}")
    for name, neuron in EVERY.items()
    for case in neuron_cases(neuron, simulators=["compiled"], unstable=name in UNSTABLE)
]


def test_every_registered_model_is_here():
    assert {neuron.model for neuron in EVERY.values()} == set(available("neurons"))


@pytest.mark.parametrize("case", CASES)
def test_a_neuron_does_what_neurons_promise(case):
    case()


@pytest.mark.parametrize("name", NEURONS)
def test_brian2_in_numpy(name):
    machine = exact(load("simulators", "brian2"), mode="runtime")
    problem = pair(chain([20, 15, 8], [NEURONS[name], LIF(bias=1.5)], dt_ms=0.5), 2, 3, 120)
    alike(problem, problem.run(machine), problem.run(TorchSimulator()), (0,) if name in UNSTABLE else ())


@cache
def together():
    neurons = [NEURONS[name] for name in LAYERED]
    problem = pair(chain([20, 12, 12, 10, 10, 10, 10, 5], neurons), 2, 3, 100)
    return problem, problem.run(TorchSimulator())


@pytest.mark.parametrize("name", in_time())
def test_all_in_one_network(name):
    kind = load("simulators", name)
    works, reason = kind.status()
    if not works and not kind.anywhere:
        pytest.skip(reason)
    machine = kind(**kind.anywhere)
    problem, reference = together()
    if name in REFUSE:
        with pytest.raises(UnsupportedError, match=r"neuron\.model"):
            machine.check(problem.network)
        return
    unstable = [index for index, model in enumerate(LAYERED) if model in UNSTABLE]
    alike(problem, problem.run(machine), reference, unstable)


def test_each_model_of_a_network_is_what_others_are_not():
    problem, reference = together()
    seen = reference["free"]
    rates = [float(rate.mean()) for rate in seen.rates[1:]]
    assert len({round(rate, 6) for rate in rates}) == len(problem.network.layers)
    assert all(bool(torch.any(spikes != 0)) for spikes in seen.traces["spikes"])
