"""Sweeps and comparisons from Python are studies: the same cells, with their tables as frames."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import spiketrain as st
from spiketrain.studies.statistics import paired

from .conftest import samples

DATA = samples()
TEST = samples(45, seed=1)


def test_a_sweep_is_its_experiments(setup: st.Setup) -> None:
    one = setup.change({"training.epochs": 1})
    table = st.sweep(one, {"mismatch.weight.cv": [0.1, 0.4]}, *DATA, test=TEST, seeds=2)
    assert len(table) == 2 * 2 * 2
    for cv, seed in ((0.1, 0), (0.4, 1)):
        alone = one.change({"mismatch.weight.cv": cv, "training.seed": seed}).fit(*DATA, test=TEST)
        rows = table[(table["mismatch.weight.cv"] == cv) & (table["seed"] == seed)].sort_values("chip")
        np.testing.assert_array_equal(rows["test_accuracy"], alone.accuracy)


def test_a_comparison_is_paired_by_chip(setup: st.Setup, trained: st.Run, tmp_path: Path) -> None:
    rules = {"DFC": setup, "read-out": setup.change({"rule": st.ReadoutOnly()})}
    folder = tmp_path / "study"
    table = st.compare(rules, *DATA, test=TEST, folder=folder)
    assert list(table.index) == ["DFC", "read-out"]
    whole = table.attrs["table"].pivot_table(index="chip", columns="case", values="test_accuracy")
    np.testing.assert_array_equal(whole["DFC"], trained.accuracy)
    truth = paired(whole["DFC"], whole["read-out"])
    assert table.loc["read-out", "difference"] == truth.difference
    assert table.loc["read-out", "wins"] == truth.wins
    assert np.isnan(table.loc["DFC", "difference"])
    assert table.loc["DFC", "minimum"] == trained.accuracy.min()
    assert len(list((folder / "cells").iterdir())) == 2
    assert not list(folder.glob("cells/*/data.safetensors"))  # one copy for all of them
    again = st.compare(rules, *DATA, test=TEST, folder=folder, resume=True)
    np.testing.assert_array_equal(again["mean"], table["mean"])
    opened = st.open(next((folder / "cells").iterdir()))
    assert opened.accuracy.shape == (2,)


def test_a_sweep_in_other_processes(setup: st.Setup) -> None:
    pytest.importorskip("distributed")
    one = setup.change({"training.epochs": 1})
    here = st.sweep(one, {"training.learning_rate": [1.0, 3.0]}, *DATA, test=TEST)
    there = st.sweep(one, {"training.learning_rate": [1.0, 3.0]}, *DATA, test=TEST, workers=2)
    np.testing.assert_array_equal(here["test_accuracy"], there["test_accuracy"])


def test_what_cannot_be_swept(setup: st.Setup, tmp_path: Path) -> None:
    wrong = [
        (lambda: st.sweep(setup, {}, *DATA), "^grid: "),
        (lambda: st.sweep(setup, {"training.epochs": 1}, *DATA), r"^grid\.training\.epochs: got 1"),
        (lambda: st.sweep(setup, {"training.epochs": []}, *DATA), r"^grid\.training\.epochs: got \[\]"),
        (lambda: st.sweep(setup, {"training.epoch": [1]}, *DATA), r"training\.epoch: .*did you mean"),
        (lambda: st.sweep(setup, {"training.epochs": [1]}), "^x: got None"),
        (lambda: st.sweep(setup, {"training.epochs": [1]}, *DATA, seeds=0), "^seeds: got 0"),
        (lambda: st.sweep(setup, {"training.epochs": [1]}, *DATA, workers=0), "^workers: got 0"),
        (lambda: st.sweep(setup, {"training.epochs": [1]}, *DATA, resume=True), "^resume: "),
        (lambda: st.compare({"one": setup}, *DATA), "^cases: "),
        (
            lambda: st.compare({"a": setup, "b": setup.change({"mismatch.chips": 3})}, *DATA),
            r"^cases\['b'\]: mismatch\.chips: got 3.*the same chips",
        ),
        (
            lambda: st.compare({"a": setup, "b": setup}, *DATA, outcome="happiness"),
            "^outcome: got 'happiness'",
        ),
    ]
    for call, said in wrong:
        with pytest.raises(st.InputError, match=said):
            call()


def test_experiments_that_fail_are_named(setup: st.Setup) -> None:
    """A batch that is larger than the training set is found only with the samples."""
    with pytest.warns(UserWarning, match=r"1 of 2 experiments failed: training\.batch"):
        table = st.sweep(
            setup.change({"training.epochs": 1}), {"training.batch": [16, 500]}, *DATA, test=TEST
        )
    assert set(table["training.batch"]) == {16}
