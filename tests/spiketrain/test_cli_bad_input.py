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
from bad_configs import COMBINATIONS, CONFIG, FILES, LONG, OVERRIDES
from typer.testing import CliRunner

from spiketrain.cli import app


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
