"""The commands, in this process; and the whole way as a child process."""

from __future__ import annotations

import errno
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from rich.console import Console
from typer.testing import CliRunner, Result

from root.errors import SimulationError
from root.plugins import available
from spiketrain.cli import app
from spiketrain.commands.guard import Terminated
from spiketrain.config import Experiment
from spiketrain.doctor import examine
from spiketrain.outcome import show
from spiketrain.reading import parse

CONFIG = """\
# A small experiment.
task: digits
network: {layers: [64, 20, 10], neuron: {model: lif, bias: 0.8}, bias_spread: 0.3}
mismatch: {chips: 2, threshold: {distribution: normal, cv: 0.2}}
rule: dfc
simulator: {name: torch, presentation_ms: 20, window_ms: 10}
training: {epochs: 1, batch: 256, learning_rate: 0.5}
"""


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("SPIKETRAIN_DATA", raising=False)
    (tmp_path / "small.yaml").write_text(CONFIG)
    return tmp_path


def call(*arguments: str) -> Result:
    return CliRunner().invoke(app, list(arguments))


def command(*arguments: str) -> list[str]:
    return [sys.executable, "-m", "spiketrain.cli", *arguments]


@pytest.mark.usefixtures("here")
@pytest.mark.parametrize("arguments", [["small.yaml"], ["--config", "small.yaml"]])
def test_validate_prints_what_would_be_run(arguments: list[str]) -> None:
    result = call("validate", *arguments, "--set", "training.epochs=7", "--data")
    assert result.exit_code == 0, result.output
    resolved = parse(result.stdout, "stdout")
    assert (resolved["name"], resolved["training"]["epochs"]) == ("small", 7)
    assert Experiment.from_mapping(resolved).resolved() == resolved


def test_schema_is_json() -> None:
    result = call("schema")
    assert result.exit_code == 0
    assert "training" in json.loads(result.stdout)["properties"]


def test_configs_lists_the_shipped_ones() -> None:
    result = call("configs")
    assert result.exit_code == 0
    assert any(line.startswith("dfc_lif.yaml  ") and len(line) > 30 for line in result.stdout.splitlines())


def test_doctor_says_what_is_there() -> None:
    result = call("doctor")
    assert result.exit_code == 0
    found = {finding.name: finding for finding in examine()}
    assert found["simulator torch"].works
    assert found["torch"].works
    assert found["python"].text.startswith(f"3.{sys.version_info[1]}")
    assert all(name in result.stdout for name in found)


def test_doctor_says_what_to_do_without_a_compiler(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("spiketrain.doctor.shutil.which", lambda name: None)
    found = {finding.name: finding for finding in examine()}
    assert not found["C++ compiler"].works
    assert "g++" in found["C++ compiler"].text


def test_doctor_survives_a_broken_simulator(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(group: str, name: str) -> Any:
        raise OSError("libnothing.so is missing")

    monkeypatch.setattr("spiketrain.doctor.load", broken)
    found = {finding.name: finding for finding in examine()}
    assert not found["simulator torch"].works
    assert "libnothing.so" in found["simulator torch"].text


def test_version() -> None:
    assert call("--version").stdout.startswith("spiketrain ")


def test_help_names_every_command() -> None:
    shown = call("--help").stdout
    assert all(name in shown for name in ("validate", "schema", "doctor", "configs", "--config", "--resume"))


@pytest.mark.usefixtures("here")
@pytest.mark.parametrize(
    ("error", "code", "words"),
    [
        (SimulationError("torch ran out of neurons"), 1, "torch ran out of neurons"),
        (RuntimeError("unexpected"), 1, "RuntimeError: unexpected"),
        (MemoryError("Unable to allocate 28. GiB"), 1, "not enough memory (Unable to allocate 28. GiB)"),
        (MemoryError(), 1, "there is not enough memory (no more said)"),
        (KeyboardInterrupt(), 130, "interrupted; go on with --resume --output runs/small"),
        (Terminated(), 143, "terminated; go on with --resume --output runs/small"),
        (SimulationError("lost"), 1, "lost; go on with --resume --output runs/small"),
        (
            OSError(errno.ENOSPC, "full", "a.svg"),
            1,
            "the disk is full: a.svg could not be written; go on with",
        ),
    ],
)
def test_a_failure_is_one_message(
    error: BaseException, code: int, words: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(experiment: Experiment, output: Path, **options: Any) -> None:
        output.mkdir(parents=True, exist_ok=True)
        (output / "config.yaml").touch()
        raise error

    monkeypatch.setattr("spiketrain.experiment.run", fail)
    result = call("--config", "small.yaml")
    assert result.exit_code == code
    assert words in result.stderr
    assert "Traceback" not in result.stderr
    assert result.stdout == ""
    shown = call("--config", "small.yaml", "--debug")
    assert shown.exit_code == code
    assert "Traceback" in shown.stderr


@pytest.mark.usefixtures("here")
def test_where_nothing_was_written_there_is_nothing_to_go_on_with(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*arguments: Any, **options: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("spiketrain.experiment.run", fail)
    assert call("--config", "small.yaml").stderr == "spiketrain: interrupted\n"


def test_flags_reach_the_run(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: dict[str, Any] = {}

    def run(experiment: Experiment, output: Path | None, **options: Any) -> Any:
        seen.update(options, experiment=experiment, output=output)
        return SimpleNamespace(directory=here, summary={"test_accuracy": [0.5], "diverged_chips": {}})

    monkeypatch.setattr("spiketrain.experiment.run", run)
    monkeypatch.setenv("SPIKETRAIN_DATA", str(here))
    result = call("-c", "small.yaml", "-s", "training.seed=3", "--output", "out", "--device", "cpu", "-q")
    assert (result.exit_code, result.stdout) == (0, "")
    assert seen["experiment"].training.seed == 3
    assert (seen["output"], seen["data_dir"], seen["quiet"], seen["resume"]) == (
        Path("out"),
        here,
        True,
        False,
    )


def test_a_resumed_run_needs_no_config(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (here / "out").mkdir()
    (here / "out" / "config.yaml").write_text(CONFIG.replace("task:", "name: first\ntask:"))
    seen: dict[str, Any] = {}

    def run(experiment: Experiment, output: Path | None, **options: Any) -> Any:
        seen.update(options, name=experiment.name)
        return SimpleNamespace(directory=here, summary={"test_accuracy": [0.5], "diverged_chips": {}})

    monkeypatch.setattr("spiketrain.experiment.run", run)
    assert call("--resume", "--output", "out").exit_code == 0
    assert (seen["name"], seen["resume"]) == ("first", True)


def test_the_table_names_mean_worst_and_spread(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "report.html").write_text("")
    summary = {"test_accuracy": [0.9, 0.3], "diverged_chips": {"1": "silent since epoch 1"}}
    show(tmp_path, summary, Console(width=100))
    rows = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert ["0", "90.0", "%"] in rows
    assert ["1", "30.0", "%", "silent", "since", "epoch", "1"] in rows
    assert ["mean", "60.0", "%"] in rows
    assert ["worst", "30.0", "%"] in rows
    assert ["spread", "60.0", "%", "best", "minus", "worst", "chip"] in rows
    assert ["report:", str(tmp_path / "report.html")] in rows


def test_the_whole_way(here: Path) -> None:
    done = subprocess.run(
        command("--config", "small.yaml", "--output", "run"), capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert "mean" in done.stdout
    assert "\x1b" not in done.stdout
    assert f"report: {Path('run') / 'report.html'}" in done.stdout
    summary = json.loads((here / "run" / "summary.json").read_text())
    assert (summary["rule"], summary["chips"], len(summary["test_accuracy"])) == ("dfc", 2, 2)
    again = subprocess.run(
        command("--config", "small.yaml", "--output", "run"), capture_output=True, text=True, check=False
    )
    assert again.returncode == 2
    assert "--resume" in again.stderr


NETWORKS = {
    "steady": [
        "network.neuron={model: rate, activation: tanh}",
        "network.output_neuron={activation: linear}",
        "network.bias_spread=0",
        "mismatch={chips: 2}",
        "bridge={encoding: current, target_rates: [0.0, 1.0]}",
        "rule=backprop",
    ],
    "cuda": ["simulator.emulate=true"],
}
"""What simulators need that do not run the network above, or not here."""


@pytest.mark.skipif(os.name != "posix", reason="signals are those of POSIX")
@pytest.mark.parametrize(
    ("number", "simulator"),
    [
        (signal.SIGINT, "torch"),
        *((signal.SIGTERM, name) for name in available("simulators") if name != "lava"),
    ],
)
def test_a_stopped_run_says_how_to_go_on(here: Path, number: signal.Signals, simulator: str) -> None:
    """Ctrl-C, and what SLURM and systemd send; for Lava see ``tests/lava/test_lava_command.py``."""
    changes = ["training.epochs=1000", *NETWORKS.get(simulator, []), f"simulator.name={simulator}"]
    overrides = [word for change in changes for word in ("--set", change)]
    child = subprocess.Popen(
        command("--config", "small.yaml", *overrides, "--output", "run"),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    deadline = time.monotonic() + 180
    while not (here / "run" / "checkpoint.safetensors").exists() and time.monotonic() < deadline:
        assert child.poll() is None, child.communicate()
        time.sleep(0.1)
    child.send_signal(number)
    _, errors = child.communicate(timeout=120)
    code, said = {signal.SIGINT: (130, "interrupted"), signal.SIGTERM: (143, "terminated")}[number]
    assert child.returncode == code, errors
    assert errors.splitlines()[-1] == f"spiketrain: {said}; go on with --resume --output run"
    assert "Traceback" not in errors


def test_output_may_be_cut_off() -> None:
    """A reader that leaves early (``spiketrain schema | head``) gets no traceback."""
    child = subprocess.Popen(command("schema"), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert child.stdout is not None
    assert child.stderr is not None
    child.stdout.close()
    assert "Traceback" not in child.stderr.read()
    child.stderr.close()
    child.wait(timeout=120)


def test_a_usage_error_needs_no_libraries() -> None:
    code = "import sys, spiketrain.cli; sys.exit(bool({'torch', 'brian2', 'matplotlib'} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
