"""One suite over every registered simulator: the same spikes and voltages as the tensor reference.

A new simulator joins by being registered. A case that it cannot express, or a machine that does not
work here, is skipped with the simulator's own reason. What is checked is `spiketrain.testing`'s.
"""

import pytest
import torch
from brian2_synapses import SynapsesModel

from root.plugins import available, load
from spiketrain.testing.cases import Case
from spiketrain.testing.networks import SMALL
from spiketrain.testing.simulators import check, exact, reference, simulator_cases, single_neuron
from spiking.simulators.brian2 import plain
from spiking.simulators.torch import TorchSimulator

CASES = [
    pytest.param(case, id=f"{case}-{name}")
    for name in available("simulators")
    if name != "torch"
    for case in simulator_cases(load("simulators", name))
]


@pytest.mark.parametrize("case", CASES)
def test_it_does_what_tensors_do(case):
    case()


@pytest.mark.parametrize("name", SMALL)
def test_the_same_without_a_compiler(name):
    Case(name, lambda: check(name, exact(load("simulators", "brian2"), mode="runtime")))()


@pytest.mark.parametrize("name", SMALL)
def test_the_same_with_synapses_of_brian2_itself(name, monkeypatch):
    monkeypatch.setattr(plain, "PlainModel", SynapsesModel)
    Case(name, lambda: check(name, exact(load("simulators", "brian2"), mode="runtime")))()


@pytest.mark.parametrize("drive", ["spikes", "current"])
def test_tensors_on_the_single_neuron_of_the_nir_paper(drive):
    single_neuron(TorchSimulator(), drive)


def test_the_phases_differ_so_that_comparing_them_means_something():
    _, expected = reference("two chips")
    free, controlled = expected["free"], expected["controlled"]
    assert not torch.equal(free.rates[1], controlled.rates[1])
    assert not torch.equal(free.basal[0], free.rates[1])
    assert not torch.equal(free.rates[1][0], free.rates[1][1])
