"""Rate networks in Loihi's integers: how close to real numbers they are, what they count and refuse."""

from dataclasses import replace

import pytest
import torch

from rate_bridge.filters import window
from root.errors import InputError, UnsupportedError
from spiking.blocks.block import stack
from spiking.blocks.snapshots import initial_snapshot
from spiking.hardware import Hardware
from spiking.network import chain
from spiking.neurons import LIF, Rate
from spiking.neurons.activations import ACTIVATIONS
from spiking.presentation import Controller, CurrentDrive, Phase
from spiking.simulators.fixed_point import quantise
from spiking.simulators.fixed_point.quantise import check_network
from spiking.simulators.fixed_point.simulator import LoihiSimulator
from spiking.simulators.torch import TorchSimulator

STEPS, BATCH = 60, 4
RECORD = frozenset({"spikes", "voltage", "current", "readout"})


def network_of(activation, **options):
    hidden = Rate(activation, tau_ms=5.0, offset=0.05, shape=1.1, bias=0.1, **options)
    return chain([10, 20, 15, 3], [hidden, hidden, Rate("linear", tau_ms=5.0)])


def hardware_of(network, chips=2):
    g = torch.Generator().manual_seed(4)

    def near(value, *shape):
        return value * (1 + 0.2 * torch.randn(*shape, generator=g).double()).clamp(0.4, 1.6)

    values = tuple(
        {
            p.field: near(float(getattr(layer.neuron, p.field)), chips, layer.size)
            for p in layer.neuron.parameters
        }
        for layer in network.layers
    )
    sizes, one = network.sizes, torch.ones(chips, network.outputs).double()
    weights = [
        torch.randn(chips, sizes[c.pre], sizes[c.post], generator=g).double() / sizes[c.pre] ** 0.5
        for c in network.connections
    ]
    feedback = tuple(0.3 * torch.randn(chips, sizes[-1], n, generator=g).double() for n in sizes[1:])
    return Hardware(
        values, values, tuple(weights), feedback, {"gain": one, "offset": 0 * one, "kp": one, "ki": one}
    )


def chip(hardware, k):
    one = slice(k, k + 1)

    def cut(values):
        return {name: value[one] for name, value in values.items()}

    return Hardware(
        tuple(map(cut, hardware.neurons)),
        tuple(map(cut, hardware.shadows)),
        tuple(w[one] for w in hardware.weights),
        tuple(q[one] for q in hardware.feedback),
        cut(hardware.readout),
    )


def phase_of(network, *, scale=1.0, closed=False):
    g = torch.Generator().manual_seed(6)
    drive = CurrentDrive(scale * torch.rand(BATCH, network.inputs, generator=g).double())
    target = torch.rand(BATCH, network.outputs, generator=g).double()
    loop = Controller(target, kp=0.5, ki_per_ms=0.01) if closed else None
    return Phase("p", drive, window(STEPS, 20), loop, shadow=True, record=RECORD)


def start_of(network, hardware):
    nothing = [torch.zeros(hardware.chips, BATCH, n).double() for n in network.sizes[1:]]
    return initial_snapshot(network, hardware, nothing, shadow=True)


def block_of(network, hardware, **options):
    return stack(network, hardware, [phase_of(network, **options)], [start_of(network, hardware)], {})


def run(machine, network, hardware, phase):
    return machine.run(network, hardware, [phase], {"p": start_of(network, hardware)})["p"]


@pytest.mark.parametrize(
    ("activation", "closed"),
    [(name, False) for name in ACTIVATIONS if name != "lif"] + [("tanh", True), ("sigmoid", True)],
)
def test_integers_follow_the_real_numbers(activation, closed):
    network = network_of(activation)
    hardware, phase = hardware_of(network), phase_of(network, closed=closed)
    exact = run(TorchSimulator(), network, hardware, phase)
    found = run(LoihiSimulator(), network, hardware, phase)
    for kind in RECORD:
        for ours, theirs in zip(found.traces[kind], exact.traces[kind], strict=True):
            size = float(theirs.square().mean().sqrt())
            assert float((ours - theirs).square().mean().sqrt()) <= 0.03 * size  # weights of 8 bits
    for ours, theirs in zip((*found.rates, *found.basal), (*exact.rates, *exact.basal), strict=True):
        torch.testing.assert_close(ours, theirs, rtol=0.05, atol=0.05)


def test_a_curve_with_an_infinite_slope_is_followed_but_at_its_corner():
    network = network_of("lif", gain=0.5)
    network = replace(
        network, layers=tuple(replace(x, neuron=replace(x.neuron, bias=1.5)) for x in network.layers)
    )
    hardware, phase = hardware_of(network), phase_of(network)
    exact = run(TorchSimulator(), network, hardware, phase)
    found = run(LoihiSimulator(), network, hardware, phase)
    off = (found.rates[1] - exact.rates[1]).abs()
    assert float(off.median()) < 0.01


def test_a_chip_s_integers_do_not_depend_on_its_neighbours():
    network = network_of("tanh")
    hardware, phase = hardware_of(network, 3), phase_of(network)
    together = run(LoihiSimulator(message_threshold=0.02), network, hardware, phase)
    alone = run(LoihiSimulator(message_threshold=0.02), network, chip(hardware, 1), phase)
    for ours, theirs in zip(together.traces["voltage"], alone.traces["voltage"], strict=True):
        assert torch.equal(ours[1:2], theirs)


def test_a_larger_threshold_saves_messages_and_a_constant_input_speaks_once():
    network = network_of("relu")
    hardware = hardware_of(network)
    block = block_of(network, hardware)
    counts = []
    for threshold in (0.0, 0.01, 0.05):
        outcome = LoihiSimulator(message_threshold=threshold).run_block(network, hardware, block)
        counts.append(float(outcome.messages[1].sum()))
        assert torch.equal(
            outcome.messages[0], (block.drive.values > threshold + 1e-3).sum(-1)[None].double()
        )
    assert counts[0] > 2 * counts[1] > 2 * counts[2] > 0


def test_what_rounding_changed_is_accounted_for_and_an_exact_table_changes_nothing():
    network = network_of("tanh")
    hardware = hardware_of(network)
    program = quantise(network, hardware, block_of(network, hardware))
    rows = {(row.where, row.name): row for row in program.roundings}
    assert 0 < rows["layer 1", "activation"].relative_error < 2e-3
    assert 0 < rows["connection 1-2", "weight"].relative_error < 0.02
    assert rows["layer 3", "activation"].relative_error < 1e-3  # linear: the 12 digits of activities alone


@pytest.mark.parametrize("threshold", [-0.1, float("nan"), float("inf")])
def test_what_is_no_threshold_is_refused(threshold):
    with pytest.raises(InputError, match=r"simulator\.message_threshold"):
        LoihiSimulator(message_threshold=threshold)


def test_what_integers_cannot_express_is_refused():
    network = network_of("tanh")
    hardware = hardware_of(network)
    with pytest.raises(InputError, match="values from -1 to 1"):
        LoihiSimulator().run_block(network, hardware, block_of(network, hardware, scale=3.0))
    with pytest.raises(UnsupportedError, match="one model for all layers"):
        check_network(chain([2, 2, 2], [LIF(), Rate()]))
    with pytest.raises(UnsupportedError, match="send spikes"):
        LoihiSimulator(message_threshold=0.0).check(chain([2, 2], LIF()))
    huge = replace(hardware, weights=tuple(1e6 * w for w in hardware.weights))
    with pytest.raises(InputError, match="larger potentials"):
        quantise(network, huge, block_of(network, huge))
