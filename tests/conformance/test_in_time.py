"""Inputs that change, samples of unequal length and several windows, on every simulator as on the tensors."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from learning.stimulus import Batch, Stimulus
from rate_bridge.encodings import CurrentEncoding, PhaseEncoding
from rate_bridge.encodings_in_time import DeltaEncoding, EventEncoding
from rate_bridge.filters import window
from rate_bridge.sequences import Events, Series
from root.errors import UnsupportedError
from root.plugins import available, load
from root.seeds import SeedTree
from spiketrain.testing.problems import (
    EVERYTHING,
    Problem,
    layered,
    random_hardware,
    random_start,
    relayed,
)
from spiking.network import Network, chain
from spiking.neurons import LIF
from spiking.neurons.rate import Rate
from spiking.presentation import Controller, Phase
from spiking.simulators.torch import TorchSimulator

STEPS, INPUTS, OUT = 60, 6, 3
OPTIONS = {"brian2": {"mode": "runtime"}}
"""Programs that are built take minutes; that of what changes over time is a case of every suite."""

MACHINES = [name for name in available("simulators") if name != "torch"]
G = np.random.default_rng(3)
LENGTHS = (12, 7, 12, 4)
SERIES = Series.of([G.random((n, INPUTS)) for n in LENGTHS], 5.0)
EVENTS = Events.of(
    [np.sort(G.random(80)) * n * 5.0 for n in LENGTHS], [G.integers(0, INPUTS, 80) for _ in LENGTHS], INPUTS
)

INPUT = {
    "currents": (CurrentEncoding(0.0, 1.5), SERIES),
    "rates": (PhaseEncoding(), SERIES),
    "delta modulation": (DeltaEncoding(0.1), SERIES),
    "events": (EventEncoding(), EVENTS),
}


def shown(given: str, windows: int, neuron=None, *, nudge: bool = False) -> Problem:
    """A free phase with shadows, and a controlled one with a target for every window that counts."""
    encoding, x = INPUT[given]
    network = chain([encoding.lines(INPUTS), 12, OUT], neuron or LIF(bias=0.8))
    stimulus = Stimulus(network, encoding, SeedTree(1), STEPS, 12, "hann", EVERYTHING, windows)
    g = torch.Generator().manual_seed(5)
    one = torch.rand(len(x), OUT, generator=g, dtype=torch.float64)
    batch = stimulus.towards(Batch(x, one), one)
    wanted = torch.rand(batch.target.shape, generator=g, dtype=torch.float64)
    free = stimulus.phase("free", batch, shadow=True)
    hold = Controller(wanted, kp=0.5, ki_per_ms=0.01, trace_at_target=True)
    if nudge:
        hold = replace(hold, nudge_from="free", nudge=0.5)
    push = stimulus.phase("push", batch, controller=hold, shadow=True, after="free" if nudge else None)
    hardware = random_hardware(network, 2, 7)
    phases = [free, push]
    starts = {p.name: random_start(network, hardware, p.batch, 4, shadow=True) for p in phases if not p.after}
    return Problem(network, hardware, phases, starts)


def machine(name: str):
    simulator = load("simulators", name)
    works, why = simulator.status()
    if not works and not simulator.anywhere:
        pytest.skip(why)
    return simulator(**{**simulator.anywhere, **OPTIONS.get(name, {})})


CASES = [("currents", 1), ("rates", 1), ("delta modulation", 3), ("events", 3)]


@pytest.mark.parametrize(("given", "windows"), CASES)
@pytest.mark.parametrize("name", MACHINES)
def test_agrees_with_the_tensors(name, given, windows):
    problem = shown(given, windows, nudge=windows > 1)
    try:
        simulator = machine(name)
        found = problem.run(simulator)
    except UnsupportedError as refused:
        pytest.skip(f"{name}: {refused}")
    assert found["push"].rates[1].shape[1] == len(problem.phases[1].rows[0])
    if simulator.dtype != torch.float64:
        pytest.skip("does not compute in float64")
    wanted = problem.run(TorchSimulator())
    for phase in problem.phases:
        ours, theirs = found[phase.name], wanted[phase.name]
        for a, b in zip(ours.traces["spikes"], theirs.traces["spikes"], strict=True):
            assert torch.equal(a, b)
        for group in ("rates", "basal"):
            for a, b in zip(getattr(ours, group), getattr(theirs, group), strict=True):
                torch.testing.assert_close(a, b, rtol=0, atol=1e-12)
        torch.testing.assert_close(ours.readout, theirs.readout, rtol=0, atol=1e-12)
        if theirs.control is not None:
            torch.testing.assert_close(ours.control, theirs.control, rtol=0, atol=1e-12)


def in_a_row(problem: Problem) -> Problem:
    """The same with layered feedback, and with a phase of one window that goes on from one of several."""
    network = layered(problem.network, refresh_ms=7.0)
    free, push = problem.phases
    last = replace(free, name="last", windows=1, counted=None, after="push", start=None, lengths=None)
    hardware = random_hardware(network, 2, 7)
    starts = {p.name: random_start(network, hardware, p.batch, 4, shadow=True) for p in (free, push)}
    return relayed(Problem(network, hardware, [free, push, last], starts))


def test_windows_in_a_row_are_those_that_are_run_one_by_one():
    """Relayed signals are refreshed, summed up and handed over anew in every window."""
    problem = in_a_row(shown("rates", 3))
    simulator = machine("compiled")
    found, wanted = problem.run(simulator), problem.run(TorchSimulator())
    assert simulator.runs_windows(problem.network)
    for name, theirs in wanted.items():
        ours = found[name]
        for a, b in zip(ours.traces["spikes"], theirs.traces["spikes"], strict=True):
            assert torch.equal(a, b)
        for group in ("rates", "basal", "apical"):
            for a, b in zip(getattr(ours, group), getattr(theirs, group), strict=True):
                torch.testing.assert_close(a, b, rtol=0, atol=1e-12)
        torch.testing.assert_close(ours.readout, theirs.readout, rtol=0, atol=1e-12)
    assert found["push"].apical[0].abs().max() > 0.01


@pytest.mark.parametrize("given", INPUT)
@pytest.mark.parametrize("name", ["compiled", "loihi"])
def test_a_machine_goes_on_from_window_to_window_as_if_there_were_one(name, given):
    """In integers too: spikes of a free presentation in three pieces are those of a whole one."""
    found = []
    for windows in (1, 3):
        problem = shown(given, windows)
        free = replace(problem.phases[0], shadow=False)
        found.append(replace_phases(problem, [free]).run(machine(name))["free"].traces["spikes"])
    for whole, pieces in zip(*found, strict=True):
        assert whole.sum() > 0
        assert torch.equal(whole, pieces)


def test_what_stays_in_the_end_has_no_input_that_changes():
    problem = shown("currents", 1, Rate("sigmoid"))
    with pytest.raises(UnsupportedError, match="an input that changes in time"):
        problem.run(machine("steady"))


class TestOnTheTensors:
    @pytest.mark.parametrize("given", INPUT)
    @pytest.mark.parametrize("windows", [1, 3])
    def test_rates_are_the_means_of_what_was_recorded(self, given, windows):
        problem = shown(given, windows)
        seen = problem.run(TorchSimulator())["free"]
        phase = problem.phases[0]
        sample, number = phase.rows
        size = STEPS // windows
        ends = (SERIES if given != "events" else EVENTS).lengths(1.0).clamp(max=STEPS)
        assert list(zip(sample.tolist(), number.tolist(), strict=True)) == [
            (b, k) for b, end in enumerate(ends.tolist()) for k in range(windows) if k * size < end
        ]
        hann = window(12, 12, "hann")
        for row, (b, k) in enumerate(zip(sample.tolist(), number.tolist(), strict=True)):
            last = min(int(ends[b]), (k + 1) * size)
            weights = hann[max(0, 12 - (last - k * size)) :]
            spikes = seen.traces["spikes"][1][:, b, last - len(weights) : last]
            mean = (weights[:, None] * spikes).sum(1) / weights.sum() * problem.network.spike_value
            torch.testing.assert_close(seen.rates[2][:, row], mean)

    def test_windows_change_nothing_about_what_runs(self):
        """Cut into pieces, a free presentation is the same spike for spike."""
        three, one = shown("rates", 3), shown("rates", 1)
        found = [p.run(TorchSimulator())["free"].traces["voltage"] for p in (three, one)]
        for a, b in zip(*found, strict=True):
            assert torch.equal(a, b)

    def test_a_target_holds_in_its_window(self):
        """A controller that is told the first window's target in all of them does the same until its end."""
        problem = shown("currents", 3)
        push = problem.phases[1]
        sample, number = push.rows
        first = push.controller.target[number == 0][sample]
        held = replace(push, controller=replace(push.controller, target=first))
        found = [
            replace_phases(problem, [p]).run(TorchSimulator())["push"].traces["control"][0]
            for p in (push, held)
        ]
        same = (found[0] == found[1]).all(dim=3)
        assert same[:, :, :20].all()
        assert not same[:, 0, 20:].any()

    def test_rates_without_spikes(self):
        problem = shown("currents", 3, Rate("sigmoid", gain=1.5))
        seen = problem.run(TorchSimulator())["free"]
        assert seen.rates[1].shape == (2, len(problem.phases[0].rows[0]), 12)
        assert all(bool((rate > 0).all()) for rate in seen.rates[1:])

    def test_a_window_may_be_left_out(self):
        problem = shown("rates", 3)
        free = problem.phases[0]
        counted = torch.ones(4, 3, dtype=torch.bool)
        counted[0, 1] = counted[2, 0] = False
        kept = replace(free, counted=counted)
        rows = list(zip(*(places.tolist() for places in free.rows), strict=True))
        there = [row not in ((0, 1), (2, 0)) for row in rows]
        whole, part = (replace_phases(problem, [p]).run(TorchSimulator())["free"] for p in (free, kept))
        assert torch.equal(part.rates[1], whole.rates[1][:, torch.tensor(there)])


def replace_phases(problem: Problem, phases: list[Phase]) -> Problem:
    starts = {phase.name: problem.starts[phase.name] for phase in phases}
    return Problem(problem.network, problem.hardware, phases, starts)


def target_network() -> Network:
    return chain([INPUTS, 4, OUT], LIF(bias=0.8))


class TestTargetsOverTime:
    def stimulus(self, windows: int) -> Stimulus:
        return Stimulus(target_network(), PhaseEncoding(), SeedTree(1), STEPS, 10, windows=windows)

    def test_a_window_wants_the_mean_over_it(self):
        stimulus = self.stimulus(2)  # windows of 10 steps at the ends of 30 and 60
        wanted = Series.of(
            [np.arange(12.0)[:, None] * np.ones(OUT), np.arange(7.0)[:, None] * np.ones(OUT)], 5.0
        )
        batch = stimulus.towards(Batch(SERIES[:2], torch.zeros(0)), wanted)
        assert batch.counted is None
        # sample 1 lasts 35 steps: its second window is 5 long
        assert batch.target[:, 0].tolist() == [4.5, 10.5, 4.5, 6.0]

    def test_nothing_is_wanted_where_the_target_is_no_number(self):
        stimulus = self.stimulus(2)
        values = np.ones((12, OUT))
        values[4:6] = np.nan  # the whole first window
        values[10] = np.nan  # half the second
        values[11] = 0.25
        batch = stimulus.towards(Batch(SERIES[:1], torch.zeros(0)), Series.of([values], 5.0))
        assert batch.counted.tolist() == [[False, True]]
        assert batch.target.tolist() == [[0.25] * OUT]
        assert [place.tolist() for place in stimulus.phase("p", batch).rows] == [[0], [1]]
