"""Speed of equilibrium propagation: 784-512-10, symmetric nudging, batches of 128, float32, one thread.

    OMP_NUM_THREADS=1 python benchmarks/equilibrium_propagation.py [repetitions]

Measures whole training steps of an experiment (input, presentation, update, optimiser, programming) in
turns with a plain program of the published algorithm: 40 free and twice 15 nudged steps, each going down the
gradient that automatic differentiation finds of the energy. The published program takes 128 samples through
these steps at 1272 samples/s on a machine whose sgemm gives 150 GFLOP/s; the claim is 5 times that. Processor
time throughout, medians; the samples are random, ten noisy patterns.

Source of the algorithm: Laborieux et al. 2021, doi:10.3389/fnins.2021.633674; Ernoult et al. 2019,
arXiv 1905.13633.
"""

from __future__ import annotations

import sys
import tempfile
import time
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from statistics import median

import numpy as np
import torch
from machine import machine
from torch import Tensor

from spiketrain.config import load_experiment
from spiketrain.parts import Parts, build
from spiketrain.teaching import learn

BATCH, BATCHES, SETTLING = 128, 8, 40
SIZES, FREE_STEPS, NUDGED_STEPS, BETA, RATE = (784, 512, 10), 40, 15, 0.2, 0.05
PUBLISHED, AT_GFLOPS, WANTED = 1272.0, 150.0, 5.0


def samples(folder: Path) -> None:
    """Write ten patterns, a fifth of the inputs lit, with noise."""
    g = np.random.default_rng(0)
    labels = np.arange(BATCH * BATCHES) % 10
    lit = g.random((10, SIZES[0])) < 0.2
    x = np.clip(
        lit[labels] * g.random((len(labels), SIZES[0])) + 0.1 * g.random((len(labels), SIZES[0])), 0, 1
    )
    np.savez(folder / "patterns.npz", x=x, y=labels, x_test=x[:20], y_test=labels[:20])


def experiment(folder: Path) -> Parts:
    """Return the parts of the shipped experiment, on those samples."""
    changes = ["task={name: npz, file: patterns.npz, scaling: none}", f"training.batch={BATCH}"]
    return build(load_experiment("rate/equilibrium_propagation_mnist.yaml", changes), folder)


def training(parts: Parts) -> Callable[[], None]:
    """Return what trains on one batch after the other."""
    batches = list(parts.batches(0))
    shown = 0

    def step() -> None:
        nonlocal shown
        learn(parts, batches[shown % BATCHES], parts.learning_rate)
        shown += 1

    return step


def published(x: Tensor, target: Tensor) -> Callable[[], None]:
    """Return what makes one step of the algorithm as it is published, in the plainest way."""
    g = torch.Generator().manual_seed(0)
    first, second = (torch.randn(a, b, generator=g) / a**0.5 for a, b in pairwise(SIZES))
    weights = [first.requires_grad_(), second.requires_grad_()]

    def energy(hidden: Tensor, output: Tensor) -> Tensor:
        total: Tensor = ((x @ first) * hidden).sum() + ((hidden @ second) * output).sum()
        return total

    def settle(hidden: Tensor, output: Tensor, steps: int, beta: float) -> tuple[Tensor, Tensor]:
        for _ in range(steps):
            hidden, output = hidden.detach().requires_grad_(), output.detach().requires_grad_()
            h, y = torch.autograd.grad(energy(hidden, output), (hidden, output))
            nudged = y + beta * (target - output)
            hidden, output = torch.sigmoid(4 * h - 2), torch.sigmoid(4 * nudged - 2)
        return hidden.detach(), output.detach()

    def step() -> None:
        free = settle(torch.zeros(BATCH, SIZES[1]), torch.zeros(BATCH, SIZES[2]), FREE_STEPS, 0.0)
        plus, minus = (settle(*free, NUDGED_STEPS, beta) for beta in (BETA, -BETA))
        difference = (energy(*plus) - energy(*minus)) / (2 * BETA * BATCH)
        gradients = torch.autograd.grad(difference, weights)
        with torch.no_grad():
            for weight, gradient in zip(weights, gradients, strict=True):
                weight.add_(gradient, alpha=RATE)

    return step


def seconds(work: Callable[[], object]) -> float:
    """Return the processor time of one call."""
    began = time.process_time()
    work()
    return time.process_time() - began


def main(repetitions: int = 15) -> int:
    """Measure and print; return 0 where the claim holds."""
    print(machine())
    torch.set_num_threads(1)
    square = torch.rand(1024, 1024)
    out = torch.empty_like(square)
    with tempfile.TemporaryDirectory() as folder:
        samples(Path(folder))
        parts = experiment(Path(folder))
    batch = next(parts.batches(0))
    ours, theirs = training(parts), published(batch.x.float(), batch.target.float())
    for _ in range(SETTLING):
        ours()
    theirs()
    rows = []
    for _ in range(repetitions):
        peak = 2e-9 * 1024**3 / seconds(lambda: torch.mm(square, square, out=out))
        rows.append((seconds(ours), seconds(theirs), peak))
    our, their, peak = (median(column) for column in zip(*rows, strict=True))
    gain = median(theirs / ours for ours, theirs, _ in rows)
    scaled = median(BATCH / ours * AT_GFLOPS / speed for ours, _, speed in rows)
    print(f"sgemm 1024²: {peak:.0f} GFLOP/s of one thread")
    print(f"published algorithm, plainly: {BATCH / their:.0f} samples/s; training here: {BATCH / our:.0f}")
    print(
        f"{gain:.1f} times as fast (wanted {WANTED:.0f}); at {AT_GFLOPS:.0f} GFLOP/s {scaled:.0f} samples/s",
        end=" ",
    )
    print(f"(wanted {WANTED * PUBLISHED:.0f})")
    return 0 if gain >= WANTED else 1


if __name__ == "__main__":
    sys.exit(main(*(int(argument) for argument in sys.argv[1:])))
