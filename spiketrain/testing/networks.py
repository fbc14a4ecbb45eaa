"""Networks, and what they are shown, that every simulator must run as tensors do."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import cache
from pathlib import Path

import torch
from safetensors.torch import save_file

from rate_bridge.filters import window
from spiketrain.testing.problems import (
    EVERYTHING,
    Problem,
    layered,
    pair,
    random_hardware,
    random_spikes,
    random_start,
    relayed,
)
from spiking.connections import AveragePool2d, Conv2d, OneToOne, Recurrent, Sparse, Unconnected
from spiking.network import Connection, Layer, Network, Source, chain
from spiking.neurons import ALIF, LIF
from spiking.neurons.base import Neuron
from spiking.neurons.rate import Rate
from spiking.presentation import Phase

__all__ = ["CASES", "SMALL"]

NEURON = LIF(bias=0.5)
REFRACTORY = LIF(bias=0.5, refractory_ms=2.0, reset=-0.1)
MIXED = [NEURON, Rate("tanh", gain=2.0, offset=0.1), NEURON]


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


def two_inputs() -> Network:
    """An image through a convolution and past a layer, and a row of values to both layers behind it."""
    layers = (Layer(3 * 3 * 2, REFRACTORY, (3, 3, 2)), Layer(12, REFRACTORY), Layer(4, REFRACTORY))
    connections = (
        Connection(0, 1, 1, Conv2d(channels=2, kernel=3), source="image"),
        Connection(1, 2),
        Connection(2, 3, 2),
        Connection(0, 1, 1, source="row"),
        Connection(0, 2, 1, source="row"),
        Connection(0, 3, 1, source="image"),
    )
    sources = (Source("image", 25, (5, 5)), Source("row", 6))
    return Network(31, layers, connections, sources=sources)


def side_by_side() -> Network:
    """Two populations that the input reaches and that are not joined, and one that both reach."""
    layers = tuple(Layer(size, REFRACTORY) for size in (12, 15, 5))
    chained = (Connection(0, 1), Connection(1, 2, 1, Unconnected()), Connection(2, 3, 2))
    return Network(20, layers, (*chained, Connection(0, 2), Connection(1, 3)))


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
    assert relay is not None
    shared = replace(relay, gates=tuple(curves[:1, :1] for curves in relay.gates))
    problem.hardware = replace(problem.hardware, relay=shared)
    problem.phases = [problem.phases[0], replace(last, after="free")]
    return problem


def without_last(problem: Problem) -> Problem:
    problem.phases = problem.phases[:-1]
    return problem


CASES: Mapping[str, Callable[[], Problem]] = {
    "two chips": lambda: pair(chain([64, 100, 10], NEURON), 2, 5, 100),
    "four chips, dt 0.5": lambda: pair(chain([64, 100, 10], NEURON, dt_ms=0.5), 4, 13, 200, seed=2),
    "784-256-10": lambda: pair(chain([784, 256, 10], NEURON), 1, 3, 60),
    "deep, delayed, recurrent": lambda: pair(loop(), 2, 4, 100),
    "constant currents": lambda: pair(chain([16, 20, 5], REFRACTORY), 2, 3, 80, currents=0),
    "currents in time": lambda: pair(chain([16, 20, 5], REFRACTORY, dt_ms=0.5), 2, 3, 80, currents=1),
    "no controller, injected currents": injected,
    "side by side": lambda: pair(side_by_side(), 2, 3, 60),
    "convolutions": lambda: pair(images(), 2, 3, 80),
    "convolutions, adaptive neurons": lambda: pair(images(neuron=ALIF(bias=1.2)), 2, 3, 60),
    "convolutions, rates": lambda: pair(images(neuron=Rate("sigmoid", gain=1.5)), 2, 3, 60, currents=1),
    "convolutions, layered feedback": lambda: relayed(pair(layered(images(), refresh_ms=4.0), 2, 3, 60)),
    "convolutions, constant currents": lambda: pair(images(), 2, 3, 60, currents=0),
    "convolutions, currents in time, skips": lambda: pair(images(*SKIPS), 2, 3, 60, currents=1),
    "convolutions, skips": lambda: pair(images(*SKIPS), 2, 3, 80),
    "two inputs": lambda: pair(two_inputs(), 2, 3, 60),
    "two inputs, currents in time": lambda: pair(two_inputs(), 2, 3, 60, currents=1),
    "two inputs, constant currents": lambda: pair(two_inputs(), 2, 3, 60, currents=0),
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
"""Networks, drives and phases by name."""

SMALL: Mapping[str, Callable[[], Problem]] = {
    "small, spikes": lambda: pair(chain([20, 15, 5], NEURON), 2, 3, 60),
    "small, currents": lambda: pair(chain([20, 15, 5], REFRACTORY), 2, 3, 60, currents=1),
    "small, rates": lambda: pair(chain([20, 15, 5], [NEURON, Rate("sigmoid", gain=1.5)]), 2, 3, 60),
    "small, layered feedback": lambda: relayed(pair(layered(chain([20, 15, 12, 5], NEURON)), 2, 3, 60)),
    "small, layered feedback, from a free phase on": gates_that_have_seen,
    # Synapses refuse to go on from spikes under way, so the phase that would do so is left out
    "small, delays": lambda: without_last(pair(loop(), 2, 3, 60)),
}
"""The same, for machines that take long."""
