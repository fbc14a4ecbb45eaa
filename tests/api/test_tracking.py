"""Trackers are told what the run's own files say, and change nothing; they are imported when used alone."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest

import spiketrain as st
from spiketrain.hooks import EpochDone
from spiketrain.tracking import Log, Started
from spiketrain.tracking.base import over_chips

X, Y = np.random.default_rng(0).random((48, 6)), np.arange(48) % 3

EXPERIMENT = {
    "network": {"layers": [6, 5, 3], "neuron": {"model": "lif", "bias": 1.0}},
    "mismatch": {"chips": 2, "weight": {"distribution": "normal", "cv": 0.2}},
    "rule": {"name": "readout_only"},
    "simulator": {"name": "torch", "presentation_ms": 20, "window_ms": 20},
    "training": {"epochs": 2, "batch": 8, "learning_rate": 0.5},
}


@pytest.fixture(scope="module")
def plain() -> st.Run:
    """Return a run without a tracker."""
    return st.load(EXPERIMENT).fit(X, Y)


def same(run: st.Run, other: st.Run) -> bool:
    return run.history.drop(columns="seconds", errors="ignore").equals(
        other.history.drop(columns="seconds", errors="ignore")
    )


def test_tensorboard_has_every_epoch_of_every_chip(plain: st.Run, tmp_path: Path) -> None:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator  # noqa: PLC0415

    tracker = st.TensorBoard(str(tmp_path / "events"))
    run = st.load(EXPERIMENT).fit(X, Y, tracker=tracker)
    assert same(run, plain)
    config = st.load(EXPERIMENT, {"analysis.tracker": tracker}).config
    assert config["analysis"]["tracker"] == {"name": "tensorboard", "folder": str(tmp_path / "events")}
    events = EventAccumulator(str(tmp_path / "events"))
    events.Reload()
    table = run.history["test_accuracy"].unstack()
    for chip in range(2):
        points = events.Scalars(f"test_accuracy/chip {chip}")
        assert [point.step for point in points] == [0, 1, 2]
        np.testing.assert_allclose([point.value for point in points], table[chip], rtol=1e-6)
    worst = [point.value for point in events.Scalars("test_accuracy/min")]
    np.testing.assert_allclose(worst, table.min(axis=1), rtol=1e-6)
    assert {"config/text_summary", "summary/text_summary"} <= set(events.Tags()["tensors"])


def test_tensorboard_lies_in_the_runs_folder_unless_told_otherwise(tmp_path: Path) -> None:
    st.load(EXPERIMENT).fit(X, Y, folder=tmp_path / "run", report=False, tracker="tensorboard")
    assert list((tmp_path / "run" / "tensorboard").glob("events.*"))
    with pytest.raises(st.InputError, match=r"analysis\.tracker\.folder"):
        st.load(EXPERIMENT).fit(X, Y, tracker="tensorboard")


def test_mlflow_goes_on_with_the_run_that_was_interrupted(plain: st.Run, tmp_path: Path) -> None:
    from mlflow.tracking import MlflowClient  # noqa: PLC0415

    tracker = st.MLflow(str(tmp_path / "store"), experiment="mine")
    exp, folder = st.load(EXPERIMENT), tmp_path / "run"

    def interrupt(done: EpochDone) -> None:
        if done.epoch == 1:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        exp.fit(X, Y, folder=folder, report=False, tracker=tracker, on_epoch=interrupt)
    client = MlflowClient(tracking_uri=(tmp_path / "store").as_uri())
    group = client.get_experiment_by_name("mine").experiment_id
    assert [found.info.status for found in client.search_runs([group])] == ["FAILED"]

    run = exp.fit(X, Y, folder=folder, report=False, tracker=tracker, resume=True)
    assert same(run, plain)
    (entry,) = client.search_runs([group])
    assert entry.info.status == "FINISHED"
    assert entry.data.params["network.layers"] == "[6, 5, 3]"
    points = client.get_metric_history(entry.info.run_id, "test_accuracy/mean")
    assert [point.step for point in points] == [0, 1, 2]
    np.testing.assert_allclose(
        [point.value for point in points], run.history["test_accuracy"].unstack().mean(axis=1)
    )
    assert [file.path for file in client.list_artifacts(entry.info.run_id)] == ["summary.json"]


def test_a_tracker_of_ones_own_is_told_in_order(plain: st.Run) -> None:
    said: list[tuple[Any, ...]] = []

    class Said(Log):
        def epoch(self, done: EpochDone) -> None:
            said.append(("epoch", done.epoch))

        def finish(self, summary: Mapping[str, Any]) -> None:
            said.append(("finish", summary["test_accuracy"]))

        def close(self, *, failed: bool) -> None:
            said.append(("close", failed))

    @st.register
    @dataclass(frozen=True)
    class Mine(st.Tracker):
        tag: str = "none"
        name: ClassVar[str] = "mine"
        library: ClassVar[tuple[str, str]] = ("json", "nothing")

        def start(self, run: Started) -> Log:
            said.append((self.tag, run.name, run.folder, run.epoch, run.config["rule"]["name"]))
            return Said()

    run = st.load(EXPERIMENT).fit(X, Y, tracker=Mine(tag="a"))
    assert said[0] == ("a", "experiment", None, 0, "readout_only")
    assert said[1:4] == [("epoch", 0), ("epoch", 1), ("epoch", 2)]
    assert said[4:] == [("finish", run.accuracy.tolist()), ("close", False)]
    assert same(run, plain)


def test_what_is_not_installed_is_refused_before_anything_is_written(tmp_path: Path) -> None:
    @st.register
    @dataclass(frozen=True)
    class Absent(st.Tracker):
        name: ClassVar[str] = "absent"
        library: ClassVar[tuple[str, str]] = ("no_such_module", "no-such-package")

        def start(self, run: Started) -> Log:
            raise AssertionError

    with pytest.raises(st.InputError, match=r"analysis\.tracker\.name.*pip install 'no-such-package'"):
        st.load(EXPERIMENT).fit(X, Y, folder=tmp_path / "run", tracker="absent")
    assert not (tmp_path / "run").exists()
    with pytest.raises(st.InputError, match=r"analysis\.tracker"):
        st.load(EXPERIMENT, {"analysis.tracker": "tensorbored"})


def test_few_chips_have_curves_of_their_own_and_many_do_not() -> None:
    assert dict(over_chips(EpochDone(1, 1, {"a": np.array([0.5])}))) == {"a": 0.5}
    many = dict(over_chips(EpochDone(1, 1, {"a": np.arange(40.0)})))
    assert many == {"a/mean": 19.5, "a/min": 0.0, "a/max": 39.0}


def test_nothing_of_it_is_imported_without_being_asked_for() -> None:
    heavy = "[m for m in sys.modules if m.split('.')[0] in ('mlflow', 'tensorboard')]"
    code = f"import sys, spiketrain as st; st.load('readout_lif'); print({heavy})"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
