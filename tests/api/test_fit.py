"""What comes out of `fit` is what the command would have written, in memory or in a folder."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch

import spiketrain as st
from root.errors import InputError
from spiketrain.config import Experiment, load_experiment
from spiketrain.experiment import run as command

from .conftest import CONFIG, samples

DATA = samples()
TEST = samples(45, seed=1)
KEPT = (
    "weights.safetensors",
    "truth.safetensors",
    "checkpoint.safetensors",
    "config.yaml",
    "data.safetensors",
)


def same(first: Path, second: Path, names: tuple[str, ...] = KEPT) -> bool:
    return all((first / name).read_bytes() == (second / name).read_bytes() for name in names)


def test_memory_and_folder_hold_the_same_bits(setup: st.Setup, trained: st.Run, tmp_path: Path) -> None:
    run = setup.fit(*DATA, test=TEST, folder=tmp_path / "folder")
    assert run.folder == tmp_path / "folder"
    assert trained.folder is None
    assert (tmp_path / "folder" / "report.html").is_file()
    trained.save(tmp_path / "saved")
    assert same(tmp_path / "folder", tmp_path / "saved")
    columns = [name for name in run.history if name != "seconds"]
    pd.testing.assert_frame_equal(run.history[columns], trained.history[columns])


def test_the_task_of_a_config_is_taken_away_for_samples_of_another_size() -> None:
    small = {
        "simulator.name": "torch",
        "training.epochs": 1,
        "mismatch.chips": 1,
        "network.layers": [16, 12, 3],
    }
    with pytest.raises(InputError, match="the task digits has 64 inputs"):
        st.load("dfc_lif", small)
    exp = st.load("dfc_lif", {**small, "task": None})
    assert exp.config["task"]["name"] == "arrays"
    assert exp.fit(*samples()).accuracy is not None


def test_a_task_of_the_config_gives_what_the_command_gives(tmp_path: Path) -> None:
    small = {"network.layers": [64, 12, 10], "training.epochs": 1, "training.batch": 128, "task": "digits"}
    setup = st.load(CONFIG, small)
    setup.fit(folder=tmp_path / "api", report=False)
    command(Experiment.from_mapping(setup.data), tmp_path / "command", quiet=True, report=False)
    assert same(tmp_path / "api", tmp_path / "command", KEPT[:-1])


def test_a_run_in_a_folder_runs_again_and_goes_on(setup: st.Setup, trained: st.Run, tmp_path: Path) -> None:
    """Its samples are beside it: the command needs no arrays, and the folder may move."""
    setup.change({"training.epochs": 1}).fit(*DATA, test=TEST, folder=tmp_path / "one", report=False)
    shutil.move(tmp_path / "one", tmp_path / "moved")
    shutil.copytree(tmp_path / "moved", tmp_path / "arrays")
    setup.fit(*DATA, test=TEST, folder=tmp_path / "arrays", resume=True, report=False)
    stored = load_experiment(str(tmp_path / "moved" / "config.yaml"), ["training.epochs=2"])
    for name, resume in (("moved", True), ("again", False)):
        command(stored, tmp_path / name, resume=resume, quiet=True, report=False)
    trained.save(tmp_path / "whole")
    for name in ("arrays", "moved", "again"):
        assert same(tmp_path / "whole", tmp_path / name), name


def test_samples_that_have_changed_are_refused(trained: st.Run, tmp_path: Path) -> None:
    folder = trained.save(tmp_path / "run")
    content = bytearray((folder / "data.safetensors").read_bytes())
    content[-1] ^= 1
    (folder / "data.safetensors").write_bytes(content)
    with pytest.raises(st.InputError, match=r"task\.sha256"):
        st.open(folder).predict(DATA[0])


def test_an_opened_run_is_the_run(trained: st.Run, tmp_path: Path) -> None:
    again = st.open(trained.save(tmp_path / "run", report=True))
    x = DATA[0][:20]
    np.testing.assert_array_equal(again.predict(x), trained.predict(x))
    np.testing.assert_array_equal(again.outputs(x), trained.outputs(x))
    np.testing.assert_array_equal(again.score(), trained.accuracy)
    pd.testing.assert_frame_equal(again.history, trained.history)
    for name, value in trained.weights.items():
        np.testing.assert_array_equal(again.weights[name], value)
    assert (tmp_path / "run" / "report.html").is_file()
    before = {path.name: path.read_bytes() for path in (tmp_path / "run").iterdir() if path.is_file()}
    again.activity(x[:2])
    assert {p.name: p.read_bytes() for p in (tmp_path / "run").iterdir() if p.is_file()} == before


def test_what_a_run_says(trained: st.Run) -> None:
    assert trained.accuracy.shape == (2,)
    assert trained.history.index.names == ["epoch", "chip"]
    assert trained.history["test_accuracy"].unstack().shape == (3, 2)
    np.testing.assert_array_equal(trained.history["test_accuracy"].loc[2], trained.accuracy)
    assert trained.accuracy[trained.worst] == trained.accuracy.min()
    assert {name: value.shape for name, value in trained.weights.items()} == {
        "input->hidden": (2, 16, 12),
        "hidden->output": (2, 12, 3),
    }
    assert trained.biases["hidden"].shape == (2, 12)
    assert trained.feedback["hidden"].shape == (2, 3, 12)
    assert "in memory" in repr(trained)


def test_it_learns_and_its_answers_are_those_that_were_tested(trained: st.Run) -> None:
    labels = trained.predict(TEST[0])
    assert labels.shape == (2, 45)
    np.testing.assert_array_equal((labels == TEST[1]).mean(1), trained.accuracy)
    np.testing.assert_array_equal(trained.score(*TEST), trained.accuracy)
    assert trained.accuracy.min() > 0.8
    both = trained.confusion(*TEST)
    assert both.to_numpy().sum() == 90
    assert np.trace(both.to_numpy()) == (labels == TEST[1]).sum()
    assert (both == trained.confusion(chip=0) + trained.confusion(chip=1)).all(axis=None)


@pytest.mark.parametrize(
    "convert",
    [
        lambda x, y: (x.reshape(len(x), -1), y),
        lambda x, y: (torch.from_numpy(x), torch.from_numpy(y)),
        lambda x, y: (pd.DataFrame(x.reshape(len(x), -1)), pd.Series(y)),
        lambda x, y: (x.tolist(), y.tolist()),
    ],
    ids=["flat", "torch", "pandas", "lists"],
)
def test_images_are_as_many_inputs_as_they_have_pixels(setup: st.Setup, convert: Any) -> None:
    """4 × 4 images are 16 inputs, whatever holds them."""
    short = setup.change({"training.epochs": 1})
    one, other = short.fit(*DATA, test=TEST), short.fit(*convert(*DATA), test=convert(*TEST))
    np.testing.assert_array_equal(one.weights["input->hidden"], other.weights["input->hidden"])


def test_a_share_is_held_out_for_tests_by_label(setup: st.Setup) -> None:
    run = setup.change({"training.epochs": 1}).fit(*DATA, test=0.25)
    assert run.confusion(chip=0).sum(axis=1).tolist() == [10, 10, 10]


def test_a_regression(tmp_path: Path) -> None:
    x, y = samples()
    wanted = np.eye(3)[y] * 0.9 + 0.05
    slow = {"simulator.presentation_ms": 250, "simulator.window_ms": 200, "training.epochs": 4}
    setup = st.load(CONFIG, slow)
    run = setup.fit(x, wanted, test=(TEST[0], np.eye(3)[TEST[1]] * 0.9 + 0.05))
    said = run.predict(TEST[0])
    assert said.shape == (2, 45, 3)
    assert run.accuracy.min() > 0.3  # of the variance
    assert 0.0 < said.mean() < 0.6
    np.testing.assert_array_equal(st.open(run.save(tmp_path / "run")).score(), run.accuracy)
    with pytest.raises(st.InputError, match="confusion"):
        run.confusion()


def test_calls_per_batch_and_epoch(setup: st.Setup) -> None:
    batches: list[st.BatchDone] = []
    epochs: list[st.EpochDone] = []
    run = setup.fit(*DATA, test=TEST, on_batch=batches.append, on_epoch=epochs.append)
    assert [(b.epoch, b.batch) for b in batches] == [(e, b) for e in (1, 2) for b in range(1, 8)]
    assert batches[0].batches == 7
    assert [e.epoch for e in epochs] == [1, 2]
    for name, values in epochs[-1].values.items():
        np.testing.assert_array_equal(values, run.history[name].loc[2])
    mean = np.mean([b.output_error for b in batches if b.epoch == 2], axis=0)
    np.testing.assert_allclose(mean, run.history["output_error"].loc[2])
    assert "worst of 2 chips" in str(epochs[0])


def test_a_call_can_end_the_run(setup: st.Setup, trained: st.Run) -> None:
    """What is there then are the bits of a run of so many epochs, and it says so."""
    longer = setup.change({"training.epochs": 9})
    run = longer.fit(*DATA, test=TEST, on_batch=lambda done: done.epoch == 2)
    assert run.summary["epochs"] == 2
    np.testing.assert_array_equal(run.weights["hidden->output"], trained.weights["hidden->output"])


def test_early_stopping_waits_for_the_held_out_part(setup: st.Setup) -> None:
    longer = setup.change({"training.epochs": 12, "training.learning_rate": 1e-6, "training.average": 0.0})
    run = longer.fit(*DATA, test=TEST, validation=samples(30, seed=2), on_epoch=st.EarlyStopping(2))
    assert (
        run.summary["epochs"] == 3
    )  # nothing is learnt: the first epoch is the best, and two are waited for
    with pytest.raises(st.InputError, match="not chosen by the test set"):
        st.EarlyStopping(on="test_accuracy")
    with pytest.raises(st.InputError, match="validation"):
        setup.fit(*DATA, test=TEST, on_epoch=st.EarlyStopping())


def test_activity_by_the_names_of_the_layers(trained: st.Run) -> None:
    seen = trained.activity(DATA[0][:4], record=["spikes", "voltage", "readout"])
    assert list(seen) == ["input", "hidden", "output"]
    assert seen["input"].spikes.shape == (2, 4, 40, 16)
    assert seen["hidden"].spikes.shape == (2, 4, 40, 12)
    assert seen["hidden"].voltage.shape == (2, 4, 40, 12)
    assert seen.readout is not None
    assert seen.readout.shape == (2, 4, 40, 3)
    window = seen["output"].spikes[:, :, -30:].sum(2) / 0.03  # the rates are counted in the last 30 ms
    np.testing.assert_allclose(seen["output"].rates_hz, window)
    events = seen.spike_frame()
    assert len(events[events["layer"] == "output"]) == seen["output"].spikes.sum()
    assert len(seen.to_frame()) == 2 * 4 * (16 + 12 + 3)
    xarray = pytest.importorskip("xarray")
    dataset = seen.to_xarray()
    assert isinstance(dataset, xarray.Dataset)
    assert dataset["hidden.spikes"].sizes == {"chip": 2, "sample": 4, "time_ms": 40, "hidden": 12}
    with pytest.raises(st.InputError, match="record"):
        _ = seen["hidden"].current


def test_activity_under_control(trained: st.Run) -> None:
    x, y = DATA[0][:3], DATA[1][:3]
    seen = trained.activity(x, y, phase="controlled", record=["control", "spikes"])
    assert seen.control is not None
    assert seen.control.shape == (2, 3, 40, 3)
    free = trained.activity(x, record=[])
    right = np.arange(3), y
    assert (seen["output"].rates_hz[:, *right] >= free["output"].rates_hz[:, *right]).mean() > 0.5
    with pytest.raises(st.InputError, match="y"):
        trained.activity(x, phase="controlled")
    with pytest.raises(st.InputError, match=r"phase.*free, controlled"):
        trained.activity(x, y, phase="dreaming")


def test_pictures(trained: st.Run, tmp_path: Path) -> None:
    learning = trained.plot()
    assert learning._repr_png_().startswith(b"\x89PNG")
    for ending, start in (("svg", b"<?xml"), ("png", b"\x89PNG"), ("pdf", b"%PDF"), ("csv", b"epoch")):
        assert learning.write(tmp_path / f"a.{ending}").read_bytes().startswith(start)
    first, second = (trained.plot("raster", chip=chip) for chip in (0, 1))
    assert "chip 1" in second.alt
    assert not first.data.equals(second.data)
    for arguments in ({"what": "nothing"}, {"what": "raster", "chip": 2}):
        with pytest.raises(st.InputError, match=r"learning, .*confusion|0 to 1"):
            trained.plot(**arguments)
    with pytest.raises(st.InputError, match="path"):
        learning.write(tmp_path / "a.docx")


def test_exported_chips_spike_as_they_did(trained: st.Run, tmp_path: Path) -> None:
    """An effective export is the chip: without mismatch it makes the same answers."""
    paths = trained.export(tmp_path / "nir", effective=True)
    config = {**CONFIG, "network": {"nir": str(paths[1])}, "mismatch": {"chips": 1, "first_chip": 1}}
    config["training"] = {**CONFIG["training"], "epochs": 1, "learning_rate": 1e-6, "average": 0.0}
    again = st.load(config).fit(*DATA, test=TEST)
    epoch = again.history["test_accuracy"].loc[0, 0]
    assert epoch == trained.accuracy[1]
