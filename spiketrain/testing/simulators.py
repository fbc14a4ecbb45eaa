"""What every simulator must do: the same spikes and voltages as tensors, or a refusal with a reason."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from typing import Any

import torch

from rate_bridge.filters import window
from spiketrain.testing.agreement import agree
from spiketrain.testing.cases import Case, require, skip
from spiketrain.testing.networks import CASES, SMALL
from spiketrain.testing.problems import Problem
from spiking.blocks.snapshots import initial_snapshot
from spiking.hardware import Hardware
from spiking.network import chain
from spiking.neurons import LIF
from spiking.presentation import CurrentDrive, Phase, Recording, SpikeDrive
from spiking.simulators.base import Simulator
from spiking.simulators.torch import TorchSimulator

__all__ = ["check", "exact", "machine", "reference", "simulator_cases", "single_neuron"]


@cache
def reference(case: str) -> tuple[Problem, Mapping[str, Recording]]:
    """Return the problem of a case of `CASES` or `SMALL`, and what tensors make of it."""
    problem = {**CASES, **SMALL}[case]()
    return problem, problem.run(TorchSimulator())


def machine(kind: type[Simulator], **options: Any) -> Simulator:
    """Return a machine of a kind; skip where it does not work here."""
    works, reason = kind.status()
    if not works and not kind.anywhere:
        skip(reason)
    return kind(**{**kind.anywhere, **options})


def exact(kind: type[Simulator], **options: Any) -> Simulator:
    """Return a machine of a kind that computes in float64; skip others."""
    made = machine(kind, **options)
    if made.dtype != torch.float64:
        skip("does not compute in float64")
    return made


def check(case: str, simulator: Simulator) -> None:
    """Raise AssertionError where a machine does otherwise than tensors in a case of `CASES` or `SMALL`."""
    problem, expected = reference(case)
    given = problem.run(simulator)
    for phase in problem.phases:
        require(float(expected[phase.name].traces["spikes"][0].sum()) > 0, "nothing happens")
        agree(problem.network, given[phase.name], expected[phase.name])


INPUT_STEPS = (
    *(60, 220, 270, 310, 320, 350, 370, 400, 410, 430, 440, 450, 460, 470, 480, 490, 500, 510, 520, 530),
    *(670, 680, 690, 700, 710, 720, 730, 740, 750, 760, 770, 780, 840, 850),
)
"""When the input of `single_neuron` spikes."""


def single_neuron(simulator: Simulator, kind: str) -> None:
    """Raise AssertionError where the single neuron of the NIR paper does not spike when it should.

    Source: Pedersen et al. 2024, as in the folder ``paper/01_lif`` of its programs.

    Args:
        simulator: the machine.
        kind: ``spikes`` or ``current``, which acts in its own step.
    """
    late = int(kind == "spikes")
    neuron = LIF(threshold=0.1, tau_m_ms=2.5, tau_syn_ms=0)
    network = chain([1, 1], neuron, dt_ms=0.1, max_rate_hz=10_000)
    values = {
        p.field: torch.full((1, 1), float(getattr(neuron, p.field))).double() for p in neuron.parameters
    }
    one = torch.ones(1, 1, 1, dtype=torch.float64)
    hardware = Hardware((values,), (values,), (one,), (), {})
    pulses = torch.zeros(1, 1000, 1, dtype=torch.bool if late else torch.float64)
    pulses[0, list(INPUT_STEPS)] = 1
    drive = SpikeDrive(pulses) if late else CurrentDrive(pulses)
    phase = Phase("p", drive, window(1000, 1000), record=frozenset({"spikes"}))
    start = initial_snapshot(network, hardware, [torch.zeros(1, 1, 1, dtype=torch.float64)], shadow=False)
    recording = simulator.run(network, hardware, [phase], {"p": start})["p"]
    spikes = recording.traces["spikes"][0].flatten().nonzero().flatten().tolist()
    expected = [step + late for step in (460, 510, 710, 760)]
    require(spikes == expected, f"spikes in the steps {spikes}, not {expected}")


def simulator_cases(kind: type[Simulator], **options: Any) -> list[Case]:
    """Return what every simulator must do, or refuse, as one check per network.

    Args:
        kind: the class.
        options: for its constructor.
    """

    def one(case: str) -> Case:
        return Case(case, lambda: check(case, exact(kind, **options)))

    def alone(drive: str) -> Case:
        name = f"the single neuron of the NIR paper, {drive}"
        return Case(name, lambda: single_neuron(machine(kind, **options), drive))

    return [*(one(case) for case in CASES), alone("spikes"), alone("current")]
