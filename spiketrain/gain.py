"""What a card would gain here: one presentation on it and on the processor."""

from __future__ import annotations

import time
from itertools import pairwise

import torch

from mismatch.chip import ChipPopulation
from mismatch.distributions import Normal
from mismatch.spec import MismatchSpec
from rate_bridge.filters import window
from root.plugins import load
from root.seeds import SeedTree
from spiking.network import chain
from spiking.neurons import LIF
from spiking.presentation import Controller, Phase, SpikeDrive, Weights
from spiking.simulators.base import Simulator

__all__ = ["gained", "speed"]

SIZES, CHIPS, SAMPLES, STEPS = (64, 100, 10), 32, 64, 150
"""A network on digits, shown free and controlled."""


def speed(
    simulator: Simulator,
    *,
    sizes: tuple[int, ...] = SIZES,
    chips: int = CHIPS,
    samples: int = SAMPLES,
    steps: int = STEPS,
    repeats: int = 3,
) -> tuple[float, torch.Tensor]:
    """Return chip-samples a second of two phases, and the rates of the outputs under control.

    Args:
        simulator: what runs them; its first run, which may compile, does not count.
        sizes: layers.
        chips: at once.
        samples: at once.
        steps: of a phase.
        repeats: runs that count.
    """
    network = chain(sizes, LIF(bias=0.5))
    population = ChipPopulation(
        network, MismatchSpec(chips, 1, {"threshold": Normal(cv=0.2)}), simulator, SeedTree(0)
    )
    g, there = torch.Generator().manual_seed(1), simulator.device

    def normal(*shape: int) -> torch.Tensor:
        return torch.randn(chips, *shape, generator=g, dtype=torch.float64).to(there)

    feedback = (normal(*shape) for shape in network.feedback_shapes)
    population.program(
        Weights(
            forward=tuple(2.0 * normal(a, b) / a**0.5 for a, b in pairwise(sizes)),
            bias=tuple(0.5 + 0.1 * normal(size) for size in sizes[1:]),
            feedback=tuple(0.3 * weights for weights in feedback),
        )
    )
    spikes = (torch.rand(samples, steps, sizes[0], generator=g) < 0.05).to(there)
    target = torch.rand(samples, sizes[-1], generator=g, dtype=torch.float64).to(there)
    half = window(steps, steps // 2)
    phases = (
        Phase("free", SpikeDrive(spikes), half, start="one"),
        Phase("controlled", SpikeDrive(spikes), half, Controller(target), start="one"),
    )
    rates = population.present(phases, "warm")["controlled"].rates[-1].cpu()
    began = time.perf_counter()
    for _ in range(repeats):
        population.present(phases, "warm")["controlled"].rates[-1].cpu()  # which waits for a card
    return repeats * chips * samples / (time.perf_counter() - began), rates


def gained() -> str:
    """Return in words what the first card does, and how many times the processor's speed that is."""
    card, rates = speed(load("simulators", "cuda")(device="cuda"))
    here, expected = speed(load("simulators", "compiled")(), repeats=1)
    same = "the same rates" if torch.equal(rates, expected) else "OTHER RATES, which should not be"
    return (
        f"{card:,.0f} chip-samples/s with --device cuda, {card / here:.1f} times the {here:,.0f} of this "
        f"processor's cores ({same})"
    )
