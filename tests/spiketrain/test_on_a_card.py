"""Whole runs on a pretended GPU: no operation mixes devices, and the results are the processor's bit for bit.

Every rule, arm, optimiser and kind of imperfection goes through every simulator that moves.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from pretended_card import CARD, PretendedCard

import spiketrain as st
from root.errors import UnsupportedError
from root.plugins import available, load

SPIKING = {"model": "lif", "bias": 1.2, "tau_m_ms": 8.0}
RATES = {"model": "rate", "activation": "tanh", "tau_ms": 4.0}
DEVIATES = {"distribution": "normal", "cv": 0.2}
SHORT = {"presentation_ms": 8, "window_ms": 6}
BASE: dict[str, Any] = {
    "network": {"layers": [5, 6, 4, 3], "neuron": SPIKING, "bias_spread": 0.5},
    "mismatch": {"chips": 2, "seed": 3, "weight": DEVIATES},
    "rule": {"name": "dfc"},
    "simulator": {"name": "torch", **SHORT},
    "training": {"epochs": 1, "batch": 6, "learning_rate": 0.5, "optimizer": "nlms"},
}
MOVING = [name for name in available("simulators") if load("simulators", name).moves]
TENSORS = [name for name in MOVING if not load("simulators", name).anywhere]
"""Those that compute on the processor too; the kernel has a suite of its own."""


def samples(count: int, seed: int) -> tuple[Any, Any]:
    numbers = np.random.default_rng(seed)
    y = np.arange(count) % 3
    x = numbers.uniform(0.0, 0.4, (count, 5))
    x[np.arange(count), y] += 0.6
    return x, y


DATA, TEST = samples(12, 0), samples(6, 1)


def both(changes: dict[str, Any]) -> tuple[st.Run, st.Run, PretendedCard]:
    """Train on the processor and on the card; what cannot settle is not for the steady simulator."""
    try:
        setup = st.load(BASE, changes)
        expected = setup.fit(*DATA, test=TEST)
    except st.InputError as error:
        if changes.get("simulator.name") != "steady":
            raise
        pytest.skip(str(error))
    with PretendedCard() as card:
        given = setup.change({"simulator.device": str(CARD)}).fit(*DATA, test=TEST)
    return expected, given, card


def same(changes: dict[str, Any]) -> None:
    expected, given, _ = both(changes)
    for name, weights in expected.weights.items():
        assert np.array_equal(given.weights[name], weights, equal_nan=True), name
    assert np.array_equal(given.accuracy, expected.accuracy)


def wired(rule: str, neuron: dict[str, Any]) -> dict[str, Any]:
    symmetric = rule == "equilibrium_propagation"
    whole = rule in {"surrogate_bptt", "e_prop", "eventprop", "weight_perturbation"} or symmetric
    optimizer = "adam" if whole else "nlms"
    made = {"rule": rule, "network.neuron": neuron, "training.optimizer": optimizer}
    if rule == "eventprop":
        made["network.output_neuron"] = {"model": "li"}
    if rule == "strong_dfc":
        made["rule.feedback"] = {"name": "learned", "warmup": 1}
    if load("rules", rule).needs_truth:
        made["training.arm"] = "oracle"
    return made | ({"network.bidirectional": True} if symmetric else {})


@pytest.mark.parametrize("simulator", TENSORS)
@pytest.mark.parametrize("rule", available("rules"))
def test_every_rule(rule: str, simulator: str) -> None:
    if rule in {"follow", "force"}:
        pytest.skip("it learns systems, not labels: see test_learned_dynamics")
    spiking = {"surrogate_bptt", "e_prop", "eventprop", "dfc", "backprop"}
    plain = rule in spiking and simulator == "torch"
    changes = wired(rule, SPIKING if plain else RATES) | {"simulator.name": simulator}
    same(changes if plain else changes | {"bridge.encoding": "current"})


OPTIONS: dict[str, dict[str, Any]] = {
    "identified": {"rule.feedback": {"name": "identified", "warmup": 1}},
    "learned": {"rule.feedback": {"name": "learned", "warmup": 1}},
    "relayed, identified": {
        "network.feedback": "layered",
        "rule.feedback": {"name": "identified_layers", "warmup": 1},
        "rule.gate": "measured",
    },
    "relayed, slopes": {"network.feedback": "layered", "rule.feedback": "transposed", "rule.gate": "slope"},
    "guarded": {"training.guard": {"residual": 0.3, "fall": 1.01, "batches": 1}, "training.optimizer": "sgd"},
    "calibrated": {"training.arm": "calibrated", "rule": "backprop"},
    "oracle": {"training.arm": "oracle", "rule": "backprop"},
    "aware": {"training.arm": "aware", "rule": "backprop", "training.optimizer": "adam"},
    "offline": {"training.arm": "offline", "rule": "backprop", "training.optimizer": "adam"},
    "measures": {
        "analysis.measures": True,
        "network.neuron": RATES,
        "bridge.encoding": "current",
    },
    "delays": {"mismatch.delay": {"distribution": "normal", "cv": 0.5}, "network.delay_ms": 2},
    "on the chip": {
        "training.plasticity": "on_chip",
        "training.optimizer": "sgd",
        "rule.prediction": "basal",
    },
}


@pytest.mark.parametrize("name", OPTIONS)
def test_every_option(name: str) -> None:
    same(OPTIONS[name])


IMPERFECTIONS: dict[str, dict[str, Any]] = {
    "clipping": {"range": 1.5},
    "conductance_drift": {},
    "dead_zone": {"smallest": 1e-4},
    "endurance": {"writes": 2.0},
    "faults": {"dead": 0.1, "firing": 0.1, "stuck_zero": 0.1, "rows": 0.1, "stuck_on": 0.1},
    "measured": {"file": str(Path(__file__).parents[1] / "mismatch" / "measured_lif.csv")},
    "membrane_noise": {"density": 0.1},
    "random_walk": {"std": {"threshold": 0.1}},
    "read_noise": {"std": 0.05},
    "resolution": {"bits": 6, "range": 2.0, "rounding": "stochastic"},
    "temperature": {"coefficients": {"threshold": 0.01}},
    "updates": {"range": 2.0, "spread": 0.1, "asymmetry_spread": 0.1, "cycle_std": 0.1},
    "write_noise": {"std": 0.01},
}


def test_all_imperfections_at_once() -> None:
    assert set(IMPERFECTIONS) == set(available("imperfections"))
    same({f"mismatch.{kind}": given for kind, given in IMPERFECTIONS.items()} | {"rule": "backprop"})


def test_machines_that_stay_on_the_processor_say_so() -> None:
    for name in set(available("simulators")) - set(MOVING):
        with pytest.raises(UnsupportedError, match=r"simulator\.device.*cpu"):
            load("simulators", name)(device=str(CARD))


def test_the_pretended_card_finds_what_cuda_would() -> None:
    with PretendedCard():
        there = torch.ones(3).to(CARD)
        for wrong in (lambda: there + torch.ones(3), lambda: torch.ones(3).add_(there)):
            with pytest.raises(RuntimeError, match="same device"):
                wrong()
        integers = torch.ones(2, 2, dtype=torch.int64).to(CARD)
        with pytest.raises(RuntimeError, match="not implemented"):
            torch.matmul(integers, integers)
        assert (there + torch.ones(())).tolist() == [2.0, 2.0, 2.0]


def test_weights_stay_on_the_card() -> None:
    """Two more batches move inputs, states and figures, and no synapse: there are 2 x 60 x 40 of them."""
    moved = []
    for count in (6, 18):
        with PretendedCard() as card:
            setup = st.load(BASE, {"network.layers": [5, 60, 40, 3], "simulator.device": str(CARD)})
            setup.fit(*samples(count, 0), test=TEST)
        moved.append(card)
    most = 2 * 60 * 40 * 8
    for way in ("up", "down"):
        large = [sum(w == way and size >= most for w, _, size in card.moves) for card in moved]
        assert large[0] == large[1], way


@pytest.mark.parametrize("rule", ["follow", "force"])
def test_learned_dynamics(rule: str) -> None:
    """A system is learned on the card as on the processor."""
    small = {
        "simulator.name": "torch",
        "network.populations.population.size": 12,
        "task.train_samples": 1,
        "task.sample_ms": 60,
        "task.test_samples": 1,
        "task.controlled_ms": 20,
        "task.skipped_ms": 20,
        "task.test_ms": 60,
        "simulator.presentation_ms": 60,
        "simulator.window_ms": 40,
        "simulator.test_presentation_ms": 60,
        "simulator.test_window_ms": 20,
        "training.epochs": 1,
        "mismatch.chips": 2,
    }
    setup = st.load(f"spiking/{rule}_oscillator", small)
    expected = setup.fit()
    with PretendedCard():
        given = setup.change({"simulator.device": str(CARD)}).fit()
    for name, weights in expected.weights.items():
        assert np.array_equal(given.weights[name], weights, equal_nan=True), name
