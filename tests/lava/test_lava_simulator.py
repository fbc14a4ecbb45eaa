"""Lava as a simulator: what the conformance suite does not ask."""

from dataclasses import replace

import pytest
import torch

from rate_bridge.filters import window
from root.errors import InputError, UnsupportedError
from spiking.blocks.snapshots import initial_snapshot
from spiking.feedback import Layered
from spiking.hardware import Hardware
from spiking.network import chain
from spiking.neurons import LIF, Rate
from spiking.presentation import TRACES, Controller, CurrentDrive, Phase, SpikeDrive
from spiking.simulators.fixed_point.simulator import LoihiSimulator
from spiking.simulators.lava.simulator import LavaSimulator
from spiking.simulators.torch import TorchSimulator

INPUT_STEPS = (
    *(60, 220, 270, 310, 320, 350, 370, 400, 410, 430, 440, 450, 460, 470, 480, 490, 500, 510, 520, 530),
    *(670, 680, 690, 700, 710, 720, 730, 740, 750, 760, 770, 780, 840, 850),
)


def hardware_of(network, chips, seed, feedback=True):
    """Chips with every parameter of every neuron its own."""
    g = torch.Generator().manual_seed(seed)

    def normal(*shape):
        return torch.randn(*shape, generator=g).double()

    def values(layer):
        return {
            p.field: (
                torch.full((chips, layer.size), float(getattr(layer.neuron, p.field))).double()
                * (1 + 0.1 * normal(chips, layer.size)).clamp(0.5, 1.5)
            )
            for p in layer.neuron.parameters
        }

    sizes, one = network.sizes, torch.ones(chips, network.outputs).double()
    return Hardware(
        neurons=tuple(values(layer) for layer in network.layers),
        shadows=tuple(values(layer) for layer in network.layers),
        weights=tuple(
            normal(chips, sizes[c.pre], sizes[c.post]) / sizes[c.pre] ** 0.5 for c in network.connections
        ),
        feedback=tuple(0.3 * normal(chips, network.outputs, n) for n in sizes[1:]) if feedback else (),
        readout={"gain": 1 + 0.1 * normal(chips, network.outputs), "offset": 0 * one, "kp": one, "ki": one},
    )


def run(simulator, network, hardware, phases, batch):
    g = torch.Generator().manual_seed(9)
    chips = hardware.chips
    uniform = [torch.rand(chips, batch, layer.size, generator=g).double() for layer in network.layers]
    starts = {p.name: initial_snapshot(network, hardware, uniform, p.shadow) for p in phases if not p.after}
    return simulator.run(network, hardware, phases, starts)


def phases_of(network, batch, steps, *, currents=False):
    g = torch.Generator().manual_seed(3)
    shape = (batch, steps, network.inputs)
    values = torch.rand(*shape, generator=g).double()
    drive = CurrentDrive(values) if currents else SpikeDrive(values < 0.2)
    target = torch.rand(batch, network.outputs, generator=g).double()
    loop = Controller(target, kp=0.5, ki_per_ms=0.02, leak_per_ms=0.005)
    half = window(steps, steps // 2)
    return [
        Phase("free", drive, half, shadow=True, record=frozenset(TRACES)),
        Phase("controlled", drive, half, controller=loop, shadow=True, record=frozenset(TRACES)),
        Phase(
            "longer", drive, half, controller=loop, shadow=True, after="controlled", record=frozenset(TRACES)
        ),
    ]


def compare(given, expected, tolerance):
    for name, recording in expected.items():
        ours = given[name]
        pairs = [
            *zip(ours.rates, recording.rates, strict=True),
            *zip(ours.basal, recording.basal, strict=True),
        ]
        for kind, traces in recording.traces.items():
            pairs += zip(ours.traces[kind], traces, strict=True)
        for mine, theirs in pairs:
            torch.testing.assert_close(mine, theirs, rtol=0, atol=tolerance)


@pytest.mark.parametrize(
    ("currents", "delays"), [(False, 1), (True, 1), (False, [3, 2])], ids=["spikes", "currents", "delays"]
)
def test_integers_through_lava_and_without_it_are_the_same(environment, currents, delays):
    network = chain([12, 15, 4], LIF(bias=1.2, reset=-0.1, refractory_ms=2), delay_steps=delays)
    hardware = hardware_of(network, 2, 1)
    phases = phases_of(network, 3, 40, currents=currents)
    lava = LavaSimulator(arithmetic="fixed")
    given = run(lava, network, hardware, phases, 3)
    lava.close()
    expected = run(LoihiSimulator(), network, hardware, phases, 3)
    assert float(expected["controlled"].traces["spikes"][1].sum()) >= 10
    compare(given, expected, 0)


@pytest.mark.parametrize("activation", ["tanh", "sigmoid", "relu", "softplus", "linear", "lif"])
def test_rate_networks_run_on_graded_messages(environment, activation):
    network = chain([6, 8, 3], Rate(activation=activation, bias=0.1, gain=1.1, shape=1.3))
    hardware = hardware_of(network, 2, 2)
    phases = phases_of(network, 3, 30, currents=True)
    lava = LavaSimulator()
    given = run(lava, network, hardware, phases, 3)
    lava.close()
    compare(given, run(TorchSimulator(), network, hardware, phases, 3), 1e-12)


def test_the_single_neuron_of_the_nir_paper_in_integers(environment):
    neuron = LIF(threshold=0.1, tau_m_ms=2.5, tau_syn_ms=0)
    network = chain([1, 1], neuron, dt_ms=0.1, max_rate_hz=10_000)
    values = {
        p.field: torch.full((1, 1), float(getattr(neuron, p.field))).double() for p in neuron.parameters
    }
    hardware = Hardware((values,), (values,), (torch.ones(1, 1, 1).double(),), (), {})
    spikes = torch.zeros(1, 1000, 1, dtype=torch.bool)
    spikes[0, list(INPUT_STEPS)] = True
    phase = Phase("p", SpikeDrive(spikes), window(1000, 1000), record=frozenset({"spikes"}))
    start = initial_snapshot(network, hardware, [torch.zeros(1, 1, 1).double()], shadow=False)
    lava = LavaSimulator(arithmetic="fixed")
    found = lava.run(network, hardware, [phase], {"p": start})["p"]
    lava.close()
    assert found.traces["spikes"][0].flatten().nonzero().flatten().tolist() == [461, 511, 711, 761]


def test_options_are_checked(environment):
    with pytest.raises(InputError, match=r"simulator\.arithmetic"):
        LavaSimulator(arithmetic="octal")
    with pytest.raises(InputError, match=r"simulator\.timeout_s"):
        LavaSimulator(timeout_s=0)
    with pytest.raises(UnsupportedError, match=r"simulator\.dtype"):
        LavaSimulator(dtype=torch.float32)
    with pytest.raises(UnsupportedError, match=r"network\.neuron\.model"):
        LavaSimulator(arithmetic="fixed").check(chain([2, 2, 2], [LIF(), Rate()]))


def test_layered_feedback_in_integers_is_refused_with_the_reason(environment):
    network = replace(chain([2, 3, 2], LIF()), feedback=Layered())
    for simulator in (LavaSimulator(arithmetic="fixed"), LoihiSimulator()):
        with pytest.raises(UnsupportedError, match=r"network\.feedback\.name.*no fixed-point form"):
            simulator.check(network)
    LavaSimulator().check(network)


def test_a_missing_environment_is_named(tmp_path):
    with pytest.raises(InputError, match="spiketrain lava install"):
        LavaSimulator(environment=str(tmp_path / "nowhere"))
