"""A controller whose target moves, in every simulator that can; and synapses that learn in every step."""

from dataclasses import replace
from functools import cache

import pytest
import torch

from rate_bridge.filters import window
from root.errors import InputError, UnsupportedError
from root.plugins import available, load
from spiketrain.testing.problems import (
    EVERYTHING,
    Problem,
    random_currents,
    random_hardware,
    random_spikes,
    random_start,
)
from spiking.blocks.block import groups
from spiking.network import Connection, Layer, Network, chain
from spiking.neurons import LI, LIF
from spiking.presentation import Controller, Phase, Plasticity
from spiking.simulators.compiled import CompiledSimulator
from spiking.simulators.compiled.learned_before import learned_before
from spiking.simulators.torch import TorchSimulator

SIZE, STEPS = 30, 300
MACHINES = [(name, {}) for name in available("simulators") if name != "torch"]
MACHINES.append(("brian2", {"mode": "runtime"}))
INSIDE = [
    (name, options) for name, options in MACHINES if "eligibility" in load("simulators", name).abilities
]


def population(delays=(1, 1, 1)):
    """A recurrent population of spiking neurons, read by two that do not spike."""
    spiking = LIF(bias=1.0, refractory_ms=2.0, tau_syn_ms=20.0)
    ends = zip(((0, 1), (1, 2), (1, 1)), delays, strict=True)
    layers = (Layer(SIZE, spiking), Layer(2, LI(tau_m_ms=1.0, tau_syn_ms=20.0)))
    return Network(2, layers, tuple(Connection(*pair, d) for pair, d in ends), max_rate_hz=1000.0)


def taught_before(network, hardware):
    """Return the chips as if all weights onto the population had been learned from feedback."""
    g, weights = torch.Generator().manual_seed(7), list(hardware.weights)
    for index, connection in enumerate(network.connections):
        if connection.post == 1:
            shape = (*weights[index].shape[:2], network.outputs)
            before = 0.3 * torch.randn(shape, generator=g, dtype=torch.float64)
            weights[index] = hardware.synapses[index] * (before @ hardware.feedback[0])
    return replace(hardware, weights=tuple(weights))


def problem(network, *, chips=2, batch=1, spikes=False, shadow=False, plasticity=None, earlier=False):
    """A phase under control with a target on a circle, and a free one that goes on from it."""
    hardware = random_hardware(network, chips, 1)
    g = torch.Generator().manual_seed(3)
    factors = [1 + 0.2 * torch.randn(w.shape, generator=g, dtype=torch.float64) for w in hardware.weights]
    hardware = replace(hardware, synapses=tuple(factors))
    hardware = taught_before(network, hardware) if earlier else hardware
    drive = (random_spikes if spikes else random_currents)(network, batch, STEPS, 1)
    after = (random_spikes if spikes else random_currents)(network, batch, 80, 5)
    phase = torch.arange(STEPS, dtype=torch.float64) / 50 + torch.arange(batch).view(-1, 1)
    circle = 0.5 + 0.5 * torch.stack([phase.sin(), phase.cos()] * 3, -1)[..., : network.outputs]
    loop = Controller(circle, kp=2.0, ki_per_ms=0.01, leak_per_ms=0.001, moves=True)
    first = Phase("held", drive, window(STEPS, STEPS - 50), loop, shadow, record=EVERYTHING)
    phases = [
        replace(first, plasticity=plasticity),
        Phase("free", after, window(80, 40), after="held", record=EVERYTHING),
    ]
    return Problem(
        network, hardware, phases, {"held": random_start(network, hardware, batch, 4, shadow=shadow)}
    )


def beside():
    """A phase under control and one in open loop, side by side, whose inputs and lengths are the same."""
    found = problem(chain([4, 12, 6, 3], LIF(bias=0.9, refractory_ms=2.0)), batch=2, spikes=True)
    held = found.phases[0]
    free = replace(held, name="free", controller=None)
    return Problem(
        found.network, found.hardware, [free, held], dict.fromkeys(("free", "held"), found.starts["held"])
    )


PROBLEMS = {
    "beside": beside,
    "held": lambda: problem(chain([4, 12, 6, 3], LIF(bias=0.9, refractory_ms=2.0)), batch=2, spikes=True),
    "mixed": lambda: problem(population(), batch=2),
    "mixed, late": lambda: problem(population((2, 3, 2)), batch=2, spikes=True, shadow=True),
}


def agree(found, wanted):
    """Spike for spike, and to 1e-12 in everything else that was recorded."""
    for name, recording in wanted.items():
        for what, parts in recording.traces.items():
            for ours, theirs in zip(found[name].traces[what], parts, strict=True):
                torch.testing.assert_close(ours, theirs, rtol=1e-10, atol=1e-12, msg=f"{name}: {what}")
        for ours, theirs in zip(found[name].rates, recording.rates, strict=True):
            torch.testing.assert_close(ours, theirs, rtol=1e-10, atol=1e-12)
        for ours, theirs in zip(found[name].basal, recording.basal, strict=True):
            torch.testing.assert_close(ours, theirs, rtol=1e-10, atol=1e-12)
        for ours, theirs in zip(found[name].changes, recording.changes, strict=True):
            torch.testing.assert_close(ours.weight, theirs.weight, rtol=1e-9, atol=1e-13)
            torch.testing.assert_close(ours.bias, theirs.bias, rtol=1e-9, atol=1e-13)


@pytest.mark.parametrize("case", PROBLEMS)
@pytest.mark.parametrize(("machine", "options"), MACHINES, ids=str)
def test_a_target_that_moves_is_the_same_in_every_simulator(machine, options, case):
    cls = load("simulators", machine)
    usable, why = cls.status()
    if not usable:
        pytest.skip(why)
    given = PROBLEMS[case]()
    try:
        found = given.run(cls(**options))
    except (UnsupportedError, InputError) as error:
        pytest.skip(str(error))
    wanted = given.run(TorchSimulator())
    assert sum(float(spikes.sum()) for spikes in wanted["held"].traces["spikes"]) > 100
    agree(found, wanted)


def test_what_runs_beside_a_moving_target_is_what_runs_alone():
    """An open loop beside a closed one takes one block, and comes out as by itself."""
    given = beside()
    together = given.run(TorchSimulator())
    for phase in given.phases:
        alone = replace(given, phases=[phase], starts={phase.name: given.starts[phase.name]})
        agree(alone.run(TorchSimulator()), {phase.name: together[phase.name]})
    resting = Controller(torch.zeros(2, 3, dtype=torch.float64), kp=2.0, ki_per_ms=0.0)
    still = replace(given.phases[1], name="still", controller=resting)
    found = groups([*given.phases, still])
    assert [[phase.name for phase in group] for group in found] == [["free", "held"], ["still"]]


def test_the_moving_target_is_that_of_each_step():
    """Against a controller without an integral whose target is set by hand, step after step."""
    given = problem(population())
    held = given.phases[0].controller
    plain = replace(held, ki_per_ms=0.0)
    given.phases = [replace(given.phases[0], controller=plain)]
    seen = given.run(TorchSimulator())["held"].traces
    before = torch.cat([torch.zeros(2, 1, 1, 2), seen["readout"][0][:, :, :-1]], dim=2).double()
    read = {name: value[:, None, None] for name, value in given.hardware.readout.items()}
    wanted = held.kp * read["kp"] * (held.target - (read["gain"] * before + read["offset"]))
    torch.testing.assert_close(seen["control"][0], wanted, rtol=1e-12, atol=1e-12)


LEARNING = {
    "sums alone": {"plasticity": Plasticity(0, 20.0)},
    "sums alone, three samples": {"plasticity": Plasticity(0, 20.0), "batch": 3},
    "synapses and biases": {"plasticity": Plasticity(1, 20.0, (2.5, 0.0, 0.25)), "batch": 2},
    "all at once": {
        "plasticity": Plasticity(1, 20.0, (2.5, 0.0, 0.25), biases=False, from_first_spike=False)
    },
    "going on with what was learned": {
        "plasticity": Plasticity(1, 20.0, (2.5, 0.0, 0.25), biases=False, from_first_spike=False),
        "batch": 2,
        "earlier": True,
    },
    "outputs too": {"plasticity": Plasticity(1, 20.0, (2.5, 2.5, 0.25), biases=False), "batch": 2},
    "spikes in, late": {"plasticity": Plasticity(1, 20.0, (2.5, 0.0, 0.25), biases=False), "spikes": True},
}


@cache
def learned(case):
    """Return a problem whose synapses learn, and what tensors make of it."""
    given = problem(population((2, 3, 2) if "late" in case else (1, 1, 1)), **LEARNING[case])
    return given, given.run(TorchSimulator())


@pytest.mark.parametrize("case", LEARNING)
@pytest.mark.parametrize(("machine", "options"), INSIDE, ids=str)
def test_synapses_learn_in_every_step_what_tensors_learn(machine, options, case):
    cls = load("simulators", machine)
    usable, why = cls.status()
    if not usable:
        pytest.skip(why)
    given, wanted = learned(case)
    assert float(wanted["held"].changes[0].weight.abs().max()) > 1e-3
    agree(given.run(cls(**options)), wanted)


def test_weights_that_were_learned_are_told_from_others():
    network = population()
    hardware = problem(network, earlier=True).hardware
    weights, factor, feedback = hardware.weights[2], hardware.synapses[2], hardware.feedback[0]
    before = learned_before(weights, factor, feedback, 1e-12)
    torch.testing.assert_close(factor * (before @ feedback), weights, rtol=1e-9, atol=1e-12)
    other = weights.clone()
    other[1, 3, 4] += 1e-6
    assert learned_before(other, factor, feedback, 1e-12) is None
    dead = factor.clone()
    dead[0, 2, 5] = 0.0  # says nothing, and gives nothing
    again = learned_before(dead * (before @ feedback), dead, feedback, 1e-12)
    torch.testing.assert_close(again, before, rtol=1e-9, atol=1e-12)
    assert not learned_before(0 * weights, factor, feedback, 1e-12).any()


def test_learning_changes_what_the_network_does():
    still = problem(population()).run(TorchSimulator())
    learned = problem(population(), **LEARNING["synapses and biases"] | {"batch": 1}).run(TorchSimulator())
    assert not torch.equal(still["held"].traces["spikes"][0], learned["held"].traces["spikes"][0])


def test_synapses_that_samples_share_step_by_step_are_refused():
    given = problem(population(), batch=2, plasticity=Plasticity(2, 20.0, (1.0, 0.0, 1.0)))
    with pytest.raises(UnsupportedError, match=r"training\.batch: got 2; allowed: 1"):
        given.run(CompiledSimulator())


def test_targets_that_move_are_told_apart_by_name():
    target = torch.zeros(1, 10, 2, dtype=torch.float64)
    with pytest.raises(InputError, match="does not change over time, unless"):
        Phase(
            "p",
            random_currents(population(), 3, 10, 1),
            window(10, 5),
            Controller(target.expand(3, -1, -1)[None]),
        )
    with pytest.raises(InputError, match="target that moves"):
        Controller(target, moves=True, nudge_from="free")
    with pytest.raises(InputError, match="without trace_ms"):
        Plasticity(biases=False)
    with pytest.raises(InputError, match=r"from_first_spike.*without trace_ms"):
        Plasticity(from_first_spike=False)
