"""Speed of dynamic DFC on rate networks: 784-256-256-256-10, batch 128, float32, one thread.

Prints samples per second, also as a fraction of what the machine's sgemm allows for the same
multiplications, and how much a longer time step gains at an update that still agrees with the fine one. The
limit is measured in turns with the loop, since on a shared machine both drift; processor time is used
throughout. Run it as ``OMP_NUM_THREADS=1 python benchmarks/dfc_rate.py [repetitions]``.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from itertools import pairwise

import torch
from machine import machine

from learning.feedback_control.dfc import DeepFeedbackControl
from learning.feedback_control.feedback_weights import WeightProduct
from learning.feedback_control.gains import ControllerGains
from learning.feedback_control.prediction import Basal
from learning.model import Model
from learning.rule import Update
from learning.stimulus import Batch, Stimulus
from mismatch.chip import ChipPopulation
from mismatch.spec import MismatchSpec
from rate_bridge.encodings import CurrentEncoding
from root.seeds import SeedTree
from spiking.network import chain
from spiking.neurons import Rate
from spiking.simulators.torch import TorchSimulator

SIZES, BATCH, SPAN_MS = (784, 256, 256, 256, 10), 128, 500.0
WANTED_SAMPLES, WANTED_GFLOPS, WANTED_SHARE, WANTED_GAIN = 600.0, 150.0, 0.5, 3.0
WANTED_COSINE = 0.999


def presentation(steps: int) -> Callable[[], Update]:
    """Return a function that shows a batch for 500 ms in so many steps and learns from it."""
    network = chain(SIZES, [Rate("tanh")] * 3 + [Rate("linear")], dt_ms=SPAN_MS / steps)
    seeds = SeedTree(0)
    stimulus = Stimulus(network, CurrentEncoding(), seeds.child("stimulus"), steps, max(1, steps // 5))
    model = Model(network, stimulus, 1, seeds.child("rule"), weight_gain=(1.0,) * 4, bias_spread=(0.0,) * 4)
    rule = DeepFeedbackControl(ControllerGains(0.5, 0.01, 0.005), Basal(), WeightProduct(0.05))
    chips = ChipPopulation(network, MismatchSpec(1), TorchSimulator(dtype=torch.float32), seeds)
    model.feedback = rule.feedback_weights(model)
    chips.program(model.weights())
    x = torch.from_numpy(seeds.child("x").generator().random((BATCH, SIZES[0])))
    target = torch.eye(10, dtype=torch.float64)[torch.arange(BATCH) % 10]
    batch = Batch(x, target, ("benchmark",))
    phases = rule.presentation(batch, model)
    return lambda: rule.update(batch, chips.present(phases, *batch.key), model)


def products(steps: int) -> Callable[[], None]:
    """Return a function that does nothing but a presentation's multiplications, each as one sgemm."""
    shapes = [(a, b) for a, b in pairwise(SIZES[1:])] + [(10, n) for n in SIZES[1:]]
    factors = [(torch.rand(BATCH, a), torch.rand(a, b), torch.empty(BATCH, b)) for a, b in shapes]

    def multiply() -> None:
        for _ in range(steps):
            for left, right, out in factors:
                torch.mm(left, right, out=out)

    return multiply


def seconds(work: Callable[[], object]) -> float:
    """Return the processor time of one call."""
    began = time.process_time()
    work()
    return time.process_time() - began


def cosine(update: Update, fine: Update) -> float:
    """Return the smallest cosine of any layer's update with the fine one."""
    pairs = zip(update.connections, fine.connections, strict=True)
    return min(
        float(torch.cosine_similarity(a.weight().flatten(), b.weight().flatten(), dim=0))
        for a, b in pairs
        if a is not None and b is not None
    )


def main(repetitions: int = 5) -> None:
    """Measure and print."""
    print(machine())
    torch.set_num_threads(1)
    square = torch.rand(1024, 1024)
    out = torch.empty_like(square)
    fine, limit = presentation(500), products(500)
    loops, limits, peaks = [], [], []
    for _ in range(repetitions):
        loops.append(seconds(fine))
        limits.append(seconds(limit))
        peaks.append(seconds(lambda: torch.mm(square, square, out=out)))
    gflops = 2 * 1024**3 / min(peaks) / 1e9
    share = min(limits) / min(loops)
    rate = BATCH / min(loops)
    print(f"sgemm 1024²: {gflops:.0f} GFLOP/s of one thread")
    print(f"500 steps: {rate:.0f} samples/s, {share:.0%} of the sgemm limit (wanted {WANTED_SHARE:.0%})")
    wanted = WANTED_SAMPLES * min(1.0, gflops / WANTED_GFLOPS)
    print(f"wanted here: {wanted:.0f} samples/s, {WANTED_SAMPLES:.0f} where sgemm gives {WANTED_GFLOPS:.0f}")
    reference = fine()
    for steps in (250, 125, 100, 50):
        coarse = presentation(steps)
        agreement = cosine(coarse(), reference)
        gain = min(loops) / min(seconds(coarse) for _ in range(repetitions))
        good = agreement >= WANTED_COSINE and gain >= WANTED_GAIN
        print(
            f"{steps} steps: {gain:.1f} times faster, cosine {agreement:.5f}{' (as wanted)' if good else ''}"
        )


if __name__ == "__main__":
    main(*(int(argument) for argument in sys.argv[1:]))
