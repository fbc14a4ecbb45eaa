"""Convolutions and poolings that stay what they are, and populations side by side."""

from __future__ import annotations

import nir as reference
import nir_environment as environment
import numpy as np
import pytest
import torch
from test_nir_refused import chained
from torch.nn import functional

from mismatch.chip import ChipPopulation
from mismatch.distributions import Normal
from mismatch.spec import MismatchSpec
from rate_bridge.filters import window
from root.seeds import SeedTree
from spiking.connections import AveragePool2d, Conv2d, Dense, Unconnected
from spiking.network import Clock
from spiking.nir import Reading, read, replay
from spiking.presentation import Phase, SpikeDrive, Weights
from spiking.simulators.torch import TorchSimulator

CLOCK = Clock(dt_ms=1.0, max_rate_hz=1000.0)  # a spike a step is a rate of 1
RNG = np.random.default_rng(7)
EULER = Reading("euler")
TWO, NONE = np.array([2, 2]), np.array([0, 0])


def told(tmp_path, graph, reading=EULER):
    reference.write(tmp_path / "a.nir", graph)
    return read(tmp_path / "a.nir", CLOCK, reading)


def lif(*shape):
    one = np.ones(shape)
    return reference.LIF(4e-3 * one, one, 0 * one, one, 0 * one)


def conv(weight, side, *, bias=None, **keys):
    bias = np.zeros(len(weight)) if bias is None else bias
    given = {"stride": 1, "padding": 0, "dilation": 1, "groups": 1} | keys
    return reference.Conv2d((side, side), weight, bias=bias, **given)


def euler(current, gain=1.0):
    """Return the spikes of LIF neurons of 4 steps, by NIR's equations and Euler's method, (steps, n)."""
    v, spikes = torch.zeros(current.shape[1:]).double(), []
    for one in current:
        v = v + (gain * one - v) / 4
        spikes.append((v > 1).double())
        v = torch.where(v > 1, 0.0, v)
    return torch.stack(spikes)


def kinds(chip):
    return {(c.pre, c.post): type(c.pattern) for c in chip.network.connections}


def test_a_convolution_and_a_pooling_are_what_they_were(tmp_path):
    """Two channels in PyTorch's order, a margin, a bias; then a mean, and a map of all: bin by bin."""
    kernel, bias = 3 * RNG.normal(size=(3, 2, 3, 3)), RNG.normal(size=3)
    last = 4 * RNG.normal(size=(4, 12))
    graph = chained(
        *(conv(kernel, 4, padding=1, bias=bias), lif(3, 4, 4)),
        *(reference.AvgPool2d(TWO, TWO, NONE), reference.Scale(np.array([5.3])), lif(3, 2, 2)),
        *(reference.Flatten(np.array([3, 2, 2]), 0), reference.Linear(last), lif(4)),
        shape=(2, 4, 4),
        outputs=4,
    )
    chip = told(tmp_path, graph)
    assert kinds(chip) == {(0, 1): Conv2d, (1, 2): AveragePool2d, (2, 3): Dense}
    assert chip.network.input_shape == (2, 4, 4)
    assert [layer.shape for layer in chip.network.layers] == [(3, 4, 4), (3, 2, 2), ()]
    assert chip.weights[0].shape == (3, 3, 2, 3)
    assert chip.network.connections[1].pattern.gain == 5.3
    x = torch.from_numpy((RNG.random((60, 2, 4, 4)) < 0.5).astype(float))
    first = euler(functional.conv2d(x, torch.from_numpy(kernel), torch.from_numpy(bias), padding=1))
    second = euler(5.3 * functional.avg_pool2d(first, 2))
    third = euler(functional.linear(second.flatten(1), torch.from_numpy(last)))
    found = replay(chip, x.flatten(1).numpy())
    for ours, theirs in zip(found, (first, second, third), strict=True):
        assert theirs.sum() > 10
        assert torch.equal(ours, theirs.flatten(1))


def test_strides_sums_and_scales(tmp_path):
    kernel = 9 * RNG.normal(size=(2, 1, 3, 3))
    graph = chained(
        *(reference.SumPool2d(TWO, TWO, NONE), lif(1, 5, 5)),
        *(conv(kernel, 5, stride=2, padding=1), reference.Scale(np.full((2, 3, 3), 0.5)), lif(2, 3, 3)),
        shape=(1, 10, 10),
        outputs=18,
    )
    chip = told(tmp_path, graph)
    assert kinds(chip) == {(0, 1): AveragePool2d, (1, 2): Conv2d}
    assert chip.network.connections[0].pattern.gain == 4.0
    x = torch.from_numpy((RNG.random((40, 1, 10, 10)) < 0.2).astype(float))
    first = euler(functional.avg_pool2d(x, 2, divisor_override=1))
    second = euler(0.5 * functional.conv2d(first, torch.from_numpy(kernel), stride=2, padding=1))
    assert torch.equal(replay(chip, x.flatten(1).numpy())[-1], second.flatten(1))


DENSE = {
    "groups": (conv(RNG.normal(size=(2, 1, 3, 3)), 5, groups=2), (2, 5, 5), (2, 3, 3)),
    "dilation": (conv(RNG.normal(size=(2, 2, 2, 2)), 5, dilation=2), (2, 5, 5), (2, 3, 3)),
    "oblong": (conv(RNG.normal(size=(2, 2, 3, 1)), 5), (2, 5, 5), (2, 3, 5)),
    "two steps": (conv(RNG.normal(size=(2, 2, 3, 3)), 5, stride=np.array([1, 2])), (2, 5, 5), (2, 3, 2)),
    "overlapping squares": (reference.AvgPool2d(TWO, np.array([1, 1]), NONE), (2, 5, 5), (2, 4, 4)),
}


@pytest.mark.parametrize("case", DENSE)
def test_what_no_kind_of_connection_is_becomes_a_matrix(tmp_path, case):
    node, before, behind = DENSE[case]
    chip = told(tmp_path, chained(node, lif(*behind), shape=before, outputs=int(np.prod(behind))))
    assert kinds(chip) == {(0, 1): Dense}


def test_gains_of_single_neurons_make_a_matrix_and_those_of_channels_do_not(tmp_path):
    kernel, gain = 3 * RNG.normal(size=(2, 1, 3, 3)), RNG.random((2, 3, 3)) + 0.5
    for gains, kind in ((gain, Dense), (gain[:, :1, :1] * np.ones((2, 3, 3)), Conv2d)):
        neurons = reference.LIF(np.full((2, 3, 3), 4e-3), gains, 0 * gains, np.ones((2, 3, 3)), 0 * gains)
        chip = told(tmp_path, chained(conv(kernel, 5), neurons, shape=(1, 5, 5), outputs=18))
        assert kinds(chip) == {(0, 1): kind}
        x = torch.from_numpy((RNG.random((40, 1, 5, 5)) < 0.5).astype(float))
        theirs = euler(functional.conv2d(x, torch.from_numpy(kernel)), torch.from_numpy(gains))
        assert torch.equal(replay(chip, x.flatten(1).numpy())[-1], theirs.flatten(1))


def test_images_that_no_matrix_could_hold(tmp_path):
    nodes = (conv(np.ones((4, 3, 3, 3)), 100, padding=1), lif(4, 100, 100))
    graph = chained(*nodes, shape=(3, 100, 100), outputs=40_000)
    chip = told(tmp_path, graph)
    assert chip.network.sizes == (30_000, 40_000)
    assert chip.weights[0].shape == (3, 3, 3, 4)


A, B, LEFT, RIGHT, LATE = (4 * RNG.normal(size=shape) for shape in ((5, 6), (7, 6), (4, 5), (4, 7), (4, 6)))


def side_by_side():
    """Two populations that the input reaches, which meet in a third that it reaches too."""
    nodes = {
        "input": reference.Input(np.array([6])),
        "to_a": reference.Linear(A),
        "to_b": reference.Linear(B),
        "a": lif(5),
        "b": lif(7),
        "from_a": reference.Linear(LEFT),
        "from_b": reference.Linear(RIGHT),
        "leap": reference.Linear(LATE),
        "c": lif(4),
        "output": reference.Output(np.array([4])),
    }
    edges = [("input", "to_a"), ("input", "to_b"), ("input", "leap"), ("to_a", "a"), ("to_b", "b")]
    edges += [("a", "from_a"), ("b", "from_b"), *((name, "c") for name in ("from_a", "from_b", "leap"))]
    return reference.NIRGraph(nodes, [*edges, ("c", "output")], metadata={}, type_check=False)


def shown_side_by_side():
    return (np.random.default_rng(3).random((80, 6)) < 0.5).astype(float)


def expected_side_by_side(spikes):
    x = torch.from_numpy(spikes)
    a, b = euler(x @ torch.from_numpy(A).T), euler(x @ torch.from_numpy(B).T)
    weights = [torch.from_numpy(w).T for w in (LEFT, RIGHT, LATE)]
    return a, b, euler(a @ weights[0] + b @ weights[1] + x @ weights[2])


def test_populations_side_by_side(tmp_path):
    chip = told(tmp_path, side_by_side())
    sizes, joined = chip.network.sizes, kinds(chip)
    assert sorted(sizes[1:3]) == [5, 7]
    assert joined[1, 2] is Unconnected
    dense = {ends for ends, kind in joined.items() if kind is Dense}
    assert dense == {(0, 1), (0, 2), (0, 3), (1, 3), (2, 3)}
    spikes = shown_side_by_side()
    a, b, c = expected_side_by_side(spikes)
    found = replay(chip, spikes)
    first, second = (a, b) if sizes[1] == 5 else (b, a)
    for ours, theirs in zip(found, (first, second, c), strict=True):
        assert theirs.sum() > 10
        assert torch.equal(ours, theirs)


def test_chips_of_such_graphs_deviate_synapse_by_synapse(tmp_path):
    """What is read runs as chips: an ideal one spikes as the replay does, others as they were drawn."""
    chip = told(tmp_path, side_by_side())
    spec = MismatchSpec(chips=2, deviations={"weight": Normal(cv=0.2)})
    spikes = torch.from_numpy(shown_side_by_side()).bool()
    counts = []
    for one in (spec.ideal, spec):
        chips = ChipPopulation(chip.network, one, TorchSimulator(), SeedTree(0))
        every = [w.expand(one.chips, *w.shape) for w in chip.weights]
        bias = [values["bias"].expand(one.chips, -1) for values in chip.neurons]
        feedback = [torch.zeros(one.chips, *shape).double() for shape in chip.network.feedback_shapes]
        chips.program(Weights(tuple(every), tuple(bias), tuple(feedback)))
        phase = Phase("free", SpikeDrive(spikes.unsqueeze(0)), window(80, 80), record=frozenset({"spikes"}))
        counts.append(chips.present((phase,), "look")["free"].traces["spikes"][-1].sum((1, 2, 3)))
    assert counts[0].item() > 10
    assert counts[1].tolist() != [counts[0].item()] * 2


def test_spikingjelly_runs_them_alike(tmp_path):
    """Norse 1.1 emits currents where branches meet, and snnTorch takes a graph as a row of nodes."""
    environment.needs(program := "spikingjelly")
    reference.write(tmp_path / "a.nir", side_by_side())
    np.save(tmp_path / "spikes.npy", shown_side_by_side())
    job = {"program": program, "file": str(tmp_path / "a.nir"), "dt": 1e-3}
    job |= {"spikes": str(tmp_path / "spikes.npy"), "out": str(tmp_path / "out.npy")}
    said = environment.call("run", [job], tmp_path)
    assert (tmp_path / "out.npy").exists(), said
    theirs = np.load(tmp_path / "out.npy")
    ours = replay(read(tmp_path / "a.nir", CLOCK, EULER), shown_side_by_side())[-1].numpy()
    assert np.array_equal(ours, theirs)
