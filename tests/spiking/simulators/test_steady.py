"""The steady simulator rests where the dynamic one does."""

import pytest
import torch

from mismatch.chip import ChipPopulation
from mismatch.distributions import Normal
from mismatch.spec import MismatchSpec
from root.errors import InputError, UnsupportedError
from root.seeds import SeedTree
from spiking.network import bidirectional, chain
from spiking.neurons import LIF, Rate
from spiking.presentation import TRACES, Controller, CurrentDrive, Phase, SpikeDrive, Weights
from spiking.simulators.steady import SteadySimulator
from spiking.simulators.torch import TorchSimulator

NAMES = [
    "weight",
    "gain",
    "offset",
    "saturation",
    "shape",
    "bias",
    "feedback",
    "readout_gain",
    "readout_offset",
    "kp",
]


def network_of(both, activation="tanh"):
    network = chain([4, 6, 5, 3], Rate(activation=activation, tau_ms=1.5, saturation=1.2), dt_ms=0.5)
    return bidirectional(network) if both else network


def programmed(network, chips, scale=0.8):
    def draw(*shape):
        values = torch.from_numpy(SeedTree(4).child(*shape).generator().standard_normal(shape))
        return (scale * values / shape[-2] ** 0.5).expand(chips, *shape).clone()

    sizes = network.sizes
    forward = [draw(sizes[c.pre], sizes[c.post]) for c in network.connections]
    for index in range(network.depth, len(forward)):
        c = network.connections[index]
        forward[index] = forward[c.post].transpose(1, 2)
    bias = tuple(draw(1, layer.size)[:, 0] for layer in network.layers)
    feedback = tuple(0.1 * draw(network.outputs, layer.size) for layer in network.layers[:-1])
    eye = torch.eye(network.outputs, dtype=torch.float64).expand(chips, -1, -1)
    return Weights(tuple(forward), bias, (*feedback, eye))


def phase(name, steps, batch=7, **options):
    x = torch.from_numpy(SeedTree(5).child(batch).generator().random((batch, 4)))
    window = torch.zeros(steps, dtype=torch.float64)
    window[-1] = 1.0
    return Phase(name, CurrentDrive(x), window, **options)


def present(machine, network, phases, chips=2, first=0):
    spec = MismatchSpec(chips, 3, {name: Normal(cv=0.2) for name in NAMES}, first_chip=first)
    population = ChipPopulation(network, spec, machine, SeedTree(0))
    population.program(programmed(network, chips))
    return population.present(phases, "shown")


TARGET = torch.tensor([[0.5, 0.3, 0.4]], dtype=torch.float64).expand(7, -1)
CONTROLLERS = {
    "proportional": Controller(TARGET, kp=0.7, ki_per_ms=0.0),
    "leaky": Controller(TARGET, kp=0.3, ki_per_ms=0.2, leak_per_ms=0.1),
}


@pytest.mark.parametrize("controller", [None, *CONTROLLERS])
@pytest.mark.parametrize("both", [False, True])
@pytest.mark.parametrize("activation", ["tanh", "relu", "sigmoid"])
def test_it_rests_where_the_dynamics_settle(activation, both, controller):
    network = network_of(both, activation)
    options = {"controller": CONTROLLERS[controller]} if controller else {}
    settled = present(TorchSimulator(), network, [phase("shown", 1500, **options)])["shown"]
    machine = SteadySimulator(relaxation=0.3, tolerance=1e-13)
    rested = present(machine, network, [phase("shown", 1500, **options)])["shown"]
    for mine, other in zip(rested.rates, settled.rates, strict=True):
        torch.testing.assert_close(mine, other, atol=1e-8, rtol=0)
    if controller:
        torch.testing.assert_close(rested.control, settled.control, atol=1e-7, rtol=0)


def test_feedforward_rest_is_exact_after_one_sweep():
    network = network_of(False)
    one = present(SteadySimulator(relaxation=0.1), network, [phase("free", 1)])["free"]
    settled = present(TorchSimulator(), network, [phase("free", 900)])["free"]
    for mine, other in zip(one.rates, settled.rates, strict=True):
        torch.testing.assert_close(mine, other, atol=1e-13, rtol=0)


def test_shadows_rest_without_the_feedback():
    network = network_of(False)
    options = {"controller": CONTROLLERS["proportional"], "shadow": True}
    settled = present(TorchSimulator(), network, [phase("shown", 1500, **options)])["shown"]
    rested = present(
        SteadySimulator(relaxation=0.3, tolerance=1e-13), network, [phase("shown", 900, **options)]
    )
    for mine, other in zip(rested["shown"].basal, settled.basal, strict=True):
        torch.testing.assert_close(mine, other, atol=1e-8, rtol=0)


def test_phases_go_on_from_each_other_and_take_injected_currents():
    network = network_of(True)
    currents = (None, torch.full((7, 5), 0.3, dtype=torch.float64), None)
    phases = [phase("free", 900), phase("pushed", 900, after="free", currents=currents)]
    settled = present(TorchSimulator(), network, phases)["pushed"]
    rested = present(SteadySimulator(tolerance=1e-13), network, phases)["pushed"]
    torch.testing.assert_close(rested.rates[-1], settled.rates[-1], atol=1e-8, rtol=0)


def test_a_chip_is_a_slice():
    """A chip stops when it has settled, whether or not others are still under way."""
    network = network_of(True)
    phases = [phase("shown", 300, controller=CONTROLLERS["leaky"])]
    machine = SteadySimulator(tolerance=1e-4, relaxation=0.5)
    together = present(machine, network, phases, chips=4)["shown"]
    for chip in range(4):
        alone = present(machine, network, phases, chips=1, first=chip)["shown"]
        assert torch.equal(alone.rates[-1][0], together.rates[-1][chip])


def test_traces_show_the_sweeps():
    recording = present(SteadySimulator(), network_of(True), [phase("free", 60, record=frozenset(TRACES))])[
        "free"
    ]
    assert recording.traces["voltage"][0].shape == (2, 7, 60, 6)
    assert torch.equal(recording.traces["readout"][0][:, :, -1], recording.rates[-1])


def test_what_has_no_steady_state_is_refused():
    with pytest.raises(UnsupportedError, match="without spikes"):
        SteadySimulator().check(chain([2, 2], LIF()))
    network = network_of(False)
    spikes = Phase("free", SpikeDrive(torch.zeros(1, 5, 4, dtype=torch.bool)), torch.ones(5).double())
    with pytest.raises(UnsupportedError, match="encoding"):
        present(SteadySimulator(), network, [spikes])
    for options in ({"relaxation": 0.0}, {"relaxation": 1.5}, {"tolerance": -1.0}):
        with pytest.raises(InputError, match=r"simulator\."):
            SteadySimulator(**options)
