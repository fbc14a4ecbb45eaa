"""Wrong input of every kind: exit code 2, one message that names key, value and what is allowed."""

from __future__ import annotations

import gzip
import struct
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from spiketrain.cli import app

CONFIG = """\
task: {name: digits}
network: {layers: [64, 20, 10], neuron: {model: lif, tau_m_ms: 20, bias: 0.5}}
mismatch: {chips: 2, threshold: {distribution: normal, cv: 0.2}}
rule: {name: dfc, prediction: two_phase, controller: {kp: 0.5}}
simulator: {name: torch, presentation_ms: 20, window_ms: 10}
training: {epochs: 1, batch: 32, learning_rate: 0.5, optimizer: sgd}
"""

OVERRIDES = {
    "unknown section": ("trainig.epochs=3", ["trainig", "'training'"]),
    "unknown key": ("training.epohcs=3", ["training.epohcs", "3", "'epochs'"]),
    "unknown key of a neuron": ("network.neuron.tau_ms=3", ["network.neuron.tau_ms", "'tau_m_ms'"]),
    "unknown key of a rule": ("rule.controler.kp=1", ["rule.controler", "'controller'"]),
    "unknown key of a nested part": ("rule.controller.kpp=1", ["rule.controller.kpp", "'kp'"]),
    "unknown key of an optimizer": ("training.optimizer.momentums=0.1", ["momentums", "'momentum'"]),
    "unknown key of a simulator": (
        "simulator.presentation=1",
        ["simulator.presentation", "'presentation_ms'"],
    ),
    "unknown key of a distribution": ("mismatch.threshold.sigma=1", ["mismatch.threshold.sigma", "cv"]),
    "unknown parameter deviates": ("mismatch.treshold={distribution: normal, cv: 0.1}", ["'threshold'"]),
    "unknown rule": ("rule.name=dcf", ["rule.name", "'dcf'", "'dfc'"]),
    "unknown task": ("task.name=digit", ["task.name", "'digits'"]),
    "unknown neuron": ("network.neuron.model=lef", ["network.neuron.model", "'lif'"]),
    "unknown simulator": ("simulator.name=brain2", ["simulator.name", "'brian2'"]),
    "unknown encoding": ("bridge.encoding=poison", ["bridge.encoding.name", "'poisson'"]),
    "unknown distribution": (
        "mismatch.threshold.distribution=gauss",
        ["mismatch.threshold.distribution", "normal"],
    ),
    "unknown optimizer": ("training.optimizer=adan", ["training.optimizer.name", "'adam'"]),
    "unknown prediction": ("rule.prediction=basel", ["rule.prediction.name", "'basal'"]),
    "unknown arm": ("training.arm=in_lop", ["training.arm", "in_loop"]),
    "part without a name": ("rule={controller: {kp: 1}}", ["rule.name", "nothing"]),
    "text for an integer": ("training.epochs='3'", ["training.epochs", "'3'", "integer"]),
    "boolean for an integer": ("training.epochs=true", ["training.epochs", "True", "integer"]),
    "fraction for an integer": ("training.batch=1.5", ["training.batch", "1.5", "integer"]),
    "list for a number": ("training.learning_rate=[1]", ["training.learning_rate", "[1]", "a number"]),
    "number for a section": ("network=3", ["network", "mapping"]),
    "section left empty": ("network=", ["network", "None", "mapping"]),
    "number for a distribution": ("mismatch.threshold=0.2", ["mismatch.threshold", "0.2", "distribution"]),
    "not a number": ("training.learning_rate=.nan", ["training.learning_rate", "nan", "finite"]),
    "infinite": ("rule.controller.kp=.inf", ["rule.controller.kp", "inf", "finite"]),
    "too large for a number": ("simulator.dt_ms=1e999", ["simulator.dt_ms", "finite"]),
    "negative time constant": ("network.neuron.tau_m_ms=-20", ["network.neuron.tau_m_ms", "-20", ">= 0.001"]),
    "reset above threshold": ("network.neuron.reset=2", ["network.neuron.reset", "2", "threshold"]),
    "wrong output neuron": (
        "network.output_neuron={tau_m_ms: 0}",
        ["network.output_neuron.tau_m_ms", ">= 0.001"],
    ),
    "negative gain": ("rule.controller.kp=-1", ["rule.controller.kp", "-1", ">= 0"]),
    "no epochs": ("training.epochs=0", ["training.epochs", "0", ">= 1"]),
    "no chips": ("mismatch.chips=0", ["mismatch.chips", "0"]),
    "negative seed": ("mismatch.seed=-1", ["mismatch.seed", "-1"]),
    "mismatch too wide": ("mismatch.threshold.cv=2", ["mismatch.threshold.cv", "lognormal"]),
    "learning rate of 0": ("training.learning_rate=0", ["training.learning_rate", ">= 1e-06"]),
    "guard that does nothing": ("training.guard={fall: null}", ["training.guard", "does something"]),
    "guard that never backs off": (
        "training.guard={fall: null, residual: 0.1, back_off: 0.7}",
        ["training.guard.back_off", "no chip is set back"],
    ),
    "guard against everything": ("training.guard.fall=1", ["training.guard.fall", "> 1"]),
    "average of 1": ("training.average=1.0", ["training.average", "< 1"]),
    "rates in the wrong order": (
        "bridge.target_rates=[0.8, 0.1]",
        ["bridge.target_rates", "lower one first"],
    ),
    "one rate": ("bridge.target_rates=[0.8]", ["bridge.target_rates", "a list of 2"]),
    "one layer": ("network.layers=[64]", ["network.layers", "a list of 2"]),
    "empty layer": ("network.layers=[64, 0, 10]", ["network.layers.1", "0"]),
    "inputs do not fit": ("network.layers=[65, 20, 10]", ["network.layers", "64 first", "digits"]),
    "outputs do not fit": ("network.layers=[64, 20, 11]", ["network.layers", "10 last", "digits"]),
    "gains do not fit": ("network.weight_gain=[1, 2, 3]", ["network.weight_gain", "a list of 2"]),
    "spreads do not fit": ("network.bias_spread=[1.0]", ["network.bias_spread", "a list of 2"]),
    "delay between steps": ("network.delay_ms=1.5", ["network.delay_ms", "1.5", "multiple"]),
    "presentation between steps": (
        "simulator.presentation_ms=20.5",
        ["simulator.presentation_ms", "multiple"],
    ),
    "window too long": ("simulator.window_ms=30", ["simulator.window_ms", "30", "20 ms"]),
    "test window too long": ("simulator.test_window_ms=30", ["simulator.test_window_ms", "20 ms"]),
    "unknown device": ("simulator.device=gpu7", ["simulator.device", "gpu7", "cpu"]),
    "unknown dtype": ("simulator.dtype=float16", ["simulator.dtype", "float16", "float64"]),
    "network larger than memory": ("network.layers=[64, 3000000, 10]", ["limits.memory_gb", "GB"]),
    "batch larger than the data": ("training.batch=2000", ["training.batch", "2000", "1437"]),
    "shadow without shadows": ("mismatch.shadow=shared", ["mismatch.shadow", "without effect"]),
    "share without shadows": ("mismatch.shadow_share=0.5", ["mismatch.shadow_share", "no shadow deviates"]),
    "name with a slash": ("name=../x", ["name", "../x", "letters"]),
    "override without a value": ("training.epochs", ["--set", "training.epochs", "section.key=value"]),
    "override without a key": ("=3", ["--set", "section.key=value"]),
    "override inside a number": ("training.epochs.x=3", ["--set", "epochs"]),
    "override with a tag": ("training.epochs=!!python/name:os.system", ["--set", "tag"]),
    "override that is no YAML": ("training.epochs=[1", ["--set", "line 1"]),
}

LONG = "a" * 5000
DIGITS = "1" * 4000

OVERRIDES |= {
    "a refractory time of no step": (
        "network.neuron.refractory_ms=0.3",
        ["network.neuron.refractory_ms", "0.3", "half a time step"],
    ),
    "deviations of a refractory time of 0": (
        "mismatch.refractory={distribution: normal, cv: 0.2}",
        ["mismatch.refractory", "refractory_ms: 0"],
    ),
    "drift of a parameter that is 0": (
        "mismatch.random_walk={std: {refractory: 0.1}}",
        ["mismatch.random_walk.std.refractory", "not 0"],
    ),
    "a rate of faults that are none": (
        "mismatch.faults={firing_rate: 2.0}",
        ["mismatch.faults.firing_rate", "without effect"],
    ),
    "more than a spike a step": ("bridge.max_rate_hz=100000", ["bridge.max_rate_hz", "1000 Hz", "dt_ms"]),
    "a delay longer than the presentation": (
        "network.delay_ms=100",
        ["network.delay_ms", "200 steps", "presentation_ms, 20 steps"],
    ),
    "delays that add up to the presentation": ("network.delay_ms=10", ["network.delay_ms", "20 steps"]),
    "a huge layer": ("network.layers=[64, 1e23, 10]", ["network.layers.1", "an integer"]),
    "a huge delay": ("network.delay_ms=1e300", ["network.delay_ms", "1000000"]),
    "a huge population": ("mismatch.chips=1000000000000000000", ["mismatch.chips", "<= 1000000"]),
    "a huge presentation": ("simulator.presentation_ms=1e308", ["simulator.presentation_ms", "1000000"]),
    "a tiny step": ("simulator.dt_ms=1e-308", ["simulator.dt_ms", ">= 0.001"]),
    "steps without number": (
        "simulator={name: torch, dt_ms: 0.001, presentation_ms: 1e5, window_ms: 1}",
        ["simulator.presentation_ms", "1e+08 steps", "at most 1000000 steps"],
    ),
    "training for ever": ("training.epochs=1e23", ["training.epochs", "an integer"]),
    "an integer of 4,000 digits": (f"training.epochs={DIGITS}", ["training.epochs", "111...", "<= 1000000"]),
    "a number of 4,000 digits": (f"rule.controller.kp={DIGITS}", ["rule.controller.kp", "111..."]),
    "an integer of 5,000 digits": (f"training.epochs={LONG.replace('a', '1')}", ["training.epochs"]),
    "a very long name": (f"name={LONG}", ["name", "at most 100"]),
    "a key of hundreds of dots": (f"{'a.' * 800}b=1", ["--set", "at most 32 parts"]),
    "a very long key": (f"training.{LONG}=1", ["unknown key"]),
}

COMBINATIONS = {
    "deviations of a synapse without a filter": (
        ["network.neuron.tau_syn_ms=0", "mismatch.tau_syn={distribution: normal, cv: 0.2}"],
        ["mismatch.tau_syn", "tau_syn_ms: 0"],
    ),
    "refractory deviations within a step": (
        ["network.neuron.refractory_ms=1", "mismatch.refractory={distribution: uniform, cv: 0.1}"],
        ["mismatch.refractory", "refractory_ms: 1"],
    ),
    "a delay of more bits than Loihi has": (
        ["simulator.name=loihi", "network.delay_ms=100", "simulator.presentation_ms=400"],
        ["network.delay_ms", "100 steps", "at most 64 steps", "6 bits"],
    ),
    "a refractory time of more bits than Loihi has": (
        ["simulator.name=loihi", "network.neuron.refractory_ms=100"],
        ["network.neuron.refractory_ms", "100 steps", "at most 63 steps"],
    ),
    "drawn refractory times of more bits than Loihi has": (
        [
            "simulator.name=loihi",
            "network.neuron.refractory_ms=60",
            "mismatch.refractory={distribution: normal, cv: 0.3}",
        ],
        ["mismatch.refractory", "at most 63 steps"],
    ),
    "currents that do not fit Loihi's messages": (
        [
            "simulator.name=loihi",
            "network.neuron={model: rate}",
            "mismatch={chips: 2}",
            "bridge.encoding={name: current, high: 3.0}",
        ],
        ["bridge.encoding", "3.0", "from -1 to 1"],
    ),
    "a delay of the input's currents": (
        ["bridge.encoding=current", "network.delay_ms=[2, 1]"],
        ["network.delay_ms", "2.0", "at once"],
    ),
    "a spike of two conditions for a surrogate gradient": (
        [
            "rule={name: surrogate_bptt}",
            "training.optimizer=adam",
            "simulator.name=torch",
            "network.neuron={model: equations, equations: dv/dt = -v/tau, threshold: v > 1 and v < 9, "
            "reset: v = 0, parameters: {tau: 9 ms}}",
            "mismatch={}",
        ],
        ["network.neuron.threshold", "one comparison"],
    ),
    "feedback mismatch without a loop": (
        ["rule={name: readout_only}", "mismatch.feedback={distribution: normal, cv: 0.2}"],
        ["mismatch.feedback", "closes no loop"],
    ),
    "hidden scale without hidden layers": (
        ["network.layers=[64, 10]", "training.hidden_scale=2.0"],
        ["training.hidden_scale", "2.0", "no hidden layer"],
    ),
    "bias spread without hidden layers": (
        ["network.layers=[64, 10]", "network.bias_spread=2.0"],
        ["network.bias_spread", "2.0"],
    ),
    "validation set twice": (
        ["task={name: yinyang}", "network.layers=[4, 20, 3]", "training.validation=0.2"],
        ["training.validation", "0.2", "yinyang"],
    ),
    "validation set of a few samples": (
        ["training.validation=0.0001"],
        ["training.validation", "both parts"],
    ),
    "too few samples of Yin-Yang": (
        ["task={name: yinyang, train_samples: 0}", "network.layers=[4, 20, 3]"],
        ["task.train_samples", "0"],
    ),
    "no file": (["task={name: npz}"], ["task.file", "nothing", "required"]),
    "missing file": (["task={name: npz, file: no.npz}"], ["task.file", "no.npz", "existing"]),
    "missing folder": (["task={name: idx, folder: none}"], ["task.train_images", "none", "--data-dir"]),
}

FILES = {
    "empty": (b"", ["an empty file", "mapping"]),
    "a list": (b"- 1\n- 2\n", ["[1, 2]", "mapping"]),
    "a text": (b"just words\n", ["just words", "mapping"]),
    "binary junk": (bytes(range(256)), ["UTF-8"]),
    "zeros": (b"task: \0\0", ["x.yaml", "#x0000"]),
    "no YAML": (b"task: {name: digits\nnetwork: [", ["line"]),
    "two documents": (b"task: digits\n---\nrule: dfc\n", ["line"]),
    "a tag": (b"task: !!python/object/apply:os.system ['echo']\n", ["tag"]),
    "a local tag": (b"task: !name digits\n", ["tag"]),
    "a key twice": (b"task: digits\ntask: npz\n", ["'task'", "twice"]),
    "a number as key": (b"1: digits\n", ["'1'", "not a text"]),
    "a list as key": (b"? [1, 2]\n: digits\n", ["not a text"]),
    "anchors that explode": (
        b"a: &a [x, x, x, x, x, x, x, x, x]\n"
        + b"".join(
            b"%c: &%c [%s]\n" % (c, c, b", ".join([b"*%c" % (c - 1)] * 9)) for c in range(ord("b"), ord("j"))
        ),
        ["10000", "aliases"],
    ),
    "an alias inside itself": (b"task: &a [*a]\n", ["*a", "inside"]),
    "an unknown alias": (b"task: *nothing\n", ["line"]),
    "very deep": (b"task: " + b"[" * 500 + b"]" * 500, ["levels"]),
    "a very long number": (b"task: " + b"1" * 6000, ["x.yaml"]),
    "a megabyte": (b"task: " + b"x" * 1_000_000, ["1000000 bytes"]),
    "half a surrogate": (b'task: "\\ud800"\n', ["task"]),
    "nothing required": (b"task: digits\n", ["network", "nothing", "required"]),
}


def _idx(values: np.ndarray) -> bytes:
    head = struct.pack(f">BBBB{values.ndim}I", 0, 0, 8, values.ndim, *values.shape)
    return head + values.astype(np.uint8).tobytes()


def _idx_folder(folder: Path, **changed: bytes) -> None:
    labels = np.arange(40) % 2
    images = np.zeros((40, 4, 4))
    content = {
        "train-images-idx3-ubyte": _idx(images),
        "train-labels-idx1-ubyte": _idx(labels),
        "t10k-images-idx3-ubyte": _idx(images),
        "t10k-labels-idx1-ubyte": _idx(labels),
    }
    for name, data in {**content, **{key.replace("_", "-"): data for key, data in changed.items()}}.items():
        (folder / name).write_bytes(data)


IDX = {
    "no IDX": ({"train_images_idx3_ubyte": b"hello world"}, ["task.train_images", "68 65 6c 6c"]),
    "empty IDX": ({"train_images_idx3_ubyte": b""}, ["task.train_images", "00 00 08"]),
    "IDX cut short": ({"train_images_idx3_ubyte": _idx(np.zeros((40, 4, 4)))[:-5]}, ["635 values", "640"]),
    "IDX too long": ({"train_images_idx3_ubyte": _idx(np.zeros((40, 4, 4))) + b"x"}, ["more", "640"]),
    "IDX of floats": ({"train_images_idx3_ubyte": b"\0\0\x0d\x01\0\0\0\1\0\0\0\0"}, ["00 00 0d"]),
    "IDX too large": ({"train_images_idx3_ubyte": b"\0\0\x08\x03" + b"\xff" * 12}, ["task.train_images"]),
    "IDX without images": ({"train_images_idx3_ubyte": _idx(np.zeros((0, 4, 4)))}, ["task.train_images"]),
    "gzip cut short": (
        {
            "train_images_idx3_ubyte": gzip.compress(_idx(np.random.default_rng(0).random((40, 4, 4)) * 255))[
                :-40
            ]
        },
        ["task.train_images", "whole"],
    ),
    "labels do not fit": (
        {"train_labels_idx1_ubyte": _idx(np.zeros(39))},
        ["task.train_labels", "(39,)", "40"],
    ),
    "test images do not fit": (
        {"t10k_images_idx3_ubyte": _idx(np.zeros((40, 5, 5)))},
        ["task.test_images", "25"],
    ),
    "test labels out of range": ({"t10k_labels_idx1_ubyte": _idx(np.full(40, 7))}, ["task.test_labels", "7"]),
    "images do not fit the network": ({}, ["network.layers", "16 first", "idx"]),
}

X = np.random.default_rng(1).random((40, 64))
Y = np.arange(40) % 10

NPZ: dict[str, tuple[dict[str, object], Sequence[str]]] = {
    "no y": ({"x": X}, ["y", "the arrays x"]),
    "nothing in it": ({}, ["x", "none"]),
    "not a number in x": (
        {"x": np.where(X > 0.999, np.nan, np.r_[X[:39], [[np.nan] * 64]]), "y": Y},
        ["nan"],
    ),
    "infinite x": ({"x": np.r_[X[:39], [[np.inf] * 64]], "y": Y}, ["inf in sample 39", "finite"]),
    "x out of range": ({"x": X * 255, "y": Y}, ["values from", "0 to 1", "task.scaling: minmax"]),
    "complex x": ({"x": X + 1j, "y": Y}, ["complex128", "real"]),
    "texts in x": ({"x": X.astype(str), "y": Y}, ["real numbers"]),
    "objects in x": ({"x": np.array([{}], dtype=object), "y": Y}, ["no Python objects"]),
    "one axis": ({"x": X[:, 0], "y": Y}, ["(40,)", "(samples, inputs)"]),
    "no samples": ({"x": X[:0], "y": Y[:0]}, ["(0, 64)"]),
    "labels are fractions": ({"x": X, "y": Y + 0.5}, ["float64", "integer labels", "Real numbers"]),
    "labels are whole, but no integers": ({"x": X, "y": Y + 0.0}, ["float64", "y.astype('int64')"]),
    "labels are texts": ({"x": X, "y": Y.astype(str)}, ["<U", "np.unique(y, return_inverse=True)"]),
    "labels are one-hot": ({"x": X, "y": np.eye(10)[Y]}, ["float64", "y.argmax(axis=1)", "one-hot"]),
    "labels are one-hot integers": (
        {"x": X, "y": np.eye(10, dtype=int)[Y]},
        ["(40, 10)", "y.argmax(axis=1)"],
    ),
    "images, or a time series": ({"x": X.reshape(40, 8, 8), "y": Y}, ["(40, 8, 8)", "task.flatten: true"]),
    "labels are negative": ({"x": X, "y": Y - 1}, ["-1", "labels 0, 1"]),
    "labels are large": ({"x": X, "y": Y * 1000}, ["9000", "fewer classes than samples"]),
    "a label without samples": ({"x": X, "y": Y * 2}, ["no sample of label 1", "np.unique"]),
    "a single label": ({"x": X, "y": Y * 0}, ["a single label"]),
    "too few labels": ({"x": X, "y": Y[:30]}, ["(30,)", "(40,)"]),
    "two columns of labels": ({"x": X, "y": np.c_[Y, Y]}, ["(40, 2)"]),
    "x_test without y_test": ({"x": X, "y": Y, "x_test": X}, ["y_test", "beside x_test"]),
    "test inputs do not fit": ({"x": X, "y": Y, "x_test": X[:, :5], "y_test": Y}, ["x_test", "64 inputs"]),
    "test labels out of range": ({"x": X, "y": Y, "x_test": X, "y_test": Y + 5}, ["y_test", "14", "0 to 9"]),
    "data do not fit the network": ({"x": X[:, :5], "y": Y}, ["network.layers", "5 first", "npz"]),
}


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("SPIKETRAIN_DATA", raising=False)
    (tmp_path / "x.yaml").write_text(CONFIG)
    return tmp_path


@pytest.fixture
def refused(here: Path) -> Callable[..., str]:
    """Run the command line in this process and return its message, having checked how it ended."""

    def run(*arguments: str, words: Sequence[str]) -> str:
        before = sorted(here.rglob("*"))
        result = CliRunner().invoke(app, [str(argument) for argument in arguments])
        message = result.stderr
        assert result.exit_code == 2, (result.output, result.exception)
        assert "Traceback" not in message
        assert result.stdout == ""
        assert message.count("\n") == 1, message
        assert "got " in message
        assert "allowed: " in message
        for word in words:
            assert word in message, (word, message)
        assert sorted(here.rglob("*")) == before
        return message

    return run


def _sets(overrides: Sequence[str]) -> list[str]:
    return [part for override in overrides for part in ("--set", override)]


@pytest.mark.parametrize("case", OVERRIDES)
def test_a_wrong_value(case: str, refused: Callable[..., str]) -> None:
    override, words = OVERRIDES[case]
    refused("--config", "x.yaml", "--set", override, words=words)


@pytest.mark.parametrize("case", COMBINATIONS)
def test_a_wrong_combination(case: str, refused: Callable[..., str]) -> None:
    overrides, words = COMBINATIONS[case]
    refused("--config", "x.yaml", *_sets(overrides), words=words)


@pytest.mark.parametrize("case", FILES)
def test_a_wrong_config_file(case: str, here: Path, refused: Callable[..., str]) -> None:
    content, words = FILES[case]
    (here / "x.yaml").write_bytes(content)
    refused("--config", "x.yaml", words=words)
    refused("validate", "x.yaml", words=words)


@pytest.mark.parametrize("case", IDX)
def test_a_wrong_idx_file(case: str, here: Path, refused: Callable[..., str]) -> None:
    changed, words = IDX[case]
    _idx_folder(here, **changed)
    sets = _sets(["task={name: idx}", "network.layers=[17, 5, 2]"])
    refused("--config", "x.yaml", "--data-dir", ".", *sets, words=words)


@pytest.mark.parametrize("case", NPZ)
def test_a_wrong_npz_file(case: str, here: Path, refused: Callable[..., str]) -> None:
    arrays, words = NPZ[case]
    np.savez(here / "d.npz", **arrays)  # type: ignore[arg-type]
    refused("--config", "x.yaml", "--set", "task={name: npz, file: d.npz}", words=words)


@pytest.mark.parametrize("content", [b"", b"hello", b"PK\x03\x04" + bytes(60)])
def test_a_file_that_is_no_npz(content: bytes, here: Path, refused: Callable[..., str]) -> None:
    (here / "d.npz").write_bytes(content)
    refused(
        "--config", "x.yaml", "--set", "task={name: npz, file: d.npz}", words=["task.file", "d.npz", "savez"]
    )


def test_a_damaged_npz_file(here: Path, refused: Callable[..., str]) -> None:
    np.savez(here / "d.npz", x=X, y=Y)
    content = bytearray((here / "d.npz").read_bytes())
    content[2000:2100] = bytes(100)
    (here / "d.npz").write_bytes(bytes(content))
    refused("--config", "x.yaml", "--set", "task={name: npz, file: d.npz}", words=["task.file", "d.npz"])


def test_an_option_without_effect_for_this_file(here: Path, refused: Callable[..., str]) -> None:
    np.savez(here / "d.npz", x=X, y=Y, x_test=X, y_test=Y)
    task = "task={name: npz, file: d.npz, test_fraction: 0.3}"
    refused("--config", "x.yaml", "--set", task, words=["task.test_fraction", "0.3", "test set of its own"])


FLAGS = {
    "a config of a very long name": (["--config", LONG], ["--config", "aaa...", "path"]),
    "a data folder of a very long name": (["--config", "x.yaml", "--data-dir", LONG], ["--data-dir"]),
    "an output of a very long name": (["--config", "x.yaml", "--output", LONG], ["output", "aaa..."]),
    "a run to go on with of a very long name": (["--resume", "--output", LONG], ["--config"]),
    "drift where nothing drifts": (["drift", "--config", "x.yaml"], ["mismatch", "changes with time"]),
    "drift over too many decades": (
        ["drift", "--config", "x.yaml", "--decades", "4000"],
        ["--decades", "4000", "<= 12"],
    ),
    "no config": (["--quiet"], ["--config", "nothing", "spiketrain configs"]),
    "unknown config": (
        ["--config", "dfc_lef"],
        ["--config", "'dfc_lef'", "spiketrain configs", "did you mean 'dfc_lif'"],
    ),
    "a config in two folders": (
        ["--config", "dfc_digits"],
        ["'dfc_digits'", "rate/dfc_digits.yaml, spiking/dfc_digits.yaml", "folder"],
    ),
    "a folder as config": (["--config", "folder"], ["--config", "folder", "not a folder"]),
    "a missing data folder": (["--config", "x.yaml", "--data-dir", "no"], ["--data-dir", "'no'", "folder"]),
    "a file as data folder": (["--config", "x.yaml", "--data-dir", "x.yaml"], ["--data-dir", "x.yaml"]),
    "a file as output": (["--config", "x.yaml", "--output", "x.yaml"], ["output", "x.yaml", "folder"]),
    "output below a file": (["--config", "x.yaml", "--output", "x.yaml/run"], ["output", "folder"]),
    "output that cannot be": (["--config", "x.yaml", "--output", "/proc/nowhere/run"], ["output", "/proc"]),
    "output in use": (["--config", "x.yaml", "--output", "folder"], ["output", "folder", "empty"]),
    "resume of nothing": (["--config", "x.yaml", "--resume"], ["--resume", "--output"]),
    "resume of no run": (["--config", "x.yaml", "--resume", "--output", "no"], ["resume", "'no'"]),
    "resume without a config": (["--resume", "--output", "folder"], ["config.yaml"]),
    "an unknown device": (["--config", "x.yaml", "--device", "gpu"], ["simulator.device", "gpu"]),
    "an option before a command": (["--quiet", "validate", "x.yaml"], ["--quiet", "validate --quiet"]),
    "two configs": (["validate", "x.yaml", "--config", "x.yaml"], ["--config", "one config"]),
}


@pytest.mark.parametrize("case", FLAGS)
def test_a_wrong_flag(case: str, here: Path, refused: Callable[..., str]) -> None:
    (here / "folder").mkdir()
    (here / "folder" / "file").write_text("mine")
    arguments, words = FLAGS[case]
    refused(*arguments, words=words)


@pytest.mark.parametrize("arguments", [["--bogus"], ["bogus"], ["--config"], ["--set"]])
def test_a_usage_error(arguments: list[str], here: Path) -> None:
    result = CliRunner().invoke(app, arguments)
    assert result.exit_code == 2
    assert "Traceback" not in result.output
    assert arguments[0] in result.stderr


PROCESSES = {
    "unknown key": ["--config", "x.yaml", "--set", "rule.contoller.kp=1"],
    "no file": ["--config", "missing.yaml"],
    "a tag": ["--config", "tag.yaml"],
    "data that do not fit": ["--config", "x.yaml", "--set", "network.layers=[65, 20, 10]"],
    "a file as output": ["--config", "x.yaml", "--output", "x.yaml"],
    "wrong data": ["--config", "x.yaml", "--set", "task={name: npz, file: x.yaml}"],
}


@pytest.mark.parametrize("case", PROCESSES)
def test_as_a_process(case: str, here: Path) -> None:
    (here / "tag.yaml").write_text("task: !!python/object/apply:os.mkdir [made]\n")
    before = sorted(here.rglob("*"))
    done = subprocess.run(
        [sys.executable, "-m", "spiketrain.cli", *PROCESSES[case]],
        capture_output=True,
        text=True,
        cwd=here,
        check=False,
    )
    assert done.returncode == 2, done.stderr
    assert done.stdout == ""
    assert done.stderr.startswith("spiketrain: ")
    assert done.stderr.count("\n") == 1
    assert sorted(here.rglob("*")) == before
