"""The command ``spiketrain`` on Lava, and one of its processes lost: it ends, in time, and leaves nothing."""

import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import psutil
import pytest
import yaml
from leftovers import places_of, tokens_of

pytestmark = pytest.mark.usefixtures("environment")

TIMEOUT_S = 8.0

CONFIG = {
    "task": {"name": "digits"},
    "network": {"layers": [64, 12, 10], "neuron": {"model": "lif", "tau_m_ms": 20, "tau_syn_ms": 10}},
    "mismatch": {"chips": 2, "seed": 1, "weight": {"distribution": "normal", "cv": 0.2}},
    "bridge": {"encoding": "phase", "max_rate_hz": 100, "readout_tau_ms": 40},
    "rule": {"name": "dfc", "feedback": {"name": "weight_product", "scale": 0.1}},
    "simulator": {"name": "lava", "presentation_ms": 60, "window_ms": 30, "timeout_s": TIMEOUT_S},
    "training": {"epochs": 1000, "batch": 128, "optimizer": "nlms", "learning_rate": 3.0},
}


class Run:
    """The command, its runtime, and Lava's processes below it."""

    def __init__(self, folder: Path, epochs: int = 1000) -> None:
        config = folder / "config.yaml"
        config.write_text(yaml.safe_dump({**CONFIG, "training": {**CONFIG["training"], "epochs": epochs}}))
        self.output = folder / "run"
        command = [sys.executable, "-m", "spiketrain.cli", "-c", str(config), "--output", str(self.output)]
        self.process = psutil.Popen(
            command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, start_new_session=True
        )
        self.known: set[psutil.Process] = set()
        self.tokens: set[str] = set()

    def find(self, choose: Callable[["Run"], psutil.Process | None]) -> psutil.Process:
        """Wait until `choose` finds a process, and return it."""
        end = time.monotonic() + 300
        while time.monotonic() < end:
            assert self.process.poll() is None, self.process.stderr.read()
            found = choose(self)
            if found is not None:
                return found
            time.sleep(0.005)
        raise AssertionError("no such process")

    @property
    def runtime(self) -> psutil.Process | None:
        found = [
            child for child in self.process.children() if any("runtime" in part for part in words(child))
        ]
        return found[0] if found else None

    @property
    def below(self) -> list[psutil.Process]:
        """The processes that the runtime started, in order: the server of shared memory, the models, ..."""
        runtime = self.runtime  # asked once: what is there may be gone when it is asked again
        children = runtime.children() if runtime else []
        forked = [child for child in children if tokens_of(words(child))]
        return sorted(forked, key=lambda child: child.create_time())

    def look(self) -> None:
        """Remember everything that is there now."""
        self.known |= set(self.process.children(recursive=True))
        self.tokens |= {token for process in self.known for token in tokens_of(words(process))}

    def left(self, within_s: float = 10.0) -> list[str]:
        """Return the processes, segments and folders that are still there."""
        end = time.monotonic() + within_s
        while True:
            alive = [f"process {p.pid}" for p in self.known if p.is_running() and p.status() != "zombie"]
            left = alive + [place for token in self.tokens for place in places_of(token)]
            if not left or time.monotonic() > end:
                return left
            time.sleep(0.05)


def words(process: psutil.Process) -> list[str]:
    try:
        return process.cmdline()
    except psutil.Error:
        return []


def server(run: Run) -> psutil.Process | None:
    return next(iter(run.below), None)


def model(run: Run) -> psutil.Process | None:
    return next(iter(run.below[1:]), None)


def runtime(run: Run) -> psutil.Process | None:
    return run.runtime


def tracker(run: Run) -> psutil.Process | None:
    runtime = run.runtime
    children = runtime.children() if runtime else []
    return next((child for child in children if "resource_tracker" in " ".join(words(child))), None)


def command(run: Run) -> psutil.Process | None:
    """The command itself, once it has a runtime."""
    return run.process if run.runtime else None


FAULTS = {
    "the server killed": (server, signal.SIGKILL, 1, ["signal 9", "Lava's shared memory"]),
    "a process killed": (model, signal.SIGKILL, 1, ["died (signal 9): "]),
    "a process stopped": (model, signal.SIGSTOP, 1, [f"within {TIMEOUT_S:g} s|within 10 s"]),
    "the runtime killed": (runtime, signal.SIGKILL, 1, ["the runtime ended by signal SIGKILL"]),
    "the runtime stopped": (runtime, signal.SIGSTOP, 1, ["stood still for"]),
    "Ctrl-C": (command, signal.SIGINT, 130, ["interrupted"]),
    "SIGTERM": (command, signal.SIGTERM, 143, ["terminated"]),
    "the command killed": (command, signal.SIGKILL, -signal.SIGKILL, []),
}


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Callable[..., Run]]:
    """Start the command; in the end it is killed, in case it goes on."""
    runs = []

    def begin(**options: int) -> Run:
        runs.append(Run(tmp_path, **options))
        return runs[-1]

    yield begin
    for run in runs:
        with suppress(psutil.NoSuchProcess):
            run.process.kill()


def until_trained(run: Run) -> None:
    """Wait for a checkpoint, and then for the network that is made for the next epoch."""
    checkpoint = run.output / "checkpoint.safetensors"
    run.find(lambda run: run.process if checkpoint.exists() else None)
    before = set(run.below)

    def whole(run: Run) -> psutil.Process | None:
        below = run.below
        return run.process if len(below) >= 6 and not before & set(below) else None

    run.find(whole)


def strike(run: Run, choose: Callable[[Run], psutil.Process | None], number: signal.Signals) -> None:
    """Send the signal to a process that stays: importing Lava starts some that do not."""

    def staying(run: Run) -> psutil.Process | None:
        before = choose(run)
        time.sleep(0.03)
        return before if before is not None and before == choose(run) else None

    victim = run.find(staying)
    run.look()
    victim.send_signal(number)


@pytest.mark.parametrize("phase", ["starting", "training"])
@pytest.mark.parametrize("fault", FAULTS)
def test_a_process_is_lost(fault: str, phase: str, start: Callable[..., Run]) -> None:
    choose, number, code, said = FAULTS[fault]
    run = start()
    if phase == "training":
        until_trained(run)
    strike(run, choose, number)
    began = time.monotonic()
    errors = run.process.communicate(timeout=TIMEOUT_S + 30)[1]
    took = time.monotonic() - began
    assert run.process.returncode == code, errors
    assert took < TIMEOUT_S + 15
    assert "Traceback" not in errors
    for words in said:
        assert any(option in errors for option in words.split("|")), errors
    if phase == "training" and said:
        assert f"go on with --resume --output {run.output}" in errors
    assert run.left() == []


@pytest.mark.parametrize("phase", ["starting", "training"])
def test_a_run_goes_on_without_the_resource_tracker(phase: str, start: Callable[..., Run]) -> None:
    run = start(epochs=3)
    if phase == "training":
        until_trained(run)
    strike(run, tracker, signal.SIGKILL)
    errors = run.process.communicate(timeout=180)[1]
    assert run.process.returncode == 0, errors
    assert (run.output / "report.html").is_file()
    assert run.left() == []
