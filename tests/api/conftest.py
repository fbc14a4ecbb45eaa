from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

import spiketrain as st
from root import plugins

CONFIG: dict[str, Any] = {
    "network": {"layers": [16, 12, 3], "neuron": {"model": "lif", "bias": 1.0}, "bias_spread": 0.5},
    "mismatch": {
        "chips": 2,
        "seed": 3,
        "threshold": {"distribution": "normal", "cv": 0.2},
        "weight": {"distribution": "normal", "cv": 0.2},
    },
    "rule": {"name": "dfc", "controller": {"kp": 1.0, "ki_per_ms": 0.02}},
    "simulator": {"name": "torch", "presentation_ms": 40, "window_ms": 30},
    "training": {"epochs": 2, "batch": 16, "learning_rate": 3.0, "optimizer": "nlms", "average": 0.9},
}


@pytest.fixture(autouse=True)
def forgotten() -> Iterator[None]:
    """Forget what a test registered: other files ask for every part there is."""
    before = dict(plugins._OWN)
    yield
    plugins._OWN.clear()
    plugins._OWN.update(before)


def samples(count: int = 120, seed: int = 0) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Return 4 × 4 images of three kinds: bright rows at the top, in the middle, or at the bottom."""
    numbers = np.random.default_rng(seed)
    y = np.arange(count) % 3
    x = numbers.uniform(0.0, 0.4, (count, 4, 4))
    x[np.arange(count), y] += 0.6
    return x, y


@pytest.fixture(scope="session")
def setup() -> st.Setup:
    return st.load(CONFIG)


@pytest.fixture(scope="session")
def trained(setup: st.Setup) -> st.Run:
    x, y = samples()
    return setup.fit(x, y, test=samples(45, seed=1))
