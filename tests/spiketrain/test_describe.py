"""What is trained, in a line, and how a number over chips is said."""

from __future__ import annotations

import pytest

from spiketrain.config import load_experiment
from spiketrain.describe import count, mismatch, spread


def test_a_shipped_config_in_a_few_words() -> None:
    section = load_experiment("dfc_lif").resolved()["mismatch"]
    assert mismatch(section) == "mismatch: threshold, tau m and weight 20 %"


@pytest.mark.parametrize(
    ("section", "said"),
    [
        ({"chips": 4, "seed": 1, "first_chip": 0, "shadow": "own", "preset": None}, "no mismatch"),
        (
            {"chips": 1, "weight": {"distribution": "normal", "cv": 0.125}, "faults": {"dead": 0.1}},
            "mismatch: weight 12.5 %, faults",
        ),
        ({"bias": {"distribution": "mixture", "parts": []}}, "mismatch: bias (mixture)"),
    ],
)
def test_what_deviates(section: dict[str, object], said: str) -> None:
    assert mismatch(section) == said


def test_counts_and_spreads() -> None:
    assert [count(n, noun) for n, noun in ((1, "chip"), (2, "batch"), (12, "epoch"))] == [
        "1 chip",
        "2 batches",
        "12 epochs",
    ]
    assert spread("test_accuracy", [0.5, 0.75]) == "test accuracy 62.5 % mean, 50.0 % worst of 2 chips"
    assert spread("output_error", [0.1, 0.3]) == "output error 0.2 mean, 0.3 worst of 2 chips"
    assert spread("test_accuracy", [0.5]) == "test accuracy 50.0 %"
