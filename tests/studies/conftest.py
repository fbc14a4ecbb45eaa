"""Workers in this process: nothing has to be started."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from spiketrain.studies.sweep import Options


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
        dashboard_address="127.0.0.1:0",
        silence_logs="CRITICAL",
    ) as cluster:
        yield cluster.scheduler_address


@pytest.fixture
def options(scheduler: str) -> Options:
    return Options(scheduler=scheduler, quiet=True)
