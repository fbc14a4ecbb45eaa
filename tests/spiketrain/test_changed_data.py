"""Runs whose data, or measured devices, are no longer those that they began with."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hostile import CONFIG, refused
from typer.testing import CliRunner

from root.errors import InputError
from spiketrain.cli import app
from spiketrain.config import Experiment
from spiketrain.deployment.source import read_run
from spiketrain.experiment import run
from spiketrain.record.files import (
    read_yaml,
    write_yaml,
)


@pytest.fixture
def on_files(tmp_path: Path) -> tuple[Path, dict[str, Any]]:
    """A run on samples and measured devices from files."""
    rng = np.random.default_rng(0)
    data = {"x": rng.random((90, 4)), "y": np.arange(90) % 3}
    np.savez(tmp_path / "d.npz", **data)
    (tmp_path / "devices.csv").write_text("0.9\n1.0\n1.1\n")
    devices = {"distribution": "empirical", "file": str(tmp_path / "devices.csv")}
    changed = {"task": {"name": "npz", "file": "d.npz"}, "mismatch": {"chips": 1, "threshold": devices}}
    experiment = Experiment.from_mapping({"name": "small", **CONFIG, **changed})
    run(experiment, tmp_path / "run", data_dir=tmp_path, quiet=True, report=False)
    return tmp_path / "run", data


def test_a_run_goes_on_and_is_deployed_with_its_own_data(on_files: tuple[Path, dict[str, Any]]) -> None:
    folder, data = on_files
    place = folder.parent
    np.savez_compressed(place / "d.npz", **data)  # packed in another way: the same data
    again = ["-q", "--resume", "--output", str(folder), "--data-dir", str(place)]
    assert CliRunner().invoke(app, [*again, "--set", "training.epochs=3"]).exit_code == 0
    read_run(folder, None, place).parts("torch")
    np.savez(place / "d.npz", **{**data, "y": np.roll(data["y"], 1)})
    refused(folder, again, "task.sha256")
    with pytest.raises(InputError, match=r"task\.sha256: .*The data have changed"):
        read_run(folder, None, place).parts("torch")
    stored = read_yaml(folder / "config.yaml")
    del stored["task"]["sha256"]
    own = folder.parent / "own.yaml"
    write_yaml(own, stored)
    refused(folder, [*again, "--config", str(own), "--set", "name=small"], "task.sha256")


def test_a_run_of_an_earlier_version_has_no_checksum(on_files: tuple[Path, dict[str, Any]]) -> None:
    folder, _ = on_files
    stored = read_yaml(folder / "config.yaml")
    del stored["task"]["sha256"], stored["mismatch"]["threshold"]["sha256"]
    write_yaml(folder / "config.yaml", stored)
    again = ["-q", "--resume", "--output", str(folder), "--data-dir", str(folder.parent)]
    result = CliRunner().invoke(app, again)
    assert result.exit_code == 0, result.output
    assert len(read_yaml(folder / "config.yaml")["task"]["sha256"]) == 64


def test_a_run_goes_on_with_its_own_devices(on_files: tuple[Path, dict[str, Any]]) -> None:
    folder, _ = on_files
    (folder.parent / "devices.csv").write_text("0.9\n1.0\n1.2\n")
    again = ["-q", "--resume", "--output", str(folder), "--data-dir", str(folder.parent)]
    refused(folder, again, "mismatch.threshold.sha256")
    refused(folder, ["deploy", str(folder), "--data-dir", str(folder.parent)], "mismatch.threshold.sha256")


def test_a_checksum_of_nothing_is_refused(tmp_path: Path) -> None:
    experiment = Experiment.from_mapping({"name": "x", **CONFIG, "task": {**CONFIG["task"], "sha256": "ab"}})
    with pytest.raises(InputError, match=r"task\.sha256: .*reads no file"):
        run(experiment, tmp_path / "run", quiet=True)
    assert not (tmp_path / "run").exists()
