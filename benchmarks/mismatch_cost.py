"""Time what mismatch adds to a training run.

Run as ``python benchmarks/mismatch_cost.py [simulator] [repeats]``. The same batches are learnt on ideal
chips, on chips with static mismatch, and on chips with every kind of imperfection, one by one; the
variants take turns, and the smallest processor time of each is compared with that of the ideal chips. Static
mismatch should add 5 % or less, kinds that depend on time 25 % or less.
"""

from __future__ import annotations

import itertools
import sys
import time
from typing import Any

import torch
from machine import machine

from root.errors import InputError
from spiketrain.config import Experiment
from spiketrain.parts import Parts, build
from spiketrain.teaching import learn

STATIC = {name: {"distribution": "normal", "cv": 0.2} for name in ("threshold", "tau_m", "weight")}

KINDS: dict[str, dict[str, Any]] = {
    "faults": {"dead": 0.02, "stuck_zero": 0.02},
    "clipping": {"range": 2.0},
    "resolution": {"bits": 6, "range": 2.0},
    "dead_zone": {"smallest": 0.01},
    "write_noise": {"relative": 0.02},
    "updates": {"range": 2.0, "spread": 0.3, "asymmetry": 0.1, "nonlinearity": 1.0},
    "endurance": {"writes": 1e6},
    "conductance_drift": {"nu": 0.05, "t0_ms": 1.0},
    "random_walk": {"std": {"threshold": 0.05, "tau_m": 0.05}},
    "temperature": {"coefficients": {"threshold": -0.002}},
    "read_noise": {"std": 0.02},
    "membrane_noise": {"density": 0.2},
}

BATCHES = 8


def parts_of(simulator: str, mismatch: dict[str, Any]) -> Parts:
    """Return a digits experiment with the network of the standard recipe."""
    config = {
        "name": "cost",
        "task": "digits",
        "network": {"layers": [64, 100, 10], "neuron": {"model": "lif", "bias": 1.0}, "bias_spread": 0.5},
        "mismatch": {"chips": 4, **mismatch},
        "rule": {"name": "dfc", "controller": {"kp": 1.0, "ki_per_ms": 0.02}},
        "simulator": {"name": simulator, "presentation_ms": 150, "window_ms": 75},
        "training": {"epochs": 1, "batch": 32, "learning_rate": 1.0, "optimizer": "nlms"},
    }
    return build(Experiment.from_mapping(config), None)


def seconds(parts: Parts) -> float:
    """Return the processor time of a few batches."""
    batches = list(itertools.islice(parts.batches(0), BATCHES))
    start = time.process_time()
    for batch in batches:
        learn(parts, batch, 1.0)
    return time.process_time() - start


def main(simulator: str, repeats: int) -> None:
    """Print a line per variant."""
    print(machine())
    torch.set_num_threads(1)
    variants: dict[str, dict[str, Any]] = {"ideal": {}, "static": STATIC}
    variants |= {name: {**STATIC, name: options} for name, options in KINDS.items()}
    made = {}
    for name, mismatch in variants.items():
        try:
            made[name] = parts_of(simulator, mismatch)
            seconds(made[name])
        except InputError as error:
            print(f"{name:<18} refused: {error.allowed}")
    times: dict[str, float] = dict.fromkeys(made, float("inf"))
    for _ in range(repeats):
        for name, parts in made.items():
            times[name] = min(times[name], seconds(parts))
    for name, value in times.items():
        more = 100 * (value / times["ideal"] - 1)
        print(f"{name:<18} {1e3 * value / BATCHES:7.1f} ms a batch   {more:+6.1f} %")


if __name__ == "__main__":
    main(sys.argv[1] if len(sys.argv) > 1 else "torch", int(sys.argv[2]) if len(sys.argv) > 2 else 5)
