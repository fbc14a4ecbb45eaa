"""The refractory convention: the least interval between two spikes is the refractory time plus one step."""

from __future__ import annotations

import pytest
import torch

from mismatch.chip import ChipPopulation
from mismatch.spec import MismatchSpec
from root.plugins import load
from root.seeds import SeedTree
from spiking.network import chain
from spiking.neurons import LIF
from spiking.presentation import CurrentDrive, Phase, Weights


def intervals(simulator: str, refractory_ms: float, dt_ms: float) -> list[int]:
    """Return the steps between the spikes of a neuron that is driven to spike whenever it can."""
    network = chain([1, 1], LIF(refractory_ms=refractory_ms, tau_m_ms=2.0), dt_ms=dt_ms)
    chips = ChipPopulation(network, MismatchSpec(), load("simulators", simulator)(), SeedTree(0))
    one = torch.ones(1, 1, 1, dtype=torch.float64)
    chips.program(Weights(forward=(one,), bias=(one[0] * 12.0,)))
    drive = CurrentDrive(torch.zeros(1, 1, dtype=torch.float64))
    window = torch.ones(40, dtype=torch.float64)
    seen = chips.present([Phase("free", drive, window, record=frozenset({"spikes"}))], "test")["free"]
    times = seen.traces["spikes"][0].flatten().nonzero().flatten()
    return [int(interval) for interval in times.diff().unique()]


@pytest.mark.parametrize("simulator", ["torch", "compiled", "loihi"])
@pytest.mark.parametrize(("refractory_ms", "dt_ms", "steps"), [(0.0, 1.0, 0), (3.0, 1.0, 3), (1.3, 0.5, 3)])
def test_the_least_interval(simulator: str, refractory_ms: float, dt_ms: float, steps: int) -> None:
    assert intervals(simulator, refractory_ms, dt_ms) == [steps + 1]
