"""Workers in processes of their own: cheap to drive, on loopback alone, and they may die."""

from __future__ import annotations

import json
import os
import platform
import resource
import signal
import socket
import ssl
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import psutil
import pytest
import yaml
from dask import config as dask_config
from distributed import Client, Security
from small_study import BASE, study

from spiketrain.allocator import keep_freed_memory
from spiketrain.studies.engine import DaskEngine
from spiketrain.studies.study import load_study
from spiketrain.studies.sweep import Options, sweep


@pytest.fixture(scope="module")
def before() -> list[int]:
    """The ports on which these processes listened before, such as those of another test's cluster."""
    return _ports()


@pytest.fixture(scope="module")
def engine(before: list[int]) -> Iterator[DaskEngine]:
    with DaskEngine(workers=1) as engine:
        yield engine


def test_every_cell_comes_back_under_its_name(engine: DaskEngine) -> None:
    found = dict(engine.map(str.upper, ((f"cell-{n}", (f"x{n}" * 300,)) for n in range(300))))
    assert found == {f"cell-{n}": f"X{n}" * 300 for n in range(300)}


def test_everything_listens_on_loopback_alone(engine: DaskEngine) -> None:
    assert engine.workers == 1
    processes = [psutil.Process(), *psutil.Process().children(recursive=True)]
    listening = [c.laddr.ip for p in processes for c in p.net_connections("inet") if c.status == "LISTEN"]
    assert listening
    assert set(listening) <= {"127.0.0.1", "::1"}


def _ports() -> list[int]:
    processes = [psutil.Process(), *psutil.Process().children(recursive=True)]
    return [c.laddr.port for p in processes for c in p.net_connections("inet") if c.status == "LISTEN"]


def _answer(port: int, context: ssl.SSLContext | None) -> bytes:
    """Return what a stranger is told who asks for a page, in plain text or with keys of their own."""
    with socket.create_connection(("127.0.0.1", port), timeout=10) as plain:
        try:
            with plain if context is None else context.wrap_socket(plain) as talk:
                talk.sendall(b"GET /info/main/workers.html HTTP/1.0\r\n\r\n")
                return talk.recv(100)
        except (ssl.SSLError, ConnectionError):
            return b""


def test_strangers_on_this_machine_are_told_nothing(engine: DaskEngine, before: list[int]) -> None:
    """No HTTP, and no TLS without the cluster's own key: neither at the scheduler nor at a worker."""
    assert engine.workers == 1
    keyless = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    keyless.check_hostname, keyless.verify_mode = False, ssl.CERT_NONE
    other = Security.temporary().get_connection_args("client")["ssl_context"]
    other.verify_mode = ssl.CERT_NONE
    ports = [port for port in _ports() if port not in before]
    assert len(ports) == 3, "scheduler, nanny and worker, and no HTTP server"
    for port in ports:
        assert not [c for c in (keyless, other) if _answer(port, c)]
        assert b"HTTP" not in _answer(port, None)
    for address in (f"tcp://127.0.0.1:{port}" for port in ports):
        with pytest.raises(OSError, match=r"."):
            Client(address, timeout="2s", set_as_default=False)


def test_an_error_comes_back_as_it_is(engine: DaskEngine) -> None:
    found = dict(engine.map(int, [("good", ("3",)), ("bad", ("x",))]))
    assert found["good"] == 3
    assert isinstance(found["bad"], ValueError)


def die_once(marker: str) -> str:
    if not Path(marker).exists():
        Path(marker).touch()
        os.kill(os.getpid(), signal.SIGKILL)
    return "alive"


def test_a_task_whose_worker_is_killed_goes_to_the_next(engine: DaskEngine, tmp_path: Path) -> None:
    found = dict(engine.map(die_once, [("cell", (str(tmp_path / "marker"),))]))
    assert found == {"cell": "alive"}


def faults_of_arrays(megabytes: int) -> int:
    """How many pages are touched for the first time by arrays that are made again and again."""
    keep_freed_memory()
    [np.ones(megabytes * 125_000) for _ in range(4)]
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(5):
        [np.ones(megabytes * 125_000) for _ in range(4)]
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="only glibc has these options")
@pytest.mark.parametrize("megabytes", [3, 20, 80])
def test_a_worker_keeps_the_memory_of_arrays_that_are_freed(engine: DaskEngine, megabytes: int) -> None:
    """Twenty arrays anew from the system would be at least ten faults for every 2 MB of one of them."""
    assert dict(engine.map(faults_of_arrays, [("cell", (megabytes,))]))["cell"] < 10 * megabytes / 2


@pytest.fixture
def started_by_hand(tmp_path: Path) -> Iterator[str]:
    """The address of a scheduler and a worker that were started with Dask's own commands, with TLS."""
    keys, names = Security.temporary(), {"ca-file": "ca.pem", "cert": "cert.pem", "key": "key.pem"}
    for place, content in keys.get_tls_config_for_role("client").items():
        if content is not None:
            (tmp_path / names[place.replace("_", "-")]).write_text(content)
    paths = {place: str(tmp_path / name) for place, name in names.items()}
    tls = [word for place, path in paths.items() for word in (f"--tls-{place}", path)]
    ours = {"ca-file": paths["ca-file"], "client.cert": paths["cert"], "client.key": paths["key"]}
    dask, file = [sys.executable, "-m", "dask"], tmp_path / "scheduler.json"
    about = ["--scheduler-file", str(file), "--no-dashboard", "--protocol", "tls", *tls]
    with (
        dask_config.set({f"distributed.comm.tls.{key}": path for key, path in ours.items()}),
        subprocess.Popen([*dask, "scheduler", "--host", "127.0.0.1", "--port", "0", *about]) as scheduler,
        subprocess.Popen([*dask, "worker", "--nthreads", "1", "--host", "127.0.0.1", *about]) as worker,
    ):
        try:
            end = time.monotonic() + 60
            while not file.is_file():
                assert scheduler.poll() is None
                assert time.monotonic() < end
                time.sleep(0.05)
            yield json.loads(file.read_text())["address"]
        finally:
            worker.terminate()
            scheduler.terminate()


def test_a_scheduler_started_by_hand_gives_the_same_table(
    started_by_hand: str, tmp_path: Path, options: Options
) -> None:
    assert started_by_hand.startswith("tls://")
    there = sweep(study(), tmp_path / "there", Options(scheduler=started_by_hand, quiet=True)).table
    here = sweep(study(), tmp_path / "here", options).table
    pd.testing.assert_frame_equal(there, here)


def test_a_killed_driver_leaves_a_study_that_goes_on_to_the_same_table(
    tmp_path: Path, options: Options
) -> None:
    """SIGKILL while a cell is under way; its workers end too, and nothing finished is computed again."""
    config = tmp_path / "killed.yaml"
    slow = {"training.epochs": 6, "training.batch": 32}
    content = {"base": BASE, "set": slow, "grid": {"training.learning_rate": [0.002, 0.005, 0.01]}}
    config.write_text(yaml.safe_dump(content))
    root = tmp_path / "study"
    command = [sys.executable, "-m", "spiketrain.cli", "sweep", "-c", str(config), "--workers", "1", "-q"]
    with subprocess.Popen([*command, "--output", str(root)]) as driver:
        end = time.monotonic() + 300
        while not list(root.glob("cells/*/summary.json")):
            assert driver.poll() is None
            assert time.monotonic() < end
            time.sleep(0.05)
        workers = psutil.Process(driver.pid).children(recursive=True)
        driver.send_signal(signal.SIGKILL)
    gone, alive = psutil.wait_procs(workers, timeout=60)
    assert gone
    assert not [p for p in alive if p.is_running()]
    finished = {path: path.stat().st_mtime_ns for path in root.glob("cells/*/summary.json")}
    assert 0 < len(finished) < 3, "too fast to be killed in the middle"
    planned = load_study(str(config))
    resumed = sweep(planned, root, replace(options, resume=True)).table
    assert {path: path.stat().st_mtime_ns for path in finished} == finished
    whole = sweep(planned, tmp_path / "whole", options).table
    pd.testing.assert_frame_equal(resumed, whole)
