"""Graphs of other programs, and files of ours, that are refused by the name of what is wrong."""

import itertools

import nir as reference
import numpy as np
import pytest
import torch
from test_nir import foreign, random_chip

from root.errors import InputError
from spiking.network import Clock, chain
from spiking.neurons import LIF
from spiking.nir import Stored, read, write


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


LINEAR = reference.Linear(np.ones((2, 2)))
NEURON = reference.LIF(np.ones(2), np.ones(2), np.zeros(2), np.ones(2))

PAIR = [LINEAR, NEURON]


def conv(weight, padding=0, groups=1, stride=1, side=None):
    shape = None if side is None else (side, side)
    return reference.Conv2d(shape, weight, stride, padding, 1, groups, np.zeros(len(weight)))


SCALAR = reference.LIF(np.ones(1), np.ones(1), np.zeros(1), np.ones(1))
OTHER = reference.LIF(np.ones(5), np.ones(5), np.zeros(5), np.ones(5))
SQUARE = reference.Linear(np.ones((5, 5)))


def beside(shape):
    pair = in_a_row(*PAIR)
    nodes = {**pair.nodes, "input": reference.Input(np.array(shape))}
    return reference.NIRGraph(nodes, pair.edges, type_check=False)


def chained(*nodes, shape=(2,), outputs=2):
    """Return nodes in a row without NIR's own inference of shapes."""
    named = {"input": reference.Input(np.array(shape))} | {f"node_{i}": node for i, node in enumerate(nodes)}
    named["output"] = reference.Output(np.array([outputs]))
    return reference.NIRGraph(named, list(itertools.pairwise(named)), metadata={}, type_check=False)


WRONG = {
    "unknown node": (
        lambda: chained(reference.NIRGraph({}, [], type_check=False), NEURON),
        "0 nodes Input in 'node_0'",
    ),
    "a loop without neurons": (
        lambda: rewired(
            {"back": reference.Linear(np.ones((5, 5)))},
            [("affine", "back"), ("back", "back"), ("back", "cubalif")],
        ),
        "a loop without neurons, back -> back",
    ),
    "an input twice": (
        lambda: rewired({}, [("input", "affine_1")]),
        "3 values, .* reach 'affine_1', .* for 5|meet",
    ),
    "sizes": (
        lambda: in_a_row(reference.Linear(np.ones((3, 2))), NEURON),
        "2 values in 'lif'.* 3, one per neuron",
    ),
    "inputs": (
        lambda: in_a_row(LINEAR, NEURON, reference.Linear(np.ones((2, 3))), NEURON),
        "2 values, .*'linear_1', whose weights are for 3",
    ),
    "the input's shape": (
        lambda: beside([5, 7]),
        r"an Input of shape \(5, 7\), while 'linear' takes 2 values",
    ),
    "a matrix of many axes": (lambda: in_a_row(reference.Linear(np.ones((2, 2, 2))), NEURON), "a matrix"),
    "an edge to nowhere": (lambda: rewired({}, [("cubalif", "there")]), "without 'there'"),
    "threshold": (lambda: edited(v_threshold=[1, 1, -1, 1, 1]), "reset -0.1.* of neuron 2 of 'cubalif'"),
    "reset": (lambda: edited(v_reset=[0, 9, 0, 0, 0]), "reset 9.* of neuron 1 of 'cubalif'.*below"),
    "time": (lambda: edited(tau_mem=[0.1, 0.1, 0.1, 0.1, np.nan]), "tau_m_ms nan of neuron 4"),
    "delay": (lambda: foreign(delay_s=1.3e-3), "a Delay of 1.3 ms'; allowed: a multiple of simulator.dt_ms"),
    "a convolution without an image": (
        lambda: chained(LINEAR, NEURON, conv(np.ones((1, 1, 3, 3)), side=3), NEURON),
        "values of shape .2,. at 'node_2', Conv2d",
    ),
    "a kernel too large": (
        lambda: chained(conv(np.ones((1, 1, 5, 5)), side=4), NEURON, shape=(1, 4, 4)),
        "a kernel over 5 of 4 values",
    ),
    "channels": (
        lambda: chained(conv(np.ones((1, 2, 3, 3)), side=4), NEURON, shape=(3, 4, 4)),
        "an Input of shape|3 channels",
    ),
    "too many weights": (
        lambda: chained(conv(np.ones((8, 3, 3, 3)), stride=(1, 2), side=200), SCALAR, shape=(3, 200, 200)),
        "× 120000 weights at 'node_0'.*at most 20000000",
    ),
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
