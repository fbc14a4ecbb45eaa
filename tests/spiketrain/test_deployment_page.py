"""A deployment's page looks as a run's does: one file, layers by their names, readable on a telephone."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from test_report import CHROMIUM, Page, seen_on_a_telephone

from spiketrain.deployment.page import write_page

SUMMARY: dict[str, Any] = {
    "target": "loihi2",
    "run": "runs/<mine>",
    "chips": [0, 1],
    "samples": 360,
    "test_accuracy_before": [0.95, 0.93],
    "test_accuracy_not_tuned": [0.9, 0.92],
    "fine_tuned_epochs": 1,
    "test_accuracy": [0.94, 0.925],
    "test_accuracy_mean": 0.9325,
    "test_accuracy_min": 0.925,
    "largest_loss": 0.01,
    "emulator_equals_lava": True,
    "largest_difference": 0.0,
    "quantisation": [
        {
            "where": "layer 1",
            "name": "threshold",
            "values": 40,
            "rounded": 39,
            "clipped": 0,
            "relative_error": 1e-3,
        }
    ],
    "cost": {
        "spikes_per_sample": {"layer 0": 900.0, "layer 1": 200.5, "layer 2": 30.25},
        "synaptic_operations_per_sample": 12345.0,
        "neuron_updates_per_sample": 3000,
        "steps_per_sample": 60,
        "latency_steps": 2,
        "energy_uj_per_sample_estimate": 0.5,
        "energy_source": "somebody 2020",
        "memory": {
            "layers": [
                {
                    "layer": 2,
                    "cores": 1,
                    "neurons_per_core": 10,
                    "synapse_bytes_per_core": 400,
                    "neuron_bytes_per_core": 160,
                    "share_of_core_memory": 0.004,
                }
            ],
            "cores": 1,
            "fits_one_chip": True,
            "source": "somebody else 2021",
        },
    },
    "speed": {
        "emulator_seconds": 1.0,
        "lava_seconds": 30.0,
        "lava_seconds_one_at_a_time": 100.0,
        "samples_timed_one_at_a_time": 5,
        "emulator_times_faster": 30.0,
        "emulator_times_faster_than_one_at_a_time": 100.0,
    },
    "versions": {"python": "3.11"},
    "git": None,
    "date": "2026-11-01T00:00:00+00:00",
    "host": "here",
    "command": "spiketrain deploy runs/mine",
}


@pytest.fixture(scope="module")
def text(tmp_path_factory: pytest.TempPathFactory) -> str:
    path = tmp_path_factory.mktemp("deployed") / "deployment.html"
    write_page(path, SUMMARY)
    return path.read_text(encoding="utf-8")


def test_it_is_a_page_of_the_same_kind(text: str) -> None:
    page = Page(text)
    assert page.open == []
    assert "http" not in text
    assert "<script" not in text
    assert "runs/&lt;mine&gt;" in text
    assert "@media (prefers-color-scheme: dark)" in text
    for link in (a["href"] for tag, a in page.tags if tag == "a"):
        assert str(link).removeprefix("#") in page.ids
    for words in (
        "93.2 % test accuracy (mean), 92.5 % on the worst chip",
        "−1.0",
        "spiketrain deploy runs/mine",
    ):
        assert words.replace("−", "-") in text


def test_layers_have_their_names(text: str) -> None:
    assert "spikes, input" in text
    assert "spikes, output" in text
    assert '<th scope="row">hidden</th><td>threshold</td>' in text
    assert "layer 1" not in text


@pytest.mark.skipif(CHROMIUM is None, reason="no Chromium on this system")
def test_a_telephone_shows_it(text: str, tmp_path: Path) -> None:
    seen = seen_on_a_telephone(text, tmp_path)
    assert seen["wide"] <= 400
    assert seen["type"] >= 10.0
