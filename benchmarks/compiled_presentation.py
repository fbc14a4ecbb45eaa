"""Speed of the compiled simulator: milliseconds per sample and chip of one presentation.

Prints processor time and elapsed time on one thread, and the gain of a second thread, measured in turns
in the same run, each the best of several repetitions (on a busy machine only processor time tells
something): ``python benchmarks/compiled_presentation.py [repetitions]``. Everything that
`Simulator.run` does is in it, not the kernel alone.
"""

from __future__ import annotations

import math
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise

import torch
from torch import Tensor

from rate_bridge.filters import window
from spiking.hardware import Hardware
from spiking.network import Network, chain
from spiking.neurons import LIF
from spiking.presentation import Controller, CurrentDrive, Phase, SpikeDrive
from spiking.simulators.base import initial_snapshot
from spiking.simulators.compiled import CompiledSimulator

BATCH = 64


@dataclass(frozen=True)
class Case:
    """A network, how long it is shown to a chip, and the figure to reach.

    Args:
        sizes: of the layers.
        steps: of the presentation.
        current: whether the inputs are constant currents rather than spikes.
        dtype: what is computed with.
        target_ms: the figure to reach, per sample.
    """

    sizes: Sequence[int]
    steps: int
    current: bool
    dtype: torch.dtype
    target_ms: float

    @property
    def title(self) -> str:
        """What is measured."""
        kind = "currents" if self.current else "spikes"
        return f"{'-'.join(map(str, self.sizes))}, {kind}, {self.steps} steps, {self.dtype}"


CASES = (
    Case((784, 256, 10), 200, True, torch.float32, 0.09),
    Case((784, 256, 10), 200, True, torch.float64, math.inf),
    Case((64, 100, 10), 150, False, torch.float64, 0.06),
    Case((64, 100, 10), 150, False, torch.float32, math.inf),
    Case((784, 256, 10), 200, False, torch.float32, math.inf),
)


def hardware(network: Network, g: torch.Generator) -> Hardware:
    """Return one chip with 20 % mismatch and weights as a network starts with."""

    def normal(*shape: int) -> Tensor:
        return torch.randn(1, *shape, generator=g, dtype=torch.float64)

    def values(size: int, neuron: LIF) -> dict[str, Tensor]:
        def factor() -> Tensor:
            return (1 + 0.2 * normal(size)).clamp(0.3, 3)

        nominal = torch.ones(1, size, dtype=torch.float64)
        return {
            "threshold": factor(),
            "reset": 0 * nominal,
            "tau_m_ms": neuron.tau_m_ms * factor(),
            "tau_syn_ms": neuron.tau_syn_ms * nominal,
            "refractory_ms": 0 * nominal,
            "bias": 0.8 + 0.2 * normal(size),
        }

    neurons = tuple(values(layer.size, LIF()) for layer in network.layers)
    sizes = network.sizes
    one = torch.ones(1, network.outputs, dtype=torch.float64)
    return Hardware(
        neurons=neurons,
        shadows=neurons,
        weights=tuple(normal(a, b) / math.sqrt(a) for a, b in pairwise(sizes)),
        feedback=tuple(0.1 * normal(network.outputs, size) for size in sizes[1:]),
        readout={"gain": one, "offset": 0 * one, "kp": one, "ki": one},
    )


def presentation(case: Case, threads: int) -> Callable[[], float]:
    """Return a function that shows a batch under control, with shadows, and says the mean hidden rate."""
    g = torch.Generator().manual_seed(0)
    network = chain(case.sizes, LIF())
    chip = hardware(network, g)
    x = torch.rand(BATCH, case.sizes[0], generator=g, dtype=torch.float64)
    x = x * (torch.rand(x.shape, generator=g) < 0.4)
    spikes = torch.rand(BATCH, case.steps, case.sizes[0], generator=g) < 0.1 * x.unsqueeze(1)
    target = torch.full((BATCH, network.outputs), 0.1, dtype=torch.float64)
    target[torch.arange(BATCH), torch.arange(BATCH) % network.outputs] = 0.8
    phase = Phase(
        "controlled",
        CurrentDrive(x) if case.current else SpikeDrive(spikes),
        window(case.steps, case.steps // 2),
        Controller(target),
        shadow=True,
    )
    uniform = [torch.rand(1, BATCH, n, generator=g, dtype=torch.float64) for n in case.sizes[1:]]
    start = {"controlled": initial_snapshot(network, chip, uniform, shadow=True)}
    simulator = CompiledSimulator(dtype=case.dtype, threads=threads)

    def show() -> float:
        recording = simulator.run(network, chip, (phase,), start)["controlled"]
        return float(recording.rates[1].mean())

    return show


def milliseconds(show: Callable[[], float]) -> tuple[float, float]:
    """Return how long one sample took, by the processor's clock and by the clock on the wall."""
    processor, wall = time.process_time(), time.perf_counter()
    show()
    scale = 1000 / BATCH
    return (time.process_time() - processor) * scale, (time.perf_counter() - wall) * scale


def main() -> None:
    """Measure one and two threads in turns, so that both see the same machine."""
    repetitions = int(sys.argv[1]) if len(sys.argv) > 1 else 30
    torch.set_num_threads(1)
    for case in CASES:
        one, two = presentation(case, 1), presentation(case, 2)
        rate = one()
        two()
        rounds = [(*milliseconds(one), milliseconds(two)[1]) for _ in range(repetitions)]
        processor, single, double = (min(column) for column in zip(*rounds, strict=True))
        goal = "" if math.isinf(case.target_ms) else f" (to reach: {case.target_ms:.2f})"
        print(
            f"{case.title}, mean rate {100 * rate:.0f} Hz: {processor:.4f} ms of processor time per sample"
            f"{goal}, elapsed {single:.4f} ms, two threads {double:.4f} ms, "
            f"{single / double:.2f} times as fast",
            flush=True,
        )


if __name__ == "__main__":
    main()
