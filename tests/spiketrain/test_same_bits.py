"""The same config gives the same bits, of every file, whatever the process happens to hash texts to."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

CONFIG = """\
name: same
task: {name: yinyang, train_samples: 60, test_samples: 30, validation_samples: 30}
network: {layers: [4, 8, 3], neuron: {model: lif, bias: 0.5}}
mismatch:
  chips: 2
  threshold: {distribution: normal, cv: 0.2}
  tau_m: {distribution: lognormal, cv: 0.2}
  weight: {distribution: normal, cv: 0.1}
  faults: {stuck_zero: 0.05}
rule: {name: dfc, prediction: basal, controller: {kp: 0.5}}
simulator: {name: torch, presentation_ms: 20, window_ms: 10}
training: {epochs: 1, batch: 20, learning_rate: 0.5}
"""

TIMES = ("seconds", "train_samples_per_second", "date")
DATE = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d")
PACE = ("training time", "training samples per second")


def _start(root: Path, seed: str, simulator: str) -> tuple[subprocess.Popen[bytes], Path]:
    folder = root / seed
    folder.mkdir()
    (folder / "same.yaml").write_text(CONFIG)
    options = ["--set", f"simulator.name={simulator}", "--output", "run", "--quiet"]
    process = subprocess.Popen(
        [sys.executable, "-m", "spiketrain.cli", "--config", "same.yaml", *options],
        env={**os.environ, "PYTHONHASHSEED": seed},
        cwd=folder,
    )
    return process, folder / "run"


def _content(path: Path) -> object:
    """Return a file's bytes, but for the wall-clock times that are measured."""
    if path.name == "summary.json":
        return {key: value for key, value in json.loads(path.read_text()).items() if key not in TIMES}
    if path.name == "metrics.csv":
        rows = [line.split(",") for line in path.read_text().splitlines()]
        return [[cell for name, cell in zip(rows[0], row, strict=True) if name not in TIMES] for row in rows]
    if path.name == "report.html":
        lines = path.read_text().splitlines()
        return [line for line in lines if not (any(words in line for words in PACE) or DATE.search(line))]
    return path.read_bytes()


@pytest.mark.parametrize("simulator", ["torch", "compiled", "loihi"])
def test_every_file_of_a_run_is_the_same_in_another_process(simulator: str, tmp_path: Path) -> None:
    started = [_start(tmp_path, seed, simulator) for seed in ("1", "2")]  # both cores have something to do
    assert [process.wait() for process, _ in started] == [0, 0]
    one, two = (folder for _, folder in started)
    files = sorted(path.relative_to(one) for path in one.rglob("*") if path.is_file())
    assert files == sorted(path.relative_to(two) for path in two.rglob("*") if path.is_file())
    assert {"samples.safetensors", "checkpoint.safetensors", "report.html"} <= {path.name for path in files}
    different = [str(path) for path in files if _content(one / path) != _content(two / path)]
    assert different == []
