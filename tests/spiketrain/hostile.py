"""A small run that files are taken from and damaged in, and what a refusal looks like."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from typer.testing import CliRunner

from spiketrain.cli import app

CONFIG: dict[str, Any] = {
    "task": {"name": "yinyang", "train_samples": 64, "validation_samples": 4, "test_samples": 8},
    "network": {"layers": [4, 6, 3], "neuron": {"model": "lif", "bias": 1.0}},
    "mismatch": {"chips": 2, "threshold": {"distribution": "normal", "cv": 0.2}},
    "rule": {"name": "dfc"},
    "simulator": {"name": "torch", "presentation_ms": 10, "window_ms": 5},
    "training": {"epochs": 2, "batch": 32, "learning_rate": 0.1, "optimizer": "adam"},
}


def refused(folder: Path, arguments: list[str], words: str) -> None:
    before = {path: path.lstat().st_mtime_ns for path in folder.rglob("*") if path.is_file()}
    result = CliRunner().invoke(app, arguments)
    assert result.exit_code == 2, (result.output, result.exception)
    assert words in result.stderr, result.stderr
    assert result.stderr.count("\n") == 1
    after = {path: path.lstat().st_mtime_ns for path in folder.rglob("*") if path.is_file()}
    for path in (folder / ".lock",):
        before.pop(path, None), after.pop(path, None)
    assert after == before
