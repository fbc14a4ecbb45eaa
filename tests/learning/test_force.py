"""FORCE: the recursion is a regression on everything that was seen; the population then runs by itself."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from learning.force import Force
from root.errors import InputError
from spiketrain.config import load_experiment
from spiketrain.experiment import learn, run_in_memory
from spiketrain.free_running import free_runs
from spiketrain.observing import shown
from spiketrain.parts import build

SMALL = (
    "mismatch.chips=2",
    "task.test_samples=2",
    "task.test_ms=3000",
    "simulator.test_presentation_ms=3000",
    "simulator.test_window_ms=1000",
)

TINY = (
    *SMALL,
    "network.populations.population.size=20",
    "task.train_samples=3",
    "task.sample_ms=900",
    "simulator.presentation_ms=900",
    "simulator.window_ms=700",
    "rule.fit_batches=1",
    "rule.forget=0.7",
)


def tiny(*more):
    return load_experiment("spiking/force_oscillator.yaml", [*TINY, *more])


def traces(spikes, kept):
    """Return r of every step, before what is emitted in it."""
    found, r = [], np.zeros_like(spikes[:, 0])
    for t in range(spikes.shape[1]):
        found.append(r)
        r = kept * r + (1 - kept) * spikes[:, t]
    return np.stack(found, axis=1)


def test_the_recursion_is_a_ridge_regression_on_all_samples():
    """Of every neuron's whole current, and of spikes filtered by hand, by numpy's least squares."""
    parts = build(tiny(), None)
    model, rule = parts.model, parts.rule
    first = rule.settled(model)
    weights = [model.forward_weights[rule.index(model.network, pre, 1)] for pre in (1, 0)]
    began = torch.cat([w.detach().clone() for w in weights], dim=1).numpy()
    rows, wanted, shares = [], [], []
    for batch in parts.batches(0):
        rule.prepare(model)
        seen = shown(rule, parts.chips, batch, model).observation
        spikes = torch.cat([seen[name].traces["spikes"][0] for name in ("held", "controlled")], dim=2)
        r = traces(spikes[:, 0].numpy(), np.exp(-1 / 20.0))[:, first:]
        commands = 2 * batch.x[0, first:].numpy() - 1
        phi = np.concatenate([r, np.broadcast_to(commands, (len(r), *commands.shape))], axis=2)
        before = torch.cat([w.detach() for w in weights], dim=1).numpy()
        current = phi @ before + (seen["controlled"].traces["control"][0][:, 0] @ model.feedback[0]).numpy()
        rows.append(phi[:, ::5])
        wanted.append(current[:, ::5])
        shares.append(phi[:, ::5].shape[1])
        learn(parts, batch, 1.0)
    after = torch.cat([w.detach() for w in weights], dim=1).numpy()
    samples, size = len(rows), rows[0].shape[2]
    for chip in range(2):
        a = [np.sqrt(0.7 ** (samples - 1 - k) / shares[k]) * rows[k][chip] for k in range(samples)]
        b = [np.sqrt(0.7 ** (samples - 1 - k) / shares[k]) * wanted[k][chip] for k in range(samples)]
        ridge = np.sqrt(0.7**samples * rule.ridge) * np.eye(size)
        batch_fit = np.linalg.lstsq(np.vstack([*a, ridge]), np.vstack([*b, ridge @ began[chip]]))[0]
        np.testing.assert_allclose(after[chip], batch_fit, rtol=1e-6, atol=1e-8 * np.abs(batch_fit).max())
    assert np.abs(after - began).max() > 0.1


def test_what_was_regressed_in_the_loop_runs_by_itself():
    sizes = ("network.populations.population.size=120", "task.train_samples=4", "task.sample_ms=5500")
    times = ("simulator.presentation_ms=5500", "simulator.window_ms=5000", "rule.fit_batches=4")
    found = run_in_memory(
        load_experiment("spiking/force_oscillator.yaml", [*SMALL, *sizes, *times, "training.epochs=3"]),
        quiet=True,
    )
    assert float(free_runs(found.parts, "test").errors().max()) < 0.35  # 1 for an output of 0
    loop = found.parts.model.forward_weights[2]
    assert int(torch.linalg.matrix_rank(loop[0], rtol=1e-6)) == 2


def test_wrong_numbers_are_refused():
    for name, value in {"forget": 0.0, "ridge": -1.0}.items():
        with pytest.raises(InputError, match=rf"rule\.{name}"):
            replace(Force(), **{name: value})
    with pytest.raises(InputError, match=r"training\.plasticity: got 'on_chip'; allowed: host"):
        build(tiny("training.plasticity=on_chip"), None)
