"""Studies that are stopped from outside, or run out of disk: one message, and --resume finishes them."""

from __future__ import annotations

import errno
import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd
import psutil
import pytest
import yaml
from small_study import BASE, study
from typer.testing import CliRunner, Result

from root.errors import SimulationError
from spiketrain.cli import app
from spiketrain.studies.sweep import Options
from spiketrain.studies.tune import JOURNAL, tune

TUNE = {
    "trials": 3,
    "chips": 1,
    "search": {"training.learning_rate": {"low": 0.001, "high": 0.1, "log": True}},
}


def call(*arguments: object) -> Result:
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


@pytest.mark.skipif(os.name != "posix", reason="signals are those of POSIX")
@pytest.mark.parametrize("command", ["sweep", "tune"])
@pytest.mark.parametrize("to_group", [False, True], ids=["the driver", "all its processes"])
def test_sigterm_while_cells_are_computed(command: str, to_group: bool, tmp_path: Path) -> None:
    """As SLURM and systemd end a job: to the first process alone, or to all of them at once."""
    content = {"base": BASE, "set": {"training.epochs": 200}, "tune": TUNE}
    config, root = tmp_path / "config.yaml", tmp_path / "study"
    config.write_text(yaml.safe_dump(content))
    arguments = [
        sys.executable,
        "-m",
        "spiketrain.cli",
        command,
        "-c",
        config,
        "--workers",
        "1",
        "--output",
        root,
    ]
    with subprocess.Popen(arguments, stderr=subprocess.PIPE, text=True, start_new_session=True) as driver:
        end = time.monotonic() + 300
        while not list(root.glob("work/*/checkpoint.safetensors")):
            assert driver.poll() is None
            assert time.monotonic() < end
            time.sleep(0.05)
        below = psutil.Process(driver.pid).children(recursive=True)
        (os.killpg if to_group else os.kill)(driver.pid, signal.SIGTERM)
        errors = driver.communicate(timeout=120)[1]
    assert driver.returncode == 143, errors
    assert errors.splitlines()[-1] == f"spiketrain: terminated; go on with --resume --output {root}"
    assert not psutil.wait_procs(below, timeout=30)[1]
    assert list(root.glob("work/*/checkpoint.safetensors"))


def test_a_disk_that_fills_up_with_the_report(
    tmp_path: Path, scheduler: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    config, root = tmp_path / "small.yaml", tmp_path / "study"
    config.write_text(yaml.safe_dump({"base": BASE, "grid": {"mismatch.weight.cv": [0.1, 0.3]}}))
    fsync = os.fsync

    def full(handle: int) -> None:
        """The disk is full from the moment at which the report is begun."""
        if (root / "tables").exists():
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        fsync(handle)

    monkeypatch.setattr(os, "fsync", full)
    found = call("sweep", "-c", config, "--scheduler", scheduler, "--output", root, "-q")
    monkeypatch.undo()
    assert found.exit_code == 1
    assert found.stderr.startswith(f"spiketrain: the disk is full: {root}{os.sep}")
    assert found.stderr.endswith(f" could not be written; go on with --resume --output {root}\n")
    assert found.stderr.count("\n") == 1
    assert not (root / "report.html").exists()
    assert not list(root.rglob(".*.tmp"))
    cells = {path: path.stat().st_mtime_ns for path in root.glob("cells/*/summary.json")}
    assert call("sweep", "--resume", "--output", root, "-q").exit_code == 0
    assert (root / "report.html").is_file()
    assert {path: path.stat().st_mtime_ns for path in cells} == cells


def test_a_disk_that_fills_up_with_the_trials(
    tmp_path: Path, options: Options, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The journal of the search is cut off in the middle of a line; what comes after it can be read."""
    from optuna.storages.journal import JournalFileBackend  # noqa: PLC0415 (of the studies extra)

    config, calls = study(grid={}, tune=TUNE), list[Any]()
    append = JournalFileBackend.append_logs

    def full(backend: JournalFileBackend, logs: list[dict[str, Any]]) -> None:
        calls.append(logs)
        if len(calls) < 8:
            append(backend, logs)
            return
        with (tmp_path / "s" / JOURNAL).open("a") as file:
            file.write(json.dumps(logs[0])[:20])
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(JournalFileBackend, "append_logs", full)
    with pytest.raises((OSError, SimulationError)):
        tune(config, tmp_path / "s", options)
    monkeypatch.undo()
    assert not (tmp_path / "s" / JOURNAL).read_bytes().endswith(b"\n")
    resumed = tune(config, tmp_path / "s", replace(options, resume=True))[1]
    whole = tune(config, tmp_path / "whole", options)[1]
    pd.testing.assert_frame_equal(resumed, whole)
