"""Time ten million draws of one die from every distribution.

Run as ``python benchmarks/mismatch_draws.py [millions]``. Each should take seconds: a chip with ten million
synapses is drawn once per experiment.
"""

from __future__ import annotations

import sys
import tempfile
import time
from pathlib import Path

import numpy as np

from mismatch.distributions import (
    Correlated,
    DieShift,
    Distribution,
    Empirical,
    Lognormal,
    Mixture,
    Normal,
    TwoPoint,
    Uniform,
)


def members(folder: Path) -> list[Distribution]:
    """Return one of each kind."""
    np.save(folder / "measured.npy", np.random.default_rng(0).gamma(25.0, 0.04, 1000))
    components = (
        {"distribution": "normal", "cv": 0.1, "weight": 9},
        {"distribution": "lognormal", "cv": 0.5, "weight": 1},
    )
    return [
        Normal(0.2),
        Normal(0.5),
        Lognormal(0.2),
        Uniform(0.2),
        TwoPoint(0.2),
        Empirical(str(folder / "measured.npy")),
        Correlated(0.2, 10.0),
        DieShift(0.1, {"distribution": "normal", "cv": 0.2}),
        Mixture(components),
    ]


def main(millions: float) -> None:
    """Print a line per distribution."""
    columns = 2500
    shape = (int(millions * 1e6) // columns, columns)
    print(f"{shape[0]} x {shape[1]} devices")
    with tempfile.TemporaryDirectory() as folder:
        for distribution in members(Path(folder)):
            layer, chip = np.random.default_rng(1), np.random.default_rng(2)
            start = time.perf_counter()
            drawn = distribution.factors(layer, chip, shape)
            seconds = time.perf_counter() - start
            kind = type(distribution).__name__
            print(
                f"{kind:<12} {seconds:6.2f} s   mean {drawn.mean():.4f}   cv {drawn.std() / drawn.mean():.4f}"
            )


if __name__ == "__main__":
    main(float(sys.argv[1]) if len(sys.argv) > 1 else 10.0)
