"""What a large study costs its driver: python benchmarks/study_driver.py.

Prints the computing time to plan 100 000 cells (claimed: at most 30 s) and the driver's and scheduler's
computing time per cell that is handed out (claimed: at most 5 ms), the best of three.
"""

from __future__ import annotations

import time

from machine import machine

from spiketrain.studies.engine import DaskEngine
from spiketrain.studies.plan import Plan
from spiketrain.studies.study import Study

BASE = {
    "task": {"name": "digits"},
    "network": {"layers": [64, 12, 10], "neuron": {"model": "rate", "activation": "tanh"}},
    "mismatch": {"chips": 2, "weight": {"distribution": "normal", "cv": 0.2}},
    "bridge": {"encoding": "current"},
    "rule": {"name": "backprop"},
    "simulator": {"name": "steady", "presentation_ms": 100, "window_ms": 1},
    "training": {"epochs": 1, "batch": 128, "optimizer": "adam", "learning_rate": 0.01},
}
GRID = {
    "mismatch.weight.cv": [i / 100 for i in range(50)],
    "training.learning_rate": [0.01 * i for i in range(1, 21)],
}
CELLS = 300


def planning() -> float:
    """Return the computing time to plan 100 000 cells, in seconds."""
    study = Study.from_mapping({"name": "large", "base": BASE, "grid": GRID, "seeds": 100})
    clock = time.process_time()
    assert len(Plan(study)) == 100_000
    return time.process_time() - clock


def handing_out(engine: DaskEngine, number: int) -> float:
    """Return the computing time of this process per cell, in seconds."""
    tasks = ((f"cell-{number}-{n}", (f"x{n}" * 300,)) for n in range(CELLS))
    clock = time.process_time()
    assert len(dict(engine.map(str.upper, tasks))) == CELLS
    return (time.process_time() - clock) / CELLS


def main() -> None:
    """Measure and print."""
    print(machine())
    print(f"planning 100 000 cells: {planning():.1f} s of computing (claimed: at most 30)")
    with DaskEngine(workers=1) as engine:
        dict(engine.map(str.upper, [("warm", ("up",))]))
        cost = min(handing_out(engine, number) for number in range(3))
    print(f"driver and scheduler: {cost * 1e3:.2f} ms of computing per cell (claimed: at most 5)")


if __name__ == "__main__":
    main()
