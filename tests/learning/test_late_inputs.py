"""Synapses of late connections learn of what reaches them, not of what is sent just then."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch

from learning.stimulus import SHARED, Batch, Stimulus
from rate_bridge.encodings import PhaseEncoding
from rate_bridge.sequences import Series
from root.seeds import SeedTree
from spiketrain.config import Experiment
from spiketrain.evaluation import judged
from spiketrain.experiment import learn
from spiketrain.parts import build
from spiketrain.tasks.base import TaskData
from spiking.network import Connection, Layer, Network
from spiking.neurons import LIF

STEP_MS, LATE = 40.0, 13


def network() -> Network:
    connections = (Connection(0, 1), Connection(1, 2), Connection(0, 2, LATE), Connection(1, 1, 5))
    return Network(3, (Layer(4, LIF()), Layer(2, LIF())), connections, max_rate_hz=250.0)


def stimulus(windows: int) -> Stimulus:
    return Stimulus(network(), PhaseEncoding(), SeedTree(5), 120, 30, "hann", windows=windows)


def batch() -> Batch:
    g = np.random.default_rng(2)
    x = Series.of([g.random((number, 3)) for number in (3, 1, 2)], STEP_MS)
    return Batch(x, torch.zeros(3, 2, dtype=torch.float64), ("train", 1))


@pytest.mark.parametrize("windows", [1, 3])
@pytest.mark.parametrize("name", ["free", SHARED])
def test_rates_are_counted_where_spikes_arrive(windows, name):
    shown, given = stimulus(windows), batch()
    found = shown.late(given, name)
    assert list(found) == [2]  # neither the connections that are not late, nor those between populations
    phase = shown.phase(name, given)
    spikes, value = phase.drive.spikes.numpy(), network().spike_value
    sample, number = (places.tolist() for places in phase.rows)
    assert found[2].shape == (1, len(sample), 3)
    size = phase.steps // windows
    for row, (s, k) in enumerate(zip(sample, number, strict=True)):
        total, weighed = 0.0, np.zeros(3)
        for t in range(k * size, (k + 1) * size):
            weight = float(phase.weights[s, t])
            total += weight
            if t >= LATE - 1:
                weighed += weight * spikes[s, t - LATE + 1]
        np.testing.assert_allclose(found[2][0, row].numpy(), value * weighed / total, atol=1e-12)


def test_windows_that_count_as_one_are_one_row():
    shown, given = stimulus(3), batch()
    found = shown.late(given, SHARED, one_window=True)
    assert found[2].shape == (1, 3, 3)
    assert not shown.late(replace(given, x=torch.rand(3, 3, dtype=torch.float64)), "free")


BASE: dict[str, Any] = {
    "name": "late",
    "task": {"name": "arrays"},
    "network": {
        "input": [2],
        "populations": {"output": {"size": 2}},
        "connections": {
            "now": {"pre": "input", "post": "output", "weight_gain": 0.3},
            "before": {"pre": "input", "post": "output", "weight_gain": 0.3, "delay_ms": STEP_MS},
        },
        "neuron": {"model": "lif", "tau_m_ms": 10, "tau_syn_ms": 5, "bias": 1.0},
    },
    "mismatch": {"chips": 2, "seed": 2, "weight": {"distribution": "normal", "cv": 0.2}},
    "bridge": {"max_rate_hz": 200},
    "simulator": {"name": "compiled", "dt_ms": 2, "presentation_ms": 2 * STEP_MS, "window_ms": 30},
    "training": {"epochs": 6, "batch": 10, "learning_rate": 0.1, "optimizer": "adam"},
}

RULES = {
    "control": {"name": "dfc", "prediction": "none", "controller": {"kp": 0.3, "ki_per_ms": 0.0}},
    "the error": {"name": "backprop", "output_slope": False},
    "noise": {"name": "node_perturbation", "draws": 4},
    "the read-out": {"name": "readout_only"},
    "through time": {"name": "surrogate_bptt", "steepness": 5.0},
}


def what_came_first() -> TaskData:
    """One of two inputs is high, then one of them again: the first one counts."""
    g = np.random.default_rng(0)
    y = np.arange(80) // 2 % 2
    x = np.full((80, 2, 2), 0.1)
    x[np.arange(80), 0, y] = 0.9
    x[np.arange(80), 1, np.arange(80) % 2] = 0.9
    order = g.permutation(80)
    x, y = x[order], y[order]
    return TaskData.of_arrays(
        (Series.of(x[:60], STEP_MS), y[:60]), (Series.of(x[60:], STEP_MS), y[60:]), classes=2
    )


@pytest.mark.parametrize("rule", RULES)
def test_what_came_first_is_learned_through_a_late_connection(rule):
    met = build(Experiment.from_mapping({**BASE, "rule": RULES[rule]}), None, what_came_first())
    for epoch in range(met.experiment.training.epochs):
        for shown in met.batches(epoch):
            learn(met, shown, met.learning_rate)
    said, wanted = judged(met, "test")
    assert (said.argmax(-1) == wanted).double().mean() >= 0.95
