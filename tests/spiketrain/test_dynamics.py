"""Dynamical systems as tasks: what they are, what a config may say of them, runs, resuming and reports."""

import json
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import torch
from scipy.integrate import solve_ivp

from root.errors import InputError
from spiketrain.config import load_experiment
from spiketrain.drift import FIXED, LEARNING, DriftPlan, drift, figure
from spiketrain.experiment import run
from spiketrain.hooks import Hooks
from spiketrain.record.free_runs import FreeRuns
from spiketrain.record.store import Folder
from spiketrain.report.gallery import draw
from spiketrain.tasks.base import FreeRun, TaskData
from spiketrain.tasks.dynamical import DampedOscillator, Lorenz, VanDerPol

SYSTEMS = (DampedOscillator, VanDerPol, Lorenz)

TINY = (
    "network.populations.population.size=40",
    "mismatch.chips=2",
    "task.train_samples=2",
    "task.test_samples=2",
    "task.sample_ms=700",
    "task.test_ms=600",
    "task.controlled_ms=200",
    "task.skipped_ms=100",
    "simulator.presentation_ms=700",
    "simulator.window_ms=500",
    "simulator.test_presentation_ms=600",
    "simulator.test_window_ms=100",
    "rule.fit_batches=2",
    "rule.radius=1.0",
    "training.epochs=3",
)


def tiny(*more):
    return load_experiment("spiking/follow_oscillator.yaml", [*TINY, *more])


@pytest.mark.parametrize("kind", SYSTEMS)
def test_states_are_what_an_integrator_of_high_order_finds(kind):
    """From the state and with the commands of the samples, by scipy, at a tenth of the time step."""
    task = kind(train_samples=2, sample_ms=200.0, dt_ms=0.25)
    data = task.load(None)
    commands, states = 2 * data.x_train[0].numpy() - 1, data.y_train[0].numpy()
    centre, scale, gains = np.array(task.centre), np.array(task.scale), np.array(task.gains)

    def slope(t, z):
        return task.field(z[None])[0] + gains @ commands[min(int(t / 0.25), len(commands) - 1)]

    times = np.arange(len(states)) * 0.25
    first = states[0] * scale + centre
    found = solve_ivp(slope, (0, times[-1]), first, t_eval=times, max_step=0.05, rtol=1e-9, atol=1e-9).y.T
    wanted = (found - centre) / scale
    assert np.abs(states - wanted).max() < 2e-3
    assert 0.05 < float(data.y_train.square().mean().sqrt()) < 1.0
    assert data.x_train.shape == (2, 800, gains.shape[1])
    assert float(data.x_train.min()) >= 0
    assert float(data.x_train.max()) <= 1


def test_a_test_without_control_begins_at_rest():
    data = DampedOscillator(test_samples=2, test_ms=1500.0).load(None)
    assert torch.equal(data.y_test[:, 0], torch.zeros(2, 2, dtype=torch.float64))
    assert not torch.equal(data.x_test[0], data.x_test[1])
    held = VanDerPol(test_samples=2, test_ms=2500.0).load(None)
    assert float(held.y_test[:, 0].abs().max()) > 0.1
    assert held.free_run == FreeRun(1.0, 2000, 0, 5000, 2500)


def test_errors_and_valid_times_of_known_runs():
    wanted = torch.ones(2, 100, 1)
    outputs = wanted.expand(3, -1, -1, -1).clone()
    outputs[1, :, 40:] += 1.0  # wrong by the system's own size from step 40 on
    outputs[2] = 0.0
    runs = FreeRuns(outputs, wanted, 2.0, skipped=20)
    torch.testing.assert_close(runs.errors(), torch.tensor([0.0, 60 / 80, 1.0]))
    torch.testing.assert_close(runs.valid_ms(), torch.tensor([160.0, 40.0, 0.0], dtype=torch.float64))


REFUSED = {
    "simulator.presentation_ms=710": r"simulator\.presentation_ms: got 710.*allowed: 700",
    "simulator.test_presentation_ms=500": r"simulator\.test_presentation_ms: got 500.*allowed: 600",
    "bridge.target_rates=[0.2,0.9]": r"bridge\.target_rates: .*states are no rates",
    "bridge.encoding=phase": r"bridge\.encoding\.name: got 'phase'; allowed: current",
    "training.plasticity=host": r"training\.plasticity: got 'host'; allowed: on_chip",
    "training.batch=2": r"training\.batch: got 2; allowed: 1",
    "simulator.name=loihi": r"network\.neuron\.model: got 'li'; allowed: lif, rate",
    "task.controlled_ms=550": r"task\.test_ms: got 600.*allowed: more than 650",
    "task.sample_ms=700.5": r"task\.sample_ms: got 700\.5; allowed: a multiple",
}


@pytest.mark.parametrize("override", REFUSED)
def test_what_does_not_fit_is_refused_before_anything_is_written(override, tmp_path):
    with pytest.raises(InputError, match=REFUSED[override]):
        run(tiny(override), tmp_path / "run", quiet=True)
    assert not (tmp_path / "run").exists()


def test_data_that_are_not_there_in_every_step_are_refused():
    data = VanDerPol(train_samples=2, sample_ms=50.0, test_samples=2, test_ms=2100.0).load(None)
    with pytest.raises(InputError, match=r"y_test: got .*allowed: \(samples, time, 2\)"):
        replace(data, y_test=data.y_test[:, 1:])
    with pytest.raises(InputError, match="one for dynamics, none for others"):
        TaskData(**{**vars(data), "free_run": None})


def test_a_run_that_is_cut_goes_on_to_the_same_bits(tmp_path):
    whole = run(tiny(), tmp_path / "whole", quiet=True, report=False)
    run(
        tiny(), tmp_path / "cut", quiet=True, report=False, hooks=Hooks(on_epoch=lambda done: done.epoch == 1)
    )
    again = run(tiny(), tmp_path / "cut", quiet=True, resume=True)
    assert again.summary["test_accuracy"] == whole.summary["test_accuracy"]
    for name in ("weights.safetensors", "free_runs.safetensors"):
        assert (tmp_path / "cut" / name).read_bytes() == (tmp_path / "whole" / name).read_bytes()
    metrics = pd.read_csv(tmp_path / "cut" / "metrics.csv")
    last = metrics[metrics["epoch"] == 3]
    np.testing.assert_allclose(
        1 - last["free_error"],
        json.loads((tmp_path / "cut" / "summary.json").read_text())["test_accuracy"],
        rtol=1e-12,
    )
    page = (tmp_path / "cut" / "report.html").read_text()
    for title in ("A free run over the system", "Phase portrait", "Error without control"):
        assert title in page
    drawing = draw(Folder(tmp_path / "cut"), "free_output")
    runs = FreeRuns.load(tmp_path / "cut")
    np.testing.assert_allclose(drawing.data["system_0"], runs.wanted[0, :, 0])


def test_a_system_that_was_learned_is_followed_while_the_chips_drift(tmp_path):
    """The error under control is that of the rule, shown a batch and not learning; both errors are drawn."""
    made = tiny("training.epochs=1", "mismatch.random_walk={std: {threshold: 0.3}, tau_s: 3600}")
    rows = drift(made, tmp_path / "run", DriftPlan(1, 1, batches=1, hours=2.0))
    assert len(rows) == 2 * 2 * 2
    assert (rows["control_error"] < 1.0 - rows["test_accuracy"]).all()
    learned = rows[(rows["weights"] == LEARNING) & (rows["presentations"] > 0)]
    assert set(learned["presentations"]) == {2}  # a batch of one sample, held and controlled, not an epoch
    pairs = rows.pivot(index=["factor", "chip"], columns="weights", values="control_error")
    first, last = (pairs.xs(age) for age in sorted(rows["factor"].unique()))
    assert (first[FIXED] == first[LEARNING]).all()
    assert (last[FIXED] != last[LEARNING]).all()
    assert [ax.get_ylabel() for ax in figure(rows).axes] == ["error, controller off", "error under control"]
