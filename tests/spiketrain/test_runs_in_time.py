"""Experiments over time, from configs and from Python: windows, targets, decisions at every moment."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch

import spiketrain as st
from rate_bridge.sequences import Events, Series
from root.errors import InputError
from spiketrain.config import Experiment
from spiketrain.evaluation import judged
from spiketrain.experiment import run
from spiketrain.moments import Moments
from spiketrain.parts import Parts, build
from spiketrain.tasks.arrays import Arrays, Given
from spiketrain.tasks.base import TaskData
from spiketrain.teaching import learn

INPUTS, CLASSES, STEP_MS = 4, 3, 10.0

BASE: dict[str, Any] = {
    "name": "in-time",
    "task": {"name": "arrays"},
    "network": {"layers": [INPUTS, 12, CLASSES], "neuron": {"model": "lif", "bias": 0.9}},
    "mismatch": {"chips": 2, "weight": {"distribution": "normal", "cv": 0.2}},
    "bridge": {"encoding": "current"},
    "rule": {"name": "dfc", "prediction": "none"},
    "simulator": {"name": "torch", "presentation_ms": 90.0, "window_ms": 30.0, "windows": 3},
    "training": {"epochs": 2, "batch": 6, "learning_rate": 0.02, "optimizer": "adam"},
}

LAYERED = {"network": {**BASE["network"], "feedback": "layered"}}

RULES: dict[str, dict[str, Any]] = {
    "two phases": {"rule": {"name": "dfc"}},
    "two phases, probed": {"rule": {"name": "dfc", "feedback": "identified"}},
    "two phases, learned": {
        "rule": {"name": "dfc", "feedback": {"name": "learned", "scale": 0.3, "warmup": 0}}
    },
    "shadows": {"rule": {"name": "dfc", "prediction": "basal"}},
    "layered": {**LAYERED, "rule": {"name": "dfc", "prediction": "none", "feedback": "transposed"}},
    "layered, random": {
        **LAYERED,
        "rule": {"name": "dfc", "prediction": "none", "feedback": {"name": "random", "scale": 0.3}},
    },
    "identified layers": {
        **LAYERED,
        "rule": {"name": "dfc", "prediction": "none", "feedback": "identified_layers", "gate": "measured"},
    },
    "backpropagation": {"rule": {"name": "backprop", "output_slope": False}},
    "feedback alignment": {"rule": {"name": "feedback_alignment"}},
    "direct feedback alignment": {"rule": {"name": "direct_feedback_alignment"}},
    "sign symmetry": {"rule": {"name": "sign_symmetry"}},
    "read-out": {"rule": {"name": "readout_only"}},
    "through time": {"rule": {"name": "surrogate_bptt", "steepness": 5.0}},
}


def data(samples: int = 30, seed: int = 0) -> tuple[Series, np.ndarray]:
    """Series of 4 to 9 steps in which one of the first three inputs is high."""
    g = np.random.default_rng(seed)
    y = np.arange(samples) % CLASSES
    x = []
    for label in y:
        values = 0.3 * g.random((int(g.integers(4, 10)), INPUTS))
        values[:, label] += 0.7
        x.append(values)
    return Series.of(x, STEP_MS), y


def task() -> TaskData:
    x, y = data()
    return TaskData.of_arrays((x[:18], y[:18]), (x[18:], y[18:]), classes=CLASSES)


def parts(**changes: Any) -> Parts:
    return build(Experiment.from_mapping({**BASE, **changes}), None, task())


@pytest.mark.parametrize("name", RULES)
def test_a_rule_learns_of_every_window(name):
    """An update is the mean over rows: that of all windows is made of those of each window alone."""
    met = parts(**RULES[name])
    batch = next(met.batches(0))
    met.rule.prepare(met.model)
    met.chips.program(met.model.weights())
    whole = met.rule.presentation(batch, met.model)
    sample, window = next(phase for phase in whole if not phase.whole).rows
    assert len(batch.target) == len(sample) < 3 * len(batch.x)

    def update(counted: torch.Tensor | None) -> list[torch.Tensor]:
        kept = slice(None) if counted is None else counted[sample, window]
        one = replace(batch, counted=counted, target=batch.target[kept])
        seen = met.chips.present(met.rule.presentation(one, met.model), *batch.key)
        changes = met.rule.update(one, seen, met.model).of(met.model.network)
        return [change.weight() for change in changes if change is not None]

    parts_of_it = []
    for k in range(3):
        counted = torch.zeros(len(batch.x), 3, dtype=torch.bool)
        counted[:, k] = True
        share = float((window == k).sum()) / len(window)
        parts_of_it.append([share * change for change in update(counted)])
    found = update(None)
    assert any(float(change.abs().max()) > 0 for change in found)
    for change, each in zip(found, zip(*parts_of_it, strict=True), strict=True):
        torch.testing.assert_close(change, torch.stack(each).sum(0), rtol=1e-6, atol=1e-9)


@pytest.mark.parametrize("name", ["layered", "backpropagation", "through time"])
def test_series_are_learned(name):
    met = parts(**RULES[name], training={**BASE["training"], "epochs": 8, "learning_rate": 0.05})
    for epoch in range(8):
        for batch in met.batches(epoch):
            learn(met, batch, 0.05)
        met.epoch += 1
    said, wanted = judged(met, "test")
    assert said.shape == (2, 12, CLASSES)
    assert (said.argmax(-1) == wanted).double().mean() >= 0.8


def test_the_last_window_or_the_mean_of_all_decides():
    last, mean = (parts(bridge={"encoding": "current", "decision": how}) for how in ("last", "mean"))
    one, all_of_them = judged(last, "test")[0], judged(mean, "test")[0]
    x, _ = task().split("test")
    lengths = x.lengths(1.0).tolist()
    short = [i for i, n in enumerate(lengths) if n <= 60]
    long = [i for i, n in enumerate(lengths) if n > 60]
    assert short
    assert not torch.equal(one[:, long], all_of_them[:, long])
    whole = parts(simulator={**BASE["simulator"], "windows": 1, "window_ms": 90.0})
    free = whole.test_stimulus.phase("free", replace(next(whole.batches(0)), x=x))
    assert free.weights.sum(1).tolist() == lengths  # one window over all of each sample


class TestTargetsThatChange:
    def given(self) -> TaskData:
        """The output follows the input that is high: of class 0 before the middle, of class 1 after it."""
        g = np.random.default_rng(1)
        x, y = [], []
        for _ in range(24):
            first, second = g.permutation(CLASSES)[:2]
            values, wanted = 0.2 * g.random((9, INPUTS)), np.zeros((9, CLASSES))
            for part, label in ((slice(0, 6), first), (slice(6, 9), second)):
                values[part, label] += 0.8
                wanted[part, label] = 1.0
            wanted[:3] = np.nan  # nothing is wanted of the first window
            x.append(values)
            y.append(wanted)
        inputs, answers = Series.of(x, STEP_MS), Series.of(y, STEP_MS)
        none = (inputs[:0], answers[:0])
        return TaskData(inputs[:18], answers[:18], inputs[18:], answers[18:], *none, classes=CLASSES)

    def test_windows_have_labels_of_their_own(self):
        met = build(Experiment.from_mapping(BASE), None, self.given())
        batch = next(met.batches(0))
        assert batch.counted.tolist() == [[False, True, True]] * 6
        assert batch.target.shape == (12, CLASSES)
        assert set(batch.target.flatten().tolist()) == {0.1, 0.8}
        said, wanted = judged(met, "test")
        assert said.shape == (2, 12, CLASSES)
        assert wanted.shape == (12,)
        for epoch in range(12):
            for shown in met.batches(epoch):
                learn(met, shown, 0.05)
        said, wanted = judged(met, "test")
        assert (said.argmax(-1) == wanted).double().mean() >= 0.8

    def test_a_regression_and_what_a_run_keeps(self, tmp_path):
        given = replace(self.given(), kind="regression")
        experiment = Experiment.from_mapping({**BASE, "training": {**BASE["training"], "epochs": 1}})
        kept = Given(given)
        done = run(
            Experiment.from_mapping({**experiment.resolved(), "task": kept.task}),
            tmp_path / "run",
            quiet=True,
            given=kept,
        )
        assert np.isfinite(done.summary["test_accuracy"]).all()
        assert (tmp_path / "run/figures/outputs.svg").is_file()
        played = (tmp_path / "run/figures/playback.svg").read_text()
        assert len(played) < 300_000
        assert played.count('class="veil"') == 4  # two layers, the output, what controls it
        assert 'id="playback"' in (tmp_path / "run/report.html").read_text()
        again = Arrays(str(tmp_path / "run/data.safetensors")).load(None)
        torch.testing.assert_close(again.y_train.values, given.y_train.values, equal_nan=True)
        assert torch.equal(again.x_test.values, given.x_test.values)


class TestFromPython:
    def setup(self, **changes: Any) -> Any:
        return st.load({**{k: v for k, v in BASE.items() if k != "task"}, **changes})

    def test_series_and_events_can_be_fitted(self, tmp_path):
        x, y = data()
        done = self.setup().fit(x, y, test=(x[:6], y[:6]), folder=tmp_path / "run", report=False)
        assert done.predict(x[:5]).shape == (2, 5)
        again = st.open(tmp_path / "run")
        np.testing.assert_array_equal(again.outputs(x), done.outputs(x))
        np.testing.assert_array_equal(again.score(), done.accuracy)
        g = np.random.default_rng(0)
        events = Events.of(
            [np.sort(g.random(9) * 60) for _ in y], [g.integers(0, 8, 9) for _ in y], 8, lasting_ms=80.0
        )
        spikes = self.setup(bridge={"encoding": {"name": "events", "group": 2}})
        seen = spikes.fit(events, y, test=0.4)
        assert seen.outputs(events[:3]).shape == (2, 3, CLASSES)
        assert seen.activity(events[:3])["input"].spikes.shape == (2, 3, 90, INPUTS)

    def test_another_chip_of_a_run_with_layered_feedback_plays(self, tmp_path):
        x, y = data()
        layered = self.setup(**RULES["layered"], training={**BASE["training"], "epochs": 1})
        layered.fit(x, y, test=(x[:6], y[:6]), folder=tmp_path / "run", report=False)
        drawing = st.open(tmp_path / "run").plot("playback", chip=1)
        assert drawing.alt.startswith("Chip 1 in the controlled phase")

    def test_what_does_not_fit_is_named(self):
        x, y = data()
        with pytest.raises(InputError, match="4 inputs, as the network"):
            self.setup().fit(Series.of([np.zeros((3, 5))] * 30), y)
        with pytest.raises(InputError, match="longest sample"):
            self.setup().fit(replace(x, step_ms=20.0), y)
        with pytest.raises(InputError, match="as the task has them"):
            self.setup(bridge={"encoding": "events"}).fit(x, y)


class TestMoments:
    def test_latency_is_the_moment_from_which_it_stays(self):
        accuracy = torch.tensor(
            [[0.1, 0.6, 0.4, 0.8, 0.9], [0.9, 0.9, 0.9, 0.9, 0.7], [0.5] * 5], dtype=torch.float64
        )
        found = Moments(torch.tensor([1.0, 2, 3, 4, 5]), accuracy)
        assert found.latency_ms(0.5) == [4.0, 1.0, 1.0]
        assert found.latency_ms(0.9) == [5.0, None, None]

    def test_are_kept_and_drawn(self, tmp_path):
        x, y = data()
        setup = st.load({k: v for k, v in {**BASE, "analysis": {"moments": True}}.items() if k != "task"})
        done = setup.fit(x, y, test=(x, y), folder=tmp_path / "run")
        table = pd.read_csv(tmp_path / "run/moments.csv")
        assert sorted(table["chip"].unique()) == [0, 1]
        assert table["time_ms"].max() == 90.0
        assert set(done.summary["latency_ms"]) == {"0.5", "0.8", "0.9", "0.95"}
        # at the end of a sample the answer is that of the last window, but for the initial states
        last = table[table["time_ms"] == 90.0].sort_values("chip")["accuracy"]
        assert abs(last.to_numpy() - done.accuracy).max() < 0.2
        first = table[table["time_ms"] == 1.0]["accuracy"]
        assert first.max() <= 0.5  # no spike has come through yet
        assert "Decisions at every moment" in (tmp_path / "run/report.html").read_text()
        done.plot("moments")


@pytest.mark.parametrize(
    ("changes", "key"),
    [
        (
            {"simulator": {**BASE["simulator"], "windows": 1}, "bridge": {"decision": "mean"}},
            "bridge.decision",
        ),
        ({"simulator": {**BASE["simulator"], "windows": 4}}, "simulator.windows"),
        ({"simulator": {**BASE["simulator"], "window_ms": 40.0}}, "simulator.window_ms"),
        ({"rule": {"name": "dfc", "prediction": "apical_online"}}, "simulator.windows"),
        ({"task": {"name": "row_digits"}, "bridge": {"encoding": "latency"}}, "bridge.encoding.name"),
        ({"task": {"name": "digits"}, "bridge": {"encoding": "delta"}}, "bridge.encoding.name"),
        ({"task": {"name": "row_digits"}, "bridge": {"encoding": "delta"}}, "network.layers"),
    ],
)
def test_what_cannot_be_is_refused_before_anything_runs(changes, key):
    with pytest.raises(InputError) as caught:
        Experiment.from_mapping({**BASE, **changes})
    assert caught.value.key == key


def test_a_sample_that_lasts_longer_than_it_is_shown_is_refused():
    config = {
        **BASE,
        "task": {"name": "row_digits", "step_ms": 20.0},
        "network": {"layers": [8, 5, 10], "neuron": {"model": "lif"}},
    }
    with pytest.raises(InputError, match="160 or more: so long lasts the longest sample"):
        build(Experiment.from_mapping(config), None)
