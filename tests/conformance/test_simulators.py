"""One suite over every registered simulator: the same spikes and voltages as the tensor reference.

A new simulator joins by being registered. A case that it cannot express, or a machine that does not
work here, is skipped with the simulator's own reason.
"""

import tempfile
from dataclasses import replace
from functools import cache
from pathlib import Path

import pytest
import torch
from problems import (
    EVERYTHING,
    Problem,
    layered,
    pair,
    random_hardware,
    random_spikes,
    random_start,
    relayed,
)
from safetensors.torch import save_file

from rate_bridge.errors import UnsupportedError
from rate_bridge.filters import window
from rate_bridge.plugins import available, load
from spiking.connections import AveragePool2d, Conv2d, OneToOne, Recurrent, Sparse
from spiking.hardware import Hardware
from spiking.network import Connection, Layer, Network, chain
from spiking.neurons import ALIF, LIF
from spiking.neurons.base import Neuron
from spiking.neurons.rate import Rate
from spiking.presentation import CurrentDrive, Phase, SpikeDrive
from spiking.simulators.snapshots import initial_snapshot
from spiking.simulators.torch import TorchSimulator

REFERENCE = "torch"
NEURON = LIF(bias=0.5)
REFRACTORY = LIF(bias=0.5, refractory_ms=2.0, reset=-0.1)
MIXED = [NEURON, Rate("tanh", gain=2.0, offset=0.1), NEURON]

MACHINES = [(name, {}) for name in available("simulators") if name != REFERENCE]
IN_NUMPY = [("brian2", {"mode": "runtime"}), ("brian2", {"mode": "synapses"})]


def loop() -> Network:
    """Three hidden layers, delays of 1 to 3 steps, a connection back and one that skips a layer."""
    chained = chain([20, 30, 25, 20, 5], REFRACTORY, delay_steps=[1, 2, 3, 1])
    extra = (Connection(3, 1, 2), Connection(1, 3, 1))
    return Network(chained.inputs, chained.layers, chained.connections + extra)


@cache
def listed() -> Sparse:
    """Synapses in a file, some neurons with none."""
    path = Path(tempfile.mkdtemp()) / "synapses.safetensors"
    places = torch.randperm(4 * 60, generator=torch.Generator().manual_seed(4))[:70]
    save_file({"pre": places // 60, "post": places % 60}, path)
    return Sparse(str(path))


def images(*extra: Connection, neuron: Neuron = REFRACTORY) -> Network:
    """Convolutions, means, neurons one by one, a list, loops and delays."""
    populations = (
        Layer(4 * 5 * 3, neuron, (4, 5, 3)),
        Layer(4 * 5 * 3, neuron, (4, 5, 3)),
        Layer(2 * 2 * 4, neuron, (2, 2, 4)),
        Layer(1 * 1 * 4, neuron, (1, 1, 4)),
        Layer(5, neuron),
    )
    connections = (
        Connection(0, 1, 1, Conv2d(channels=3, kernel=3)),
        Connection(1, 2, 2, OneToOne()),
        Connection(2, 3, 1, Conv2d(channels=4, kernel=2, stride=2)),
        Connection(3, 4, 3, AveragePool2d(2)),
        Connection(4, 5),
        Connection(3, 3, 2, Recurrent()),
        Connection(3, 1, 1),
        Connection(4, 2, 1, listed()),
        *extra,
    )
    return Network(6 * 7, populations, connections, input_shape=(6, 7))


SKIPS = (Connection(0, 3, 3, Conv2d(channels=4, kernel=3, stride=3)), Connection(0, 5, 2))
"""Further connections from the input."""


def injected() -> Problem:
    """Free phases with injected currents, one of them different on every chip; no shadows."""
    network, batch, steps = chain([64, 100, 10], NEURON), 5, 80
    hardware = random_hardware(network, 2, 7)
    g = torch.Generator().manual_seed(3)
    current = torch.rand(batch, 100, generator=g, dtype=torch.float64)
    own = torch.rand(2, batch, 10, generator=g, dtype=torch.float64)
    phases = [
        Phase("free", random_spikes(network, batch, steps, 1), window(steps, 40), record=EVERYTHING),
        Phase(
            "pushed",
            random_spikes(network, batch, steps, 2),
            window(steps, 40),
            currents=(current, own),
            record=EVERYTHING,
        ),
    ]
    starts = {p.name: random_start(network, hardware, batch, 4, shadow=False) for p in phases}
    return Problem(network, hardware, phases, starts)


def gates_that_have_seen() -> Problem:
    """Layered feedback that begins where a free phase has ended, through gates that all neurons share."""
    problem = relayed(pair(layered(chain([20, 15, 12, 5], NEURON), refresh_ms=7.0), 2, 3, 60))
    relay, last = problem.hardware.relay, problem.phases[2]
    shared = replace(relay, gates=tuple(curves[:1, :1] for curves in relay.gates))
    problem.hardware = replace(problem.hardware, relay=shared)
    problem.phases = [problem.phases[0], replace(last, after="free")]
    return problem


def without_last(problem: Problem) -> Problem:
    problem.phases = problem.phases[:-1]
    return problem


CASES = {
    "two chips": lambda: pair(chain([64, 100, 10], NEURON), 2, 5, 100),
    "four chips, dt 0.5": lambda: pair(chain([64, 100, 10], NEURON, dt_ms=0.5), 4, 13, 200, seed=2),
    "784-256-10": lambda: pair(chain([784, 256, 10], NEURON), 1, 3, 60),
    "deep, delayed, recurrent": lambda: pair(loop(), 2, 4, 100),
    "constant currents": lambda: pair(chain([16, 20, 5], REFRACTORY), 2, 3, 80, currents=0),
    "currents in time": lambda: pair(chain([16, 20, 5], REFRACTORY, dt_ms=0.5), 2, 3, 80, currents=1),
    "no controller, injected currents": injected,
    "convolutions": lambda: pair(images(), 2, 3, 80),
    "convolutions, adaptive neurons": lambda: pair(images(neuron=ALIF(bias=1.2)), 2, 3, 60),
    "convolutions, rates": lambda: pair(images(neuron=Rate("sigmoid", gain=1.5)), 2, 3, 60, currents=1),
    "convolutions, layered feedback": lambda: relayed(pair(layered(images(), refresh_ms=4.0), 2, 3, 60)),
    "convolutions, constant currents": lambda: pair(images(), 2, 3, 60, currents=0),
    "convolutions, currents in time, skips": lambda: pair(images(*SKIPS), 2, 3, 60, currents=1),
    "convolutions, skips": lambda: pair(images(*SKIPS), 2, 3, 80),
    "layered feedback": lambda: relayed(
        pair(layered(chain([30, 40, 25, 20, 5], NEURON), refresh_ms=10.0), 2, 4, 100)
    ),
    "layered feedback, held neurons, every step": lambda: relayed(
        pair(layered(loop(), refresh_ms=1.0, trace_ms=15.0), 2, 3, 80)
    ),
    "layered feedback, currents, no shadows": lambda: relayed(
        pair(
            layered(chain([16, 20, 12, 5], NEURON, dt_ms=0.5), refresh_ms=3.5),
            2,
            3,
            90,
            currents=1,
            shadow=False,
        )
    ),
    "layered feedback, spiking and rate layers": lambda: relayed(
        pair(layered(chain([16, 20, 12, 5], MIXED)), 2, 3, 80)
    ),
    "layered feedback, from a free phase on": gates_that_have_seen,
    "spiking and rate layers": lambda: pair(chain([16, 20, 12, 5], MIXED, delay_steps=[1, 1, 2]), 2, 3, 80),
}

SMALL_CASES = {
    "spikes": lambda: pair(chain([20, 15, 5], NEURON), 2, 3, 60),
    "currents": lambda: pair(chain([20, 15, 5], REFRACTORY), 2, 3, 60, currents=1),
    "rates": lambda: pair(chain([20, 15, 5], [NEURON, Rate("sigmoid", gain=1.5)]), 2, 3, 60),
    "layered feedback": lambda: relayed(pair(layered(chain([20, 15, 12, 5], NEURON)), 2, 3, 60)),
    "layered feedback, from a free phase on": gates_that_have_seen,
    # Synapses refuse to go on from spikes under way, so the phase that would do so is left out
    "delays": lambda: without_last(pair(loop(), 2, 3, 60)),
}


@cache
def reference(suite: str, case: str):
    problem = {"cases": CASES, "small": SMALL_CASES}[suite][case]()
    return problem, problem.run(TorchSimulator())


def machine(name, options):
    kind = load("simulators", name)
    works, reason = kind.status()
    if not works and not kind.anywhere:
        pytest.skip(reason)
    return kind(**{**kind.anywhere, **options})


def check(suite, case, name, options):
    problem, expected = reference(suite, case)
    simulator = machine(name, options)
    if simulator.dtype != torch.float64:
        pytest.skip("does not compute in float64")
    try:
        given = problem.run(simulator)
    except UnsupportedError as error:
        pytest.skip(str(error))
    for phase in problem.phases:
        compare(problem.network, given[phase.name], expected[phase.name])


def compare(network, given, expected):
    """Spike for spike, and 1e-12 in everything else."""
    assert set(given.traces) == set(expected.traces)
    for index, layer in enumerate(network.layers):
        if layer.neuron.emits_spikes:
            assert torch.equal(given.traces["spikes"][index], expected.traces["spikes"][index])
    assert expected.traces["spikes"][0].sum() > 0
    for name, traces in expected.traces.items():
        for ours, theirs in zip(given.traces[name], traces, strict=True):
            torch.testing.assert_close(ours, theirs, rtol=0, atol=1e-12)
    for ours, theirs in zip(given.rates + given.basal, expected.rates + expected.basal, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=0, atol=1e-12)
    assert (given.control is None) == (expected.control is None)
    if expected.control is not None:
        torch.testing.assert_close(given.control, expected.control, rtol=0, atol=1e-12)
    torch.testing.assert_close(given.readout, expected.readout, rtol=0, atol=1e-12)
    for ours, theirs in zip(given.apical, expected.apical, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=0, atol=1e-12)


@pytest.mark.parametrize(("name", "options"), MACHINES, ids=[name for name, _ in MACHINES])
@pytest.mark.parametrize("case", CASES)
def test_the_same_spikes_and_voltages(case, name, options):
    check("cases", case, name, options)


@pytest.mark.parametrize(("name", "options"), IN_NUMPY, ids=[o["mode"] for _, o in IN_NUMPY])
@pytest.mark.parametrize("case", SMALL_CASES)
def test_the_same_without_a_compiler_and_with_plain_synapses(case, name, options):
    check("small", case, name, options)


def test_the_phases_differ_so_that_comparing_them_means_something():
    _, expected = reference("cases", "two chips")
    free, controlled = expected["free"], expected["controlled"]
    assert not torch.equal(free.rates[1], controlled.rates[1])
    assert not torch.equal(free.basal[0], free.rates[1])
    assert not torch.equal(free.rates[1][0], free.rates[1][1])


# the single neuron of the NIR paper (Pedersen et al. 2024), as in its folder paper/01_lif

INPUT_STEPS = (
    *(60, 220, 270, 310, 320, 350, 370, 400, 410, 430, 440, 450, 460, 470, 480, 490, 500, 510, 520, 530),
    *(670, 680, 690, 700, 710, 720, 730, 740, 750, 760, 770, 780, 840, 850),
)
EVERYONE = [(name, {}) for name in available("simulators")]


@pytest.mark.parametrize(("name", "options"), EVERYONE, ids=[name for name, _ in EVERYONE])
@pytest.mark.parametrize(("drive", "late"), [(CurrentDrive, 0), (SpikeDrive, 1)])
def test_the_single_neuron_of_the_nir_paper(name, options, drive, late):
    neuron = LIF(threshold=0.1, tau_m_ms=2.5, tau_syn_ms=0)
    network = chain([1, 1], neuron, dt_ms=0.1, max_rate_hz=10_000)
    values = {
        p.field: torch.full((1, 1), float(getattr(neuron, p.field))).double() for p in neuron.parameters
    }
    one = torch.ones(1, 1, 1, dtype=torch.float64)
    hardware = Hardware((values,), (values,), (one,), (), {})
    pulses = torch.zeros(1, 1000, 1, dtype=torch.bool if late else torch.float64)
    pulses[0, list(INPUT_STEPS)] = 1
    phase = Phase("p", drive(pulses), window(1000, 1000), record=frozenset({"spikes"}))
    start = initial_snapshot(network, hardware, [torch.zeros(1, 1, 1, dtype=torch.float64)], shadow=False)
    simulator = machine(name, options)
    try:
        recording = simulator.run(network, hardware, [phase], {"p": start})["p"]
    except UnsupportedError as error:
        pytest.skip(str(error))
    spikes = recording.traces["spikes"][0].flatten().nonzero().flatten().tolist()
    assert spikes == [step + late for step in (460, 510, 710, 760)]
