"""The experiment as a whole: chips are slices, runs repeat, and a killed run ends with the same bits."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import torch
import yaml
from safetensors.torch import load_file

import spiketrain.experiment as experiment_module
from learning.stimulus import Batch
from root.errors import InputError
from spiketrain.config import Experiment
from spiketrain.experiment import run
from spiketrain.outcome import show


def small(**changes: object) -> dict[str, object]:
    """Return a config that trains in seconds; changes are by dotted keys."""
    config: dict[str, object] = {
        "name": "small",
        "task": {"name": "digits"},
        "network": {"layers": [64, 20, 10], "neuron": {"model": "lif", "bias": 1.0}, "bias_spread": 0.5},
        "mismatch": {
            "chips": 2,
            "seed": 3,
            "threshold": {"distribution": "normal", "cv": 0.2},
            "tau_m": {"distribution": "normal", "cv": 0.2},
            "weight": {"distribution": "normal", "cv": 0.2},
        },
        "rule": {"name": "dfc", "controller": {"kp": 1.0, "ki_per_ms": 0.02}},
        "simulator": {"name": "torch", "presentation_ms": 40, "window_ms": 30},
        "training": {
            "epochs": 2,
            "batch": 128,
            "learning_rate": 3.0,
            "optimizer": {"name": "nlms"},
            "average": 0.9,
            "guard": {"residual": 0.15, "batches": 5},
        },
    }
    for key, value in changes.items():
        section, _, rest = key.partition("__")
        if rest:
            config[section] = {**config[section], rest: value}  # type: ignore[dict-item]
        else:
            config[section] = value
    return config


def train(directory: Path, *, resume: bool = False, **changes: object) -> dict[str, torch.Tensor]:
    experiment = Experiment.from_mapping(small(**changes))
    run(experiment, directory, resume=resume, quiet=True, report=False)
    return load_file(directory / "weights.safetensors")


def same(first: dict[str, torch.Tensor], second: dict[str, torch.Tensor]) -> bool:
    return first.keys() == second.keys() and all(torch.equal(first[k], second[k]) for k in first)


def test_the_same_config_gives_the_same_bits(tmp_path: Path) -> None:
    assert same(train(tmp_path / "a"), train(tmp_path / "b"))


def test_a_run_of_a_version_that_knew_fewer_keys_goes_on(tmp_path: Path) -> None:
    """A key that it lacks may have its default, and nothing else."""
    train(tmp_path / "old", training__epochs=1)
    config = tmp_path / "old" / "config.yaml"
    stored = yaml.safe_load(config.read_text())
    del stored["training"]["plasticity"], stored["rule"]["output"]
    config.write_text(yaml.safe_dump(stored))
    assert same(train(tmp_path / "old", resume=True), train(tmp_path / "new"))
    del stored["training"]["average"]
    config.write_text(yaml.safe_dump(stored))
    with pytest.raises(InputError, match=r"training\.average"):
        train(tmp_path / "old", resume=True)


def test_another_training_seed_gives_other_weights_on_the_same_chips(tmp_path: Path) -> None:
    train(tmp_path / "a", training__seed=0, training__epochs=1)
    train(tmp_path / "b", training__seed=1, training__epochs=1)
    truths = [load_file(tmp_path / name / "truth.safetensors") for name in "ab"]
    assert torch.equal(truths[0]["neuron.1.threshold"], truths[1]["neuron.1.threshold"])
    assert not torch.equal(truths[0]["weight.1"], truths[1]["weight.1"])


def test_a_chip_is_a_slice(tmp_path: Path) -> None:
    """Chip 5 of 8 has the same training history as chip 5 alone."""
    together = train(tmp_path / "eight", mismatch={**small()["mismatch"], "chips": 8})  # type: ignore[dict-item]
    alone = train(tmp_path / "one", mismatch={**small()["mismatch"], "chips": 1, "first_chip": 5})  # type: ignore[dict-item]
    for name, weights in alone.items():
        torch.testing.assert_close(weights[0], together[name][5], rtol=0, atol=1e-12)
    histories = [(tmp_path / name / "metrics.csv").read_text().splitlines() for name in ("eight", "one")]
    header = histories[0][0].split(",")
    column, chip = header.index("test_accuracy"), header.index("chip")
    of_eight = [row.split(",")[column] for row in histories[0][1:] if row.split(",")[chip] == "5"]
    assert of_eight == [row.split(",")[column] for row in histories[1][1:]]


def test_learning_beats_a_read_out_on_random_features(tmp_path: Path) -> None:
    """Chance is .1; the hidden layer learns, too, or it would be no better than its random start."""
    means = {}
    for rule in (small()["rule"], {"name": "readout_only"}):
        train(
            tmp_path / rule["name"],  # type: ignore[index]
            rule=rule,
            simulator={"name": "torch", "presentation_ms": 100, "window_ms": 60},
            training__batch=32,
            training__epochs=3,
        )
        summary = json.loads((tmp_path / rule["name"] / "summary.json").read_text())  # type: ignore[index]
        means[summary["rule"]] = summary["test_accuracy_mean"]
    assert means["dfc"] > 0.8
    assert means["dfc"] > means["readout_only"] + 0.02


def test_a_chip_that_diverges_is_named_and_the_others_go_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    healthy = train(tmp_path / "healthy", training__epochs=1, training__guard=None)
    build = experiment_module.build

    def poisoned(*arguments: object) -> object:
        parts = build(*arguments)  # type: ignore[arg-type]
        parts.model.forward_weights[0].data[0] = float("nan")
        return parts

    monkeypatch.setattr(experiment_module, "build", poisoned)
    broken = train(tmp_path / "broken", training__epochs=1, training__guard=None)
    summary = json.loads((tmp_path / "broken" / "summary.json").read_text())
    assert list(summary["diverged_chips"]) == ["0"]
    assert "not finite" in summary["diverged_chips"]["0"]
    for name, weights in healthy.items():
        torch.testing.assert_close(broken[name][1], weights[1], rtol=0, atol=1e-12)


def test_a_chip_that_is_knocked_over_is_set_back_and_reported(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    healthy = train(tmp_path / "healthy")
    learn = experiment_module.learn

    def knocking(parts: Any, batch: Batch, learning_rate: float) -> object:
        if batch.key[1:] == (1, 3):
            parts.model.forward_weights[0].data[0] = float("nan")
        return learn(parts, batch, learning_rate)

    monkeypatch.setattr(experiment_module, "learn", knocking)
    knocked = train(tmp_path / "knocked")
    summary = json.loads((tmp_path / "knocked" / "summary.json").read_text())
    assert (summary["set_back_chips"], summary["diverged_chips"]) == ({"0": 1}, {})
    assert all(bool(weights.isfinite().all()) for weights in knocked.values())
    for name, weights in healthy.items():
        torch.testing.assert_close(knocked[name][1], weights[1], rtol=0, atol=1e-12)
    metrics = pd.read_csv(tmp_path / "knocked" / "metrics.csv").set_index(["epoch", "chip"])
    assert metrics["setbacks"].dropna().tolist() == [0, 0, 1, 0]
    assert metrics.loc[(2, 0), "step_scale"] <= 0.5
    show(tmp_path / "knocked", summary)
    assert "set back 1 time" in capsys.readouterr().out


PROGRAM = """
import sys
from pathlib import Path
import torch
torch.set_num_threads(1)
import yaml
from spiketrain.config import Experiment
from spiketrain.experiment import run
config, directory, resume = sys.argv[1:]
experiment = Experiment.from_mapping(yaml.safe_load(Path(config).read_text()))
run(experiment, Path(directory), resume=resume == "resume", quiet=True, report=False)
"""


def test_a_killed_run_resumes_to_the_same_bits(tmp_path: Path) -> None:
    changes = {
        "training__epochs": 3,
        "training__optimizer": {"name": "adam"},
        "training__learning_rate": 0.01,
    }
    config = tmp_path / "config.yaml"
    config.write_text(yaml.safe_dump(small(**changes)))
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}

    def start(name: str, resume: str) -> subprocess.Popen[bytes]:
        command = [sys.executable, "-c", PROGRAM, str(config), str(tmp_path / name), resume]
        return subprocess.Popen(command, env=environment)

    assert start("whole", "new").wait() == 0
    moments = random.Random(0)
    killed = 0
    resume = "new"
    for _ in range(4):
        child = start("killed", resume)
        deadline = time.monotonic() + moments.uniform(2.5, 5.0)
        while child.poll() is None and time.monotonic() < deadline:
            time.sleep(0.01)
        if child.poll() is not None:
            break
        child.send_signal(signal.SIGKILL)
        child.wait()
        killed += 1
        resume = "resume" if (tmp_path / "killed").is_dir() else "new"
    else:
        assert start("killed", resume).wait() == 0
    assert killed >= 1
    whole, resumed = (load_file(tmp_path / name / "weights.safetensors") for name in ("whole", "killed"))
    assert same(whole, resumed)
    accuracies = [
        json.loads((tmp_path / name / "summary.json").read_text())["test_accuracy"]
        for name in ("whole", "killed")
    ]
    assert accuracies[0] == accuracies[1]
