"""Rate networks in every dynamic simulator that can express them: the tensor reference to 1e-10."""

from dataclasses import replace

import pytest

from spiketrain.testing.agreement import agree
from spiketrain.testing.problems import Problem, pair
from spiking.network import Network, bidirectional, chain
from spiking.neurons import Rate
from spiking.neurons.activations import ACTIVATIONS
from spiking.simulators.brian2.simulator import Brian2Simulator
from spiking.simulators.torch import TorchSimulator

NEURON = Rate(tau_ms=4.0, gain=1.2, offset=0.1, saturation=0.9, bias=0.2)


def plain(activation: str) -> Network:
    return chain([6, 8, 5], Rate(activation=activation, tau_ms=4.0))


def deviating(activation: str) -> Network:
    hidden = replace(NEURON, activation=activation)
    return chain([6, 8, 7, 5], [hidden, hidden, Rate(activation="linear")], delay_steps=[1, 2, 1], dt_ms=0.5)


def both_ways(activation: str) -> Network:
    return bidirectional(chain([6, 8, 7, 5], replace(NEURON, activation=activation)))


NETWORKS = {"plain": plain, "deviating": deviating, "both ways": both_ways}


def compare(problem: Problem, machine: Brian2Simulator) -> None:
    expected = problem.run(TorchSimulator())
    for name, recording in problem.run(machine).items():
        agree(problem.network, recording, expected[name], within=1e-10, relative=1e-10)


@pytest.mark.parametrize("network", NETWORKS)
@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_brian2_in_numpy(activation: str, network: str) -> None:
    problem = pair(NETWORKS[network](activation), 2, 3, 40, currents=0)
    compare(problem, Brian2Simulator(mode="runtime"))


def test_brian2_compiled() -> None:
    machine = Brian2Simulator()
    if machine.mode != "standalone":
        pytest.skip("no compiler")
    compare(pair(both_ways("softplus"), 2, 3, 60, currents=0), machine)
