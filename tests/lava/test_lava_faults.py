"""Whatever goes wrong ends in time, with one clear message, and leaves nothing behind."""

import os
import re
import resource
import signal
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

import psutil
import pytest
from lava_problems import small
from leftovers import traces_of

from root.errors import SimulationError
from spiking.simulators.lava.client import Client
from spiking.simulators.lava.data import arrays, header
from spiking.simulators.lava.runtime import bundle

HERE = Path(__file__).parent
LIMIT_S = 2.0

FAULTS = {
    "raise in init": "broken on purpose",
    "raise in step": "broken on purpose",
    "unpicklable": "Lava process died|raised an exception",
    "exit in init": r"Lava process died \(exit code 3\)",
    "exit in step": r"Lava process died \(exit code 0\)",
    "killed": r"Lava process died \(signal 9\)",
    "wrong shape": "Mismatch",
    "deadlock": "deadlock or endless loop",
    "endless loop": "no process finished a step within 2 s .*layer",
    "sleeps": "no process finished a step within 2 s .*source",
    "full disk": "OSError: .*File too large",
    "damaged answer": "cannot be read: out.npz is not a whole bundle",
}


def start(environment, fault="no fault", limit_s=LIMIT_S):
    return Client(environment, limit_s, command=(str(HERE / "faulty_runtime.py"), fault))


def request(steps=40):
    network, hardware, block = small(steps)
    return header(network, hardware, block, "floating_pt"), arrays(network, hardware, block)


def watched(client):
    """Run and return the token and folder of the runtime, and the error."""
    with pytest.raises(SimulationError) as caught:
        client.run(*request())
    return client.token, client.folder, str(caught.value)


def settled(token, within_s=5.0):
    """Wait until nothing is left, and return what still is."""
    end = time.monotonic() + within_s
    while (left := traces_of(token)) and time.monotonic() < end:
        time.sleep(0.05)
    return left


@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_in_the_runtime(environment, fault):
    began = time.monotonic()
    token, folder, message = watched(start(environment, fault))
    assert time.monotonic() - began < 30
    assert message.startswith("lava: ")
    assert re.search(FAULTS[fault], message, re.DOTALL), message
    assert settled(token) == []
    assert not folder.exists()


def test_a_client_goes_on_after_a_fault(environment):
    client = start(environment)
    first = client.run(*request())
    os.kill(client._child.process.pid, signal.SIGKILL)
    client._child.process.wait()
    with pytest.raises(SimulationError, match="the runtime ended by signal SIGKILL"):
        client.run(*request())
    second = client.run(*request())
    client.close()
    assert all((first[name] == second[name]).all() for name in first)


@pytest.mark.parametrize(
    ("number", "said"),
    [(0, r"died \(signal 9\): the server of Lava's shared memory"), (1, r"died \(signal 9\): \w")],
    ids=["the server", "a model"],
)
def test_a_process_is_lost_between_two_runs(environment, number, said):
    client = start(environment, limit_s=30)
    client.run(*request())
    children = processes_below(client._child.process.pid)
    os.kill(children[number], signal.SIGKILL)
    client._child.process.wait(20)
    with pytest.raises(SimulationError, match=f"{said}.*while the network was resting"):
        client.run(*request())
    assert settled(client.token) == []
    assert not client.folder.exists()


@pytest.mark.parametrize(
    ("fault", "said"),
    [
        ("killed in stop", r"died \(signal 9\): .*while the network was stopping"),
        ("server killed in stop", "server of Lava's shared memory, while the network was stopping"),
        ("stopped in stop", "the network did not stop within 2 s"),
    ],
)
def test_a_process_is_lost_while_stopping(environment, fault, said):
    client = start(environment, fault)
    client.run(*request(40))
    with pytest.raises(SimulationError, match=said):
        client.run(*request(30))  # needs another network
    assert settled(client.token) == []
    assert not client.folder.exists()


def test_a_lost_resource_tracker_is_replaced(environment):
    client = start(environment, limit_s=30)
    first = client.run(*request(40))
    (tracker,) = (p for p in psutil.Process(client._child.process.pid).children() if is_tracker(p))
    tracker.kill()
    client.run(*request(30))
    second = client.run(*request(40))
    token = client.token
    client.close()
    assert all((first[name] == second[name]).all() for name in first)
    assert settled(token) == []


def test_what_was_killed_together_is_removed_by_the_next_start(environment):
    """Client and runtime are killed at once, and no process is left to remove anything."""
    with subprocess.Popen(
        [sys.executable, str(HERE / "long_run.py"), str(environment.folder)],
        stdout=subprocess.PIPE,
        text=True,
        cwd=HERE,
    ) as client:
        token, folder = client.stdout.readline().split()
        (runtime,) = psutil.Process(client.pid).children()
        end = time.monotonic() + 20
        while not any(map(is_tracker, runtime.children())) or not in_memory(token):
            assert time.monotonic() < end
            time.sleep(0.01)
        below = runtime.children()
        for process in (runtime, client, *(p for p in below if is_tracker(p))):
            process.send_signal(signal.SIGSTOP)  # so that none sees another one go
        for process in (client, runtime, *below):
            process.send_signal(signal.SIGKILL)
        psutil.wait_procs(below, timeout=20)
        # Looked at while the client is still in the table of processes: once it is waited for, any start
        # removes this, and other tests start runtimes beside this one.
        assert in_memory(token)
        assert Path(folder).is_dir()
    mine = start(environment)
    mine.run(*request())
    assert traces_of(token) == []
    assert len(traces_of(mine.token)) > 2
    other = start(environment)  # whose start leaves alone what belongs to the living
    other.run(*request())
    other.close()
    mine.run(*request())
    mine.close()


def in_memory(token):
    return [place for place in traces_of(token) if place.startswith("/dev/shm")]


def is_tracker(process):
    return "resource_tracker" in " ".join(process.cmdline())


def processes_below(runtime):
    """Return the processes that Lava forked, in that order: the server of shared memory, then the models."""
    forked = [child for child in psutil.Process(runtime).children() if not is_tracker(child)]
    return [child.pid for child in sorted(forked, key=lambda child: child.create_time())]


def test_killing_the_runtime_in_a_run(environment):
    client = start(environment, "slow", limit_s=30)
    under_way = threading.Event()

    def kill():
        under_way.wait()
        os.kill(client._child.process.pid, signal.SIGKILL)

    threading.Thread(target=kill, daemon=True).start()
    with pytest.raises(SimulationError, match="ended by signal SIGKILL") as caught:
        client.run(*request(20_000), lambda done, steps: under_way.set())
    assert len(str(caught.value)) < 5000
    assert settled(client.token) == []
    assert not client.folder.exists()


def test_a_damaged_bundle(environment, monkeypatch):
    write = bundle.write

    def damaged(path, head, content):
        write(path, head, content)
        data = bytearray(path.read_bytes())
        for index in range(len(data) // 2, len(data) // 2 + 200):
            data[index] ^= 0xFF
        path.write_bytes(data)

    client = start(environment)
    monkeypatch.setattr(bundle, "write", damaged)
    token, _, message = watched(client)
    assert "in.npz is not a whole bundle" in message
    assert settled(token) == []


def test_another_version_of_the_bundle(environment, monkeypatch):
    client = start(environment)
    monkeypatch.setattr(bundle, "VERSION", 99)
    token, _, message = watched(client)
    assert "format ('spiketrain-lava', 99)" in message
    assert settled(token) == []


def test_a_full_disk_on_the_clients_side(environment):
    client = start(environment)
    client.run(*request())
    token, folder = client.token, client.folder
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, before[1]))
    try:
        with pytest.raises(SimulationError, match=r"could not be written to .*File too large"):
            client.run(*request())
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
        signal.signal(signal.SIGXFSZ, handler)
    assert settled(token) == []
    assert not folder.exists()


@pytest.mark.parametrize(
    ("number", "to_group"),
    [(signal.SIGINT, False), (signal.SIGINT, True), (signal.SIGTERM, False), (signal.SIGKILL, False)],
    ids=["Ctrl-C", "Ctrl-C to the group", "SIGTERM", "SIGKILL"],
)
def test_the_client_is_stopped(environment, number, to_group):
    client = subprocess.Popen(
        [sys.executable, str(HERE / "long_run.py"), str(environment.folder)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=HERE,
        start_new_session=True,
    )
    token, folder = client.stdout.readline().split()
    (os.killpg if to_group else os.kill)(client.pid, number)
    assert client.wait(20) != 0
    assert settled(token) == []
    assert not Path(folder).exists()
    assert Path(folder).parent == Path(tempfile.gettempdir())
    client.communicate()


def test_progress_is_passed_on_and_keeps_a_slow_run_alive(environment):
    seen = []
    client = start(environment, "slow", limit_s=1.0)
    client.run(*request(150), lambda done, steps: seen.append((done, steps)))
    client.close()
    assert len(seen) >= 3
    assert seen == sorted(seen)
    assert {steps for _, steps in seen} == {150}
