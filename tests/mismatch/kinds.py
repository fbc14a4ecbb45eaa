"""One example of every registered kind of imperfection, and chips to try it on."""

from __future__ import annotations

from pathlib import Path

import torch

from mismatch.chip import ChipPopulation
from mismatch.distributions import Normal
from mismatch.spec import MismatchSpec
from rate_bridge.filters import window
from root.seeds import SeedTree
from spiketrain.config import building
from spiking.network import chain
from spiking.neurons import LIF
from spiking.presentation import Controller, Phase, SpikeDrive, Weights
from spiking.simulators.torch import TorchSimulator

HERE = Path(__file__).parent

EXAMPLES = {
    "clipping": {"range": 0.5},
    "conductance_drift": {"nu": 0.05, "nu_std": 0.01, "t0_ms": 10.0},
    "dead_zone": {"smallest": 0.3},
    "endurance": {"writes": 2.0, "cv": 0.2},
    "faults": {"dead": 0.2, "firing": 0.2, "stuck_zero": 0.2, "stuck_on": 0.1, "rows": 0.1, "columns": 0.1},
    "measured": {"file": str(HERE / "measured_lif.csv")},
    "membrane_noise": {"density": 1.0},
    "random_walk": {"std": {"threshold": 0.1, "tau_m": 0.1}, "tau_s": 0.05},
    "read_noise": {"std": 0.2},
    "resolution": {"bits": 3, "range": 2.0},
    "temperature": {"coefficients": {"threshold": -0.02, "bias": 0.01}, "tau_s": 0.05},
    "updates": {"range": 3.0, "spread": 0.5, "asymmetry": 0.1, "nonlinearity": 1.0},
    "write_noise": {"std": 0.1},
}

ON_RATE_NEURONS = {
    "measured": {"file": str(HERE / "measured_rate.csv")},
    "random_walk": {"std": {"gain": 0.1, "shape": 0.1}, "tau_s": 0.05},
    "temperature": {"coefficients": {"saturation": -0.02, "bias": 0.01}, "tau_s": 0.05},
}

NETWORK = chain([12, 10, 4], LIF(bias=0.8))


def examples(neuron):
    """Return an example of every kind for networks of ``lif`` or ``rate`` neurons."""
    return EXAMPLES if neuron == "lif" else EXAMPLES | ON_RATE_NEURONS


def kind(name, options=None):
    return building.build_named(
        "imperfections", name, EXAMPLES[name] if options is None else options, "mismatch"
    )


DEVIATIONS = {"threshold": Normal(0.1), "weight": Normal(0.2)}


def population(
    *names, chips=3, first_chip=0, network=NETWORK, simulator=None, seed=1, deviations=DEVIATIONS, **more
):
    """Return chips with the kinds called `names` (or given as objects) and some static mismatch."""
    imperfections = {n: kind(n) for n in names} | more
    spec = MismatchSpec(chips, seed, deviations, first_chip, imperfections=imperfections)
    return ChipPopulation(network, spec, simulator or TorchSimulator(), SeedTree(0))


def weights(chips=3, *, network=NETWORK, seed=0, scale=1.0):
    """Return the same random program for every chip."""
    g = torch.Generator().manual_seed(seed)

    def one(*shape):
        return (scale * torch.randn(*shape, generator=g, dtype=torch.float64)).expand(chips, *shape).clone()

    sizes = network.sizes
    return Weights(
        forward=tuple(one(sizes[c.pre], sizes[c.post]) for c in network.connections),
        bias=tuple(torch.full((chips, layer.size), 0.8, dtype=torch.float64) for layer in network.layers),
        feedback=tuple(one(network.outputs, layer.size) for layer in network.layers),
    )


def phases(steps=40, batch=3, *, network=NETWORK, shadow=True):
    """Return a free and a controlled phase."""
    g = torch.Generator().manual_seed(7)
    spikes = torch.rand(batch, steps, network.inputs, generator=g) < 0.2
    target = torch.rand(batch, network.outputs, generator=g, dtype=torch.float64)
    half = window(steps, steps // 2)
    return (
        Phase("free", SpikeDrive(spikes), half, shadow=shadow),
        Phase("controlled", SpikeDrive(spikes), half, Controller(target), shadow=shadow),
    )


def history(chips, *, rounds=3, network=NETWORK, count=None):
    """Program and present a few times, as training does; return everything that was observed."""
    seen = []
    for number in range(rounds):
        chips.program(weights(count or chips.chips, network=network, seed=number, scale=0.7))
        chips.advance(50.0)
        observation = chips.present(phases(network=network), "batch", number)
        for recording in observation.values():
            seen += [*recording.rates[1:], *recording.basal, recording.readout]
    return seen
