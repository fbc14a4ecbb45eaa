"""Every registered neuron model in every simulator: the tensor reference's spikes, or a refusal."""

from functools import cache

import pytest
import torch
from problems import NEURONS, pair

from rate_bridge.errors import UnsupportedError
from rate_bridge.plugins import available, load
from spiking.network import chain
from spiking.neurons import LIF
from spiking.simulators.brian2 import Brian2Simulator
from spiking.simulators.torch import TorchSimulator

LAYERED = ("alif, held", "if", "cuba_lif", "qif", "equations", "equations, smooth", "li")
REFUSE = {
    "compiled": "all layers of a network are of one model there; see below",
    "loihi": "a neuron's registers are written by hand: integers are no matter of equations alone",
}
DYNAMIC = [name for name in available("simulators") if name not in {"torch", "steady"}]


def alone(name):
    return pair(chain([20, 15, 8], [NEURONS[name], LIF(bias=1.5)], dt_ms=0.5), 2, 3, 120)


def together():
    neurons = [NEURONS[name] for name in LAYERED]
    return pair(chain([20, 12, 12, 10, 10, 10, 10, 5], neurons), 2, 3, 100)


@cache
def expected(name):
    problem = together() if name == "together" else alone(name)
    return problem, problem.run(TorchSimulator())


def compare(name, machine):
    problem, reference = expected(name)
    given = problem.run(machine)
    for phase in problem.phases:
        agree(problem, given[phase.name], reference[phase.name])


def runs_away(neuron):
    """Whether the potential is unstable on its way to a spike, which multiplies a last bit by thousands."""
    return neuron in (NEURONS["qif"], NEURONS["equations, exponential"])


def agree(problem, ours, theirs):
    """Spike for spike, and 1e-12 in everything else."""
    for index, layer in enumerate(problem.network.layers):
        spikes = theirs.traces["spikes"][index]
        assert spikes.abs().sum() > 0, (layer.neuron.model, index)
        if layer.neuron.emits_spikes:
            assert torch.equal(ours.traces["spikes"][index], spikes), (layer.neuron.model, index)
    for key, traces in theirs.traces.items():
        for index, (mine, other) in enumerate(zip(ours.traces[key], traces, strict=True)):
            within = 1e-9 if key == "voltage" and runs_away(problem.network.layers[index].neuron) else 1e-12
            torch.testing.assert_close(mine, other, rtol=within, atol=within)
    for mine, other in zip(ours.basal, theirs.basal, strict=True):
        torch.testing.assert_close(mine, other, rtol=1e-12, atol=1e-12)


def test_every_registered_model_is_here():
    covered = {neuron.model for neuron in NEURONS.values()} | {"lif", "rate"}
    assert covered == set(available("neurons"))


@pytest.mark.parametrize("name", NEURONS)
def test_brian2_in_numpy(name):
    compare(name, Brian2Simulator(mode="runtime"))


@pytest.mark.parametrize("name", DYNAMIC)
def test_all_in_one_network(name):
    kind = load("simulators", name)
    works, reason = kind.status()
    if not works and not kind.anywhere:
        pytest.skip(reason)
    machine = kind(**kind.anywhere)
    if name in REFUSE:
        with pytest.raises(UnsupportedError, match=r"neuron\.model"):
            machine.check(expected("together")[0].network)
        return
    compare("together", machine)


@pytest.mark.parametrize("name", ["alif, held", "equations, exponential"])
def test_one_model_in_all_layers_compiled(name):
    problem = pair(chain([20, 15, 8], NEURONS[name], dt_ms=0.5), 2, 3, 120)
    expected_there = problem.run(TorchSimulator())
    given = problem.run(load("simulators", "compiled")())
    for phase in problem.phases:
        agree(problem, given[phase.name], expected_there[phase.name])


def test_each_model_of_a_network_is_what_others_are_not():
    problem, reference = expected("together")
    rates = [float(rate.mean()) for rate in reference["free"].rates[1:]]
    assert len({round(rate, 6) for rate in rates}) == len(problem.network.layers)
