"""Speed of the compiled simulator for inputs that change, beside that for inputs that stand still.

    python benchmarks/compiled_in_time.py [repetitions]

Free and controlled presentations side by side, on one thread, each kind of input in turns with the one that
stands still: what is printed are medians of paired ratios of processor time, 1 for the same speed.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Mapping
from statistics import median

import numpy as np
import torch
from compiled_presentation import hardware
from machine import machine

from learning.stimulus import Batch, Stimulus
from rate_bridge.encodings import CurrentEncoding, Encoding, PhaseEncoding
from rate_bridge.sequences import Samples, Series
from root.seeds import SeedTree
from spiking.blocks.snapshots import initial_snapshot
from spiking.network import Network, chain
from spiking.neurons import LIF
from spiking.presentation import Controller, Phase
from spiking.simulators.compiled import CompiledSimulator

BATCH, STEPS, CHIPS = 32, 300, 2

SIZES = ((12, 200, 9), (64, 100, 10))

HELD_MS = 20.0
"""How long a value over time is held."""


def presentations(
    network: Network, encoding: Encoding, x: Samples, windows: int, *, moves: bool = False
) -> tuple[Phase, ...]:
    """Return a free phase and a controlled one, whose target may move in every step."""
    size = STEPS // windows
    stimulus = Stimulus(network, encoding, SeedTree(1), STEPS, size // 2, windows=windows)
    target = torch.full((BATCH, network.outputs), 0.4, dtype=torch.float64)
    batch = stimulus.towards(Batch(x, target), target)
    controller = Controller(batch.target, kp=0.3, ki_per_ms=0.0)
    if moves:
        times = torch.arange(STEPS, dtype=torch.float64).view(1, -1, 1)
        course = 0.4 + 0.3 * torch.sin(times / 30.0).expand(BATCH, -1, network.outputs)
        controller = Controller(course, kp=0.3, ki_per_ms=0.0, moves=True)
    return stimulus.phase("free", batch), stimulus.phase("push", batch, controller=controller)


def kinds(sizes: tuple[int, ...]) -> Mapping[str, tuple[Phase, ...]]:
    """Return what is shown, by what is special about it; the first of each kind of input stands still."""
    network = chain(sizes, LIF(bias=1.0))
    g = np.random.default_rng(0)
    number = round(STEPS / HELD_MS)
    moving = Series.of([g.random((number, sizes[0])) for _ in range(BATCH)], HELD_MS)
    ends = [int(n) for n in g.integers(number // 4, number + 1, BATCH)]
    ragged = Series.of([g.random((n, sizes[0])) for n in ends], HELD_MS)
    still = torch.from_numpy(g.random((BATCH, sizes[0])))
    current, phase = CurrentEncoding(), PhaseEncoding()
    return {
        "currents": presentations(network, current, still, 1),
        "currents, held 20 ms": presentations(network, current, moving, 1),
        "currents, held 20 ms, unequal lengths": presentations(network, current, ragged, 1),
        "currents, held 20 ms, 5 windows with targets": presentations(network, current, moving, 5),
        "rates": presentations(network, phase, still, 1),
        "rates over time": presentations(network, phase, moving, 1),
        "rates, a target that moves": presentations(network, phase, still, 1, moves=True),
        "rates over time, a target that moves": presentations(network, phase, moving, 1, moves=True),
        "rates over time, 5 windows with targets": presentations(network, phase, moving, 5),
    }


def main(repetitions: int) -> None:
    """Measure, and print the ratios."""
    print(machine())
    for sizes in SIZES:
        network = chain(sizes, LIF(bias=1.0))
        chips = hardware(network, torch.Generator().manual_seed(1), CHIPS)
        simulator = CompiledSimulator(dtype=torch.float32, threads=1)
        shown = kinds(sizes)
        starts = {}
        for name, phases in shown.items():
            g = torch.Generator().manual_seed(2)
            uniform = [
                torch.rand(CHIPS, BATCH, layer.size, generator=g, dtype=torch.float64)
                for layer in network.layers
            ]
            starts[name] = {p.name: initial_snapshot(network, chips, uniform, False) for p in phases}
            simulator.run(network, chips, phases, starts[name])
        seconds: dict[str, list[float]] = {name: [] for name in shown}
        for _ in range(repetitions):
            for name, phases in shown.items():
                begin = time.process_time()
                simulator.run(network, chips, phases, starts[name])
                seconds[name].append(time.process_time() - begin)
        print("-".join(map(str, sizes)))
        for name, found in seconds.items():
            still = seconds["currents" if name.startswith("currents") else "rates"]
            ratio = median(a / b for a, b in zip(still, found, strict=True))
            print(
                f"  {name:46s} {1e3 * median(found) / (2 * BATCH * CHIPS):.3f} ms a sample, speed {ratio:.2f}"
            )


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 30)
