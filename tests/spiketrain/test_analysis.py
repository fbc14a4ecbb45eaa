"""Measures against the true chips: columns of the metrics, without any effect on what is learnt."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest
import torch
from safetensors.torch import load_file

from root.errors import InputError
from spiketrain.config import Experiment, load_experiment
from spiketrain.experiment import run

SHORT = ["mismatch.chips=2", "training.epochs=1", "training.batch=256"]


def test_measures_are_columns_and_change_nothing(tmp_path: Path) -> None:
    for name in ("true", "false"):
        experiment = load_experiment("rate/dfc_digits", [*SHORT, f"analysis.measures={name}"])
        run(experiment, tmp_path / name, quiet=True, report=False)
    metrics = pd.read_csv(tmp_path / "true" / "metrics.csv").query("epoch == 1")
    ratios = metrics["c2_ratio"]
    assert ((ratios > 0) & (ratios <= 1)).all()
    weights = [load_file(tmp_path / name / "weights.safetensors") for name in ("true", "false")]
    assert all(torch.equal(weights[0][name], weights[1][name]) for name in weights[0])


def test_measures_of_spiking_chips_are_refused() -> None:
    with pytest.raises(InputError, match=r"analysis\.measures"):
        load_experiment("spiking/dfc_two_phase_digits.yaml", ["analysis.measures=true"])


def test_measures_of_one_model_for_all_chips_are_refused() -> None:
    plain = load_experiment("rate/backprop_digits").resolved()
    plain["training"]["arm"] = "offline"
    plain["analysis"]["measures"] = True
    with pytest.raises(InputError, match=r"analysis\.measures"):
        Experiment.from_mapping(plain)
