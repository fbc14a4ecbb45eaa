"""A small study, and workers in this process: nothing has to be started."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from spiketrain.studies.study import Study
from spiketrain.studies.sweep import Options

BASE: dict[str, Any] = {
    "task": {"name": "digits"},
    "network": {
        "layers": [64, 12, 10],
        "neuron": {"model": "rate", "activation": "tanh", "tau_ms": 20},
        "output_neuron": {"activation": "linear"},
    },
    "mismatch": {"chips": 2, "seed": 1, "weight": {"distribution": "normal", "cv": 0.2}},
    "bridge": {"encoding": "current", "target_rates": [0.0, 1.0]},
    "rule": {"name": "backprop"},
    "simulator": {"name": "steady", "presentation_ms": 100, "window_ms": 1},
    "training": {"epochs": 1, "batch": 128, "optimizer": "adam", "learning_rate": 0.01, "validation": 0.2},
}


def study(**keys: Any) -> Study:
    """Return a study of two cells; keys replace its own."""
    return Study.from_mapping(
        {"name": "small", "base": BASE, "grid": {"mismatch.weight.cv": [0.1, 0.3]}, **keys}
    )


@pytest.fixture(scope="session")
def scheduler() -> Iterator[str]:
    """The address of a scheduler on loopback with one worker."""
    distributed = pytest.importorskip("distributed", reason="the studies extra is not installed")
    with distributed.LocalCluster(
        n_workers=1,
        threads_per_worker=1,
        processes=False,
        protocol="tcp",
        host="127.0.0.1",
        dashboard_address=None,
        silence_logs="CRITICAL",
    ) as cluster:
        yield cluster.scheduler_address


@pytest.fixture
def options(scheduler: str) -> Options:
    return Options(scheduler=scheduler, quiet=True)
