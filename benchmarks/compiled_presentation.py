"""Speed of the compiled simulator: milliseconds per sample and chip of one presentation.

    python benchmarks/compiled_presentation.py [repetitions]

Prints processor time on one thread, without and with the update that a rule makes of what it saw, and
the gain of a second thread, all measured in turns in the same run. Everything that `Simulator.run` does is
in it, not the kernel alone. A busy machine is slow and has no second core to give, so yardsticks are measured
in turns with it: sgemm on one thread (times are also printed as they would be at 150 GFLOP/s, by the median
of the ratio), and the gain of a second thread for the same multiplications, of which nothing is shared.
"""

from __future__ import annotations

import math
import sys
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import pairwise
from statistics import median

import torch
from machine import machine
from torch import Tensor

from rate_bridge.filters import window
from spiking.blocks.snapshots import initial_snapshot
from spiking.hardware import Hardware
from spiking.network import Network, chain
from spiking.neurons import LIF
from spiking.presentation import Controller, CurrentDrive, Phase, Recording, SpikeDrive
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
        chips: how many are shown it at once.
        target_ms: the figure to reach, per sample.
        update_ms: the same with the update.
    """

    sizes: Sequence[int]
    steps: int
    current: bool
    dtype: torch.dtype
    chips: int = 1
    target_ms: float = math.inf
    update_ms: float = math.inf

    @property
    def title(self) -> str:
        """What is measured."""
        kind = "currents" if self.current else "spikes"
        many = f", {self.chips} chips" if self.chips > 1 else ""
        return f"{'-'.join(map(str, self.sizes))}, {kind}, {self.steps} steps, {self.dtype}{many}"


CASES = (
    Case((784, 256, 10), 200, True, torch.float32, target_ms=0.09, update_ms=0.12),
    Case((784, 256, 10), 200, True, torch.float64),
    Case((64, 100, 10), 150, False, torch.float64, target_ms=0.06),
    Case((64, 100, 10), 150, False, torch.float32),
    Case((784, 256, 10), 200, False, torch.float32),
    Case((784, 256, 10), 200, True, torch.float32, chips=8),
    Case((64, 100, 10), 150, False, torch.float64, chips=8),
)
REFERENCE = 150.0
"""GFLOP/s of sgemm on the machine that the figures to reach are for."""

SIDE, PRODUCTS = 512, 4


def hardware(network: Network, g: torch.Generator, chips: int) -> Hardware:
    """Return chips with 20 % mismatch and weights as a network starts with."""

    def normal(*shape: int) -> Tensor:
        return torch.randn(chips, *shape, generator=g, dtype=torch.float64)

    def values(size: int, neuron: LIF) -> dict[str, Tensor]:
        def factor() -> Tensor:
            return (1 + 0.2 * normal(size)).clamp(0.3, 3)

        nominal = torch.ones(chips, size, dtype=torch.float64)
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
    one = torch.ones(chips, network.outputs, dtype=torch.float64)
    return Hardware(
        neurons=neurons,
        shadows=neurons,
        weights=tuple(normal(a, b) / math.sqrt(a) for a, b in pairwise(sizes)),
        feedback=tuple(0.1 * normal(network.outputs, size) for size in sizes[1:]),
        readout={"gain": one, "offset": 0 * one, "kp": one, "ki": one},
    )


def presentation(case: Case, threads: int) -> tuple[Callable[[], Recording], Callable[[Recording], None]]:
    """Return what shows a batch under control, with shadows, and what updates the weights by it."""
    g = torch.Generator().manual_seed(0)
    network = chain(case.sizes, LIF())
    chip = hardware(network, g, case.chips)
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
    uniform = [torch.rand(case.chips, BATCH, n, generator=g, dtype=torch.float64) for n in case.sizes[1:]]
    start = {"controlled": initial_snapshot(network, chip, uniform, shadow=True)}
    simulator = CompiledSimulator(dtype=case.dtype, threads=threads)

    def show() -> Recording:
        return simulator.run(network, chip, (phase,), start)["controlled"]

    def update(seen: Recording) -> None:
        """Go along the difference between neurons and their shadows, and program the chip again."""
        for weight, pre, post, basal in zip(
            chip.weights, seen.rates, seen.rates[1:], seen.basal, strict=False
        ):
            weight.add_(torch.matmul(pre.mT, post - basal).to(weight), alpha=1e-9 / BATCH)

    return show, update


def processor_ms(do: Callable[[], object]) -> float:
    """Return the processor time of a call."""
    before = time.process_time()
    do()
    return (time.process_time() - before) * 1000


def elapsed_ms(do: Callable[[], object]) -> float:
    """Return the elapsed time of a call."""
    before = time.perf_counter()
    do()
    return (time.perf_counter() - before) * 1000


def multiply(threads: int) -> Callable[[], None]:
    """Return what makes the same matrix products, dealt out to threads."""
    own = [[torch.randn(SIDE, SIDE) for _ in range(3)] for _ in range(threads)]

    def some(matrices: list[Tensor]) -> None:
        for _ in range(PRODUCTS // threads):
            torch.matmul(matrices[0], matrices[1], out=matrices[2])

    def do() -> None:
        if threads == 1:
            some(own[0])
            return
        with ThreadPoolExecutor(threads) as pool:
            list(pool.map(some, own))

    return do


def measure(case: Case, repetitions: int) -> str:
    """Return a line of figures."""
    (one, update), (two, _) = presentation(case, 1), presentation(case, 2)
    seen, product, products = one(), multiply(1), multiply(2)
    two()
    operations, shares = 2e-6 * PRODUCTS * SIDE**3, BATCH * case.chips
    rows = []
    for _ in range(repetitions):
        before = processor_ms(product)
        shown, updated = (processor_ms(do) / shares for do in (one, lambda: update(seen)))
        speed = operations * 2 / (before + processor_ms(product)) / REFERENCE
        gain, limit = elapsed_ms(one) / elapsed_ms(two), elapsed_ms(product) / elapsed_ms(products)
        rows.append((shown, shown + updated, speed, gain, limit))
    shown, learnt, _, gain, limit = (median(column) for column in zip(*rows, strict=True))
    scaled, scaled_learnt = (median(row[k] * row[2] for row in rows) for k in (0, 1))
    speed = REFERENCE * median(row[2] for row in rows)
    best = min(row[0] for row in rows)
    to_reach = f" (to reach: {case.target_ms:.2f}, {case.update_ms:.2f})" if case.target_ms < math.inf else ""
    return (
        f"{case.title}, mean rate {100 * float(seen.rates[1].mean()):.0f} Hz: median {shown:.3f}, "
        f"best {best:.3f}, with the update {learnt:.3f} ms of processor time per sample{to_reach}, at "
        f"{speed:.0f} GFLOP/s; at {REFERENCE:.0f} GFLOP/s {scaled:.3f} and {scaled_learnt:.3f}; two threads "
        f"{gain:.2f} times as fast, matrix products {limit:.2f} times"
    )


def main() -> None:
    """Measure all cases."""
    repetitions = int(sys.argv[1]) if len(sys.argv) > 1 else 30
    print(machine())
    torch.set_num_threads(1)
    for case in CASES:
        print(measure(case, repetitions), flush=True)


if __name__ == "__main__":
    main()
