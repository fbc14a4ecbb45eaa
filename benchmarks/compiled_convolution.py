"""What a synaptic event of a convolution costs in the compiled simulator, beside one of a dense layer.

    python benchmarks/compiled_convolution.py [repetitions]

Both lead from an image to as many neurons, which never spike: from 28 by 28 inputs, and from 12 by 12 of 16
channels, of which those of one place reach the same neurons. A presentation without any input spike is taken
off, so that what is left is delivery; the best of the repetitions counts, measured in turns.
"""

from __future__ import annotations

import sys
import time

import torch
from machine import machine
from torch import Tensor

from rate_bridge.filters import window
from spiking.blocks.snapshots import initial_snapshot
from spiking.connections import Conv2d
from spiking.hardware import Hardware
from spiking.network import Connection, Layer, Network, chain
from spiking.neurons import LIF
from spiking.presentation import Phase, SpikeDrive
from spiking.simulators.compiled import CompiledSimulator

BATCH, STEPS, RATE, CHANNELS, KERNEL = 4, 100, 0.2, 16, 5
IMAGES = ((28, 28, 1), (12, 12, 16))

NEURON = LIF(bias=0.0, threshold=1e6)


def networks(image: tuple[int, int, int]) -> dict[str, Network]:
    """Return both networks, of equally many neurons."""
    height, width, before = image
    behind = (height - KERNEL + 1, width - KERNEL + 1, CHANNELS)
    inputs, size = height * width * before, behind[0] * behind[1] * CHANNELS
    layer, kernel = Layer(size, NEURON, behind), Conv2d(channels=CHANNELS, kernel=KERNEL)
    convolution = Network(inputs, (layer,), (Connection(0, 1, 1, kernel),), input_shape=image, dt_ms=1.0)
    return {"convolution": convolution, "dense": chain([inputs, size], NEURON)}


def hardware_of(network: Network) -> Hardware:
    """Return one chip without mismatch, its weights 1."""
    one = torch.ones(1, network.outputs, dtype=torch.float64)
    values = {p.field: NEURON.nominal[p.field] * one for p in NEURON.parameters}
    weights = tuple(torch.ones(1, *synapses.shape, dtype=torch.float64) for synapses in network.synapses)
    return Hardware((values,), (values,), weights, (), {"gain": one, "offset": 0 * one, "kp": one, "ki": one})


def seconds(network: Network, spikes: Tensor) -> float:
    """Return how long a presentation keeps the processor."""
    hardware, simulator = hardware_of(network), CompiledSimulator(dtype=torch.float32, threads=1)
    uniform = [torch.zeros(1, BATCH, network.outputs, dtype=torch.float64)]
    starts = {"free": initial_snapshot(network, hardware, uniform, False)}
    phase = Phase("free", SpikeDrive(spikes), window(STEPS, STEPS))
    begun = time.process_time()  # one thread computes, and others on the machine do not count
    simulator.run(network, hardware, (phase,), starts)
    return time.process_time() - begun


def measure(image: tuple[int, int, int], repetitions: int) -> None:
    """Print nanoseconds per synaptic event of both networks, and their ratio."""
    both = networks(image)
    inputs = both["dense"].inputs
    spikes = torch.rand(BATCH, STEPS, inputs, generator=torch.Generator().manual_seed(0)) < RATE
    silence = torch.zeros_like(spikes)
    best = {(name, some): float("inf") for name in both for some in (False, True)}
    for _ in range(repetitions + 1):  # the first one compiles
        for name, network in both.items():
            for some in (False, True):
                best[name, some] = min(best[name, some], seconds(network, spikes if some else silence))
    costs = {}
    for name, network in both.items():
        events = int(spikes.sum()) * network.synapses[0].count / inputs
        costs[name] = 1e9 * (best[name, True] - best[name, False]) / events
        print(f"{image}, {name}: {costs[name]:.3f} ns per synaptic event")
    print(f"{image}: a convolution takes {costs['convolution'] / costs['dense']:.2f} times as long")


def main(repetitions: int) -> None:
    """Measure for images of one channel and of many."""
    print(machine())
    for image in IMAGES:
        measure(image, repetitions)


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 10)
