"""What cannot be is refused by the name of the argument, with what was given and what is allowed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import spiketrain as st

from .conftest import CONFIG, samples

X, Y = samples(30)


def changed(array: np.ndarray, index: Any, value: Any) -> np.ndarray:
    other = array.astype(type(value)) if isinstance(value, float) else array.copy()
    other[index] = value
    return other


WRONG: list[tuple[dict[str, Any], str]] = [
    ({"x": X[:, 0, 0]}, r"^x: got 'an array of shape \(30,\)'"),
    ({"x": X[:0]}, r"^x: .*at least one of each"),
    ({"x": X[:, :3]}, r"^x: .*\(30, 3, 4\), 12 inputs a sample.*16 inputs"),
    ({"x": X.transpose(1, 0, 2)}, r"^x: .*120 inputs a sample.*16 inputs"),
    ({"x": changed(X, (3, 1, 2), float("nan"))}, r"^x: got 'nan in sample 3, input 6'.*finite"),
    ({"x": changed(X, (4, 0, 0), float("inf"))}, r"^x: got 'inf in sample 4, input 0'"),
    ({"x": X * 255}, r"^x: got 'values from .*' ?; allowed: values from 0 to 1\. x / 25"),
    ({"x": X - 0.5}, r"^x: .*from 0 to 1\. \(x - low\)"),
    ({"x": X.astype(str)}, r"^x: .*real numbers"),
    ({"x": X + 1j}, r"^x: .*complex128.*real numbers"),
    ({"x": [[1.0, 2.0], [3.0]]}, r"^x: got 'list'.*an array of numbers"),
    ({"x": "digits"}, r"^x: "),
    ({"x": None}, r"^x: got None"),
    ({"y": None}, r"^y: got None"),
    ({"y": Y[:-1]}, r"^y: .*\(29,\).*each of 30 samples"),
    ({"y": Y + 0.5}, r"^y: .*float64.*integer labels.*numpy\.unique"),
    ({"y": np.array(list("abc" * 10))}, r"^y: "),
    ({"y": changed(Y, 7, 3)}, r"^y: got '3 in sample 7'.*0 to 2: the network has 3 outputs"),
    ({"y": changed(Y, 8, -1)}, r"^y: got '-1 in sample 8'"),
    ({"y": np.eye(3, dtype=int)[Y]}, r"^y: .*one-hot"),
    ({"y": np.eye(4)[Y]}, r"^y: .*3 wanted outputs"),
    ({"y": 2 * np.eye(3)[Y]}, r"^y: .*wanted outputs from 0 to 1"),
    ({"test": 1.5}, r"^test: got 1\.5"),
    ({"test": (X,)}, r"^test: .*pair of arrays"),
    ({"test": None}, r"^test: got None.*pair of arrays"),
    ({"test": (X[:, :2], Y)}, r"^test\[0\]: .*8 inputs a sample"),
    ({"test": (X, Y[:2])}, r"^test\[1\]: "),
    ({"test": (X, np.eye(3)[Y])}, r"^test\[1\]: got 'a regression'.*a classification, as y is"),
    ({"test": 0.001}, r"^test: got 0\.001.*both parts"),
    ({"validation": (X, Y + 5)}, r"^validation\[1\]: "),
    ({"folder": 3}, r"^folder: got 3"),
    ({"resume": True}, r"^resume: "),
    ({"data_dir": "nowhere"}, r"^data_dir: got 'nowhere'"),
    ({"on_epoch": 3}, r"^on_epoch: got 3.*function"),
]


@pytest.mark.parametrize(("wrong", "said"), WRONG, ids=[str(n) for n in range(len(WRONG))])
def test_fit_refuses(setup: st.Setup, wrong: dict[str, Any], said: str, tmp_path: Path) -> None:
    arguments: dict[str, Any] = {"x": X, "y": Y, "test": (X, Y), "folder": tmp_path / "run", **wrong}
    if "resume" in wrong:
        arguments["folder"] = None
    with pytest.raises(st.InputError, match=said):
        setup.fit(**arguments)
    assert not (tmp_path / "run").exists()


def test_fit_without_samples(setup: st.Setup) -> None:
    with pytest.raises(st.InputError, match=r"^x: got None.*names no task"):
        setup.fit()
    task = setup.change({"task": "digits", "network.layers": [64, 12, 10]})
    with pytest.raises(st.InputError, match=r"^test: .*without x and y"):
        task.fit(test=(X, Y))


def test_a_batch_larger_than_the_training_set(setup: st.Setup) -> None:
    with pytest.raises(st.InputError, match=r"training\.batch"):
        setup.fit(X[:12], Y[:12], test=(X, Y))


@pytest.mark.parametrize(
    ("source", "changes", "said"),
    [
        ("readout_lift", None, r"^source: got 'readout_lift'.*did you mean"),
        (3, None, r"^source: got 3"),
        ("readout_lif", ["training.epochs=1"], r"^changes: "),
        ("readout_lif", {"training.epochs": 1.5}, r"^training\.epochs: got 1\.5"),
        ("readout_lif", {"training.epoch": 1}, r"^training\.epoch: .*did you mean 'epochs'"),
        ("readout_lif", {"mismatch.threshold": 0.2}, r"^mismatch\.threshold"),
        ("readout_lif", {"rule": st.ReadoutOnly}, r"^rule: .*An object, not its class"),
        ("readout_lif", {"rule": {1: 2}}, r"^rule: got 1.*keys that are texts"),
        ("readout_lif", {"rule": object()}, r"^rule: got <object"),
        ("readout_lif", {"": 1}, r"^changes: got ''"),
        ({"network": {"neuron": st.Normal(cv=0.1)}}, None, r"network\.neuron|network\.layers"),
        ({**CONFIG, "training": {}}, None, r"training\.epochs"),
    ],
)
def test_load_refuses(source: Any, changes: Any, said: str) -> None:
    with pytest.raises(st.InputError, match=said):
        st.load(source, changes)


def test_a_run_refuses(trained: st.Run, tmp_path: Path) -> None:
    (tmp_path / "letter.txt").write_text("mine")
    wrong = [
        (lambda: trained.predict(X[:, :2]), "^x: .*16 inputs"),
        (lambda: trained.score(X), "^y: got None"),
        (lambda: trained.confusion(chip=2), "^chip: got 2.*0 to 1"),
        (lambda: trained.activity(X, record=["spiks"]), "^record: got 'spiks'.*spikes, voltage"),
        (lambda: trained.activity(X)["hiden"], "^layer: got 'hiden'.*input, hidden, output"),
        (
            lambda: trained.activity(np.tile(X, (10_000, 1, 1)), record=["spikes", "voltage", "current"]),
            "^x: .*memory_gb",
        ),
        (lambda: trained.save(tmp_path), r"^folder: .*letter\.txt"),
        (trained.report, "^report: .*in memory"),
        (lambda: st.open(tmp_path), r"^folder: .*summary\.json"),
    ]
    for call, said in wrong:
        with pytest.raises(st.InputError, match=said):
            call()
