"""What a population costs: 32 chips of the digits network trained together, and one of them alone.

    OMP_NUM_THREADS=1 python benchmarks/population.py [config] [batches]

Trains the experiment of a shipped config (``rate/dfc_digits.yaml``) on its first batches, with 32 chips, with
16 and with one, in turns, through the same path as any run: task, chips, simulator, rule, optimiser. A single
run's time times 32 is what 32 runs cost, without their starts. The claim: together in less than half of it.
Processor time, the median over turns.

How much less depends on the processor. A batch costs f whatever the number of chips (calls from Python, and
what all chips share) and v for each chip, so that n chips take the share (f / n + v) / (f + v) of n runs: the
faster a core is at arithmetic compared with Python, the less. Caches hardly enter: the compiled loop shows
all samples to one chip before it turns to the next, whose weights stay in the first cache meanwhile; the
tensors of 32 chips do not fit into the second, but the last 16 chips cost about what the others do.
"""

from __future__ import annotations

import itertools
import sys
import time
from collections.abc import Callable
from statistics import median

import torch
from machine import machine

from spiketrain.config import load_experiment
from spiketrain.parts import build
from spiketrain.teaching import learn

CHIPS, HALF, TURNS, AT_MOST = 32, 16, 5, 1 / 2


def training(config: str, chips: int, batches: int) -> Callable[[], None]:
    """Return what trains `chips` on the first batches of an epoch."""
    parts = build(load_experiment(config, [f"mismatch.chips={chips}"]), None)
    shown = list(itertools.islice(parts.batches(0), batches))

    def train() -> None:
        for batch in shown:
            learn(parts, batch, parts.learning_rate)

    return train


def seconds(work: Callable[[], None]) -> float:
    """Return the processor time of one call."""
    began = time.process_time()
    work()
    return time.process_time() - began


def main(config: str = "rate/dfc_digits.yaml", batches: str = "8") -> int:
    """Measure and print; return 0 where the claim holds."""
    print(machine())
    torch.set_num_threads(1)
    works = [training(config, chips, int(batches)) for chips in (CHIPS, HALF, 1)]
    for work in works:
        work()
    turns = [[seconds(work) for work in works] for _ in range(TURNS)]
    share = median(many / (CHIPS * one) for many, _, one in turns)
    many, half, one = (1e3 / int(batches) * median(column) for column in zip(*turns, strict=True))
    each = (many - one) / (CHIPS - 1)
    print(f"{config}: {CHIPS} chips together {many:.1f} ms per batch, one alone {one:.1f} ms")
    print(f"that is {one - each:.2f} ms per batch, and {each:.2f} ms for each chip")
    first, others = (half - one) / (HALF - 1), (many - half) / (CHIPS - HALF)
    print(f"chips 2 to {HALF} cost {first:.2f} ms each, the others {others:.2f} ms")
    print(f"together in {share:.2f} of the time of {CHIPS} runs (at most {AT_MOST:.2f})")
    return 0 if share <= AT_MOST else 1


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
