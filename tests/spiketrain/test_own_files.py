"""Tables, folders of images and HDF5 files are read as they are, and refused by the place that is wrong."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pandas as pd
import pytest
from numpy.typing import NDArray

from root.errors import InputError
from spiketrain.config import Experiment
from spiketrain.experiment import run_in_memory
from spiketrain.tasks.base import Task
from spiketrain.tasks.hdf5 import Hdf5File
from spiketrain.tasks.images import ImageFolder
from spiketrain.tasks.table import CsvFile

Image = pytest.importorskip("PIL.Image")

NUMBERS = np.random.default_rng(0)
X = NUMBERS.random((30, 4))
Y = np.arange(30) % 3


def frame(names: tuple[str, ...] = ("owl", "cat", "bee")) -> pd.DataFrame:
    table = pd.DataFrame(X, columns=["a", "b", "c", "d"])
    table.insert(1, "animal", [names[label] for label in Y])
    return table


def joined(task: Task, folder: Path | None = None) -> tuple[NDArray[np.float64], NDArray[np.int64], Any]:
    """Return training and test samples together, in an order of their own."""
    data = task.load(folder)
    x = np.concatenate([data.x_train.numpy(), data.x_test.numpy()])
    y = np.concatenate([data.y_train.numpy(), data.y_test.numpy()])
    return x, y, data


def test_a_table_with_a_column_of_labels(tmp_path: Path) -> None:
    frame().to_csv(tmp_path / "t.csv", index=False)
    x, y, data = joined(CsvFile(file="t.csv", label="animal"), tmp_path)
    assert data.classes == 3
    assert len(data.x_test) == 6
    for row, label in zip(X, Y, strict=True):
        (place,) = np.flatnonzero((x == row).all(axis=1))
        assert y[place] == 2 - label  # bee, cat, owl


def test_columns_by_name_numbers_as_labels_and_a_test_file(tmp_path: Path) -> None:
    frame(("10", "9", "-1")).to_csv(tmp_path / "t.csv", index=False, sep=";")
    frame(("9", "9", "10")).head(5).to_csv(tmp_path / "u.csv", index=False, sep=";")
    data = CsvFile(
        file="t.csv", label="animal", inputs=("d", "a"), test_file="u.csv", delimiter=";", scaling="minmax"
    ).load(tmp_path)
    low, high = X.min(0), X.max(0)
    np.testing.assert_allclose(data.x_train.numpy(), ((X - low) / (high - low))[:, [3, 0]])
    assert data.y_train.tolist() == [2 - label for label in Y]  # -1, 9, 10
    assert data.y_test.tolist() == [1, 1, 2, 1, 1]


@pytest.mark.parametrize(
    ("text", "keys", "said"),
    [
        ("a,b\n", {}, r"task\.label: got 'label'.*a column of"),
        ("a,label\n", {}, r"without a sample"),
        ("a,lable\n1,2\n", {}, r"task\.label.*did you mean 'lable'"),
        ("a,a,label\n1,2,3\n", {}, r"line 1: got .*'a' twice"),
        ("label\n3\n", {}, r"line 1.*beside the label"),
        ("a,label\n1,x\n0.5\n", {}, r"line 3: got '1 columns'.*2 columns"),
        ("a,label\n0,x\n,y\n", {}, r"line 3, column 'a': got ''.*finite number"),
        ("a,label\n0,x\nnan,y\n", {}, r"line 3, column 'a': got 'nan'"),
        ("a,label\n0,x\n7,y\n" * 1, {}, r"values from|both parts"),
        ("a,label\n0,x\n1,x\n", {}, r"the label 'x' alone"),
        ("a,label\n0,x\n1,y\n", {"inputs": ("c",)}, r"task\.inputs: got 'c'"),
        ("a,label\n0,x\n1,y\n", {"inputs": ("label",)}, r"task\.inputs: got 'label'"),
        ("a,label\n0,x\n1,y\n", {"test_file": "t.csv", "test_fraction": 0.3}, r"task\.test_fraction"),
        ("a,label\n\xff".encode("latin-1"), {}, r"UTF-8"),
        ('a,label\n"0,x\n', {}, r"a text file of rows"),
    ],
)
def test_what_is_wrong_with_a_table(
    text: str | bytes, keys: dict[str, Any], said: str, tmp_path: Path
) -> None:
    (tmp_path / "t.csv").write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(InputError, match=said):
        CsvFile(file="t.csv", **keys).load(tmp_path)


def pictures(root: Path, side: int = 4, count: int = 5) -> dict[str, NDArray[np.uint8]]:
    made = {}
    for label, level in (("2", 40), ("10", 200)):
        (root / label).mkdir(parents=True)
        for index in range(count):
            pixels = NUMBERS.integers(level - 20, level + 20, (side, side, 3)).astype(np.uint8)
            Image.fromarray(pixels).save(root / label / f"{index}.png")
            made[f"{label}/{index}"] = pixels
    return made


def test_folders_of_images(tmp_path: Path) -> None:
    made = pictures(tmp_path / "birds")
    (tmp_path / "birds" / "2" / "notes.txt").write_text("no image")
    x, y, data = joined(ImageFolder(folder="birds", colours="rgb"), tmp_path)
    assert data.inputs == 48
    assert len(data.x_test) == 2
    for name, pixels in made.items():
        (place,) = np.flatnonzero((x == pixels.ravel() / 255).all(axis=1))
        assert y[place] == (name[0] == "1")  # 2 comes before 10
    grey = ImageFolder(folder="birds", size=2).load(tmp_path)
    assert grey.inputs == 4
    assert grey.x_train[grey.y_train == 0].mean() == pytest.approx(40 / 255, abs=0.03)


def test_images_with_a_test_set_of_their_own(tmp_path: Path) -> None:
    pictures(tmp_path / "train", count=4)
    pictures(tmp_path / "test", count=2)
    data = ImageFolder(folder=str(tmp_path)).load(None)
    assert (len(data.x_train), len(data.x_test)) == (8, 4)
    with pytest.raises(InputError, match=r"task\.split_seed.*test set of its own"):
        ImageFolder(folder=str(tmp_path), split_seed=3).load(None)


def test_what_is_wrong_with_images(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"task\.folder: .*existing folder"):
        ImageFolder(folder="nowhere").load(tmp_path)
    (tmp_path / "empty" / "cat").mkdir(parents=True)
    with pytest.raises(InputError, match=r"without images"):
        ImageFolder(folder="empty").load(tmp_path)
    pictures(tmp_path / "birds")
    Image.new("L", (5, 4)).save(tmp_path / "birds" / "2" / "9.png")
    with pytest.raises(InputError, match=r"9\.png: got '20 values'.*16.*task\.size"):
        ImageFolder(folder="birds").load(tmp_path)
    (tmp_path / "birds" / "2" / "9.png").write_bytes(b"\x89PNG\r\n\x1a\nnothing")
    with pytest.raises(InputError, match=r"9\.png: got 'no readable image'"):
        ImageFolder(folder="birds", size=4).load(tmp_path)
    for keys in ({"folder": ""}, {"folder": "a", "size": 0}, {"folder": "a", "test_fraction": 1.0}):
        with pytest.raises(InputError):
            ImageFolder(**keys)


def test_an_hdf5_file(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "d.h5", "w") as file:
        file["train/x"] = (X * 255).astype(np.uint8).reshape(30, 2, 2)
        file["train/y"] = Y + 5
        file["x_test"], file["y_test"] = X[:3], np.array([6, 7, 5])
    data = Hdf5File(
        file="d.h5", x="train/x", y="train/y", x_test="x_test", y_test="y_test", scaling="minmax"
    ).load(tmp_path)
    assert data.y_train.tolist() == Y.tolist()
    assert data.y_test.tolist() == [1, 2, 0]
    assert data.x_train.max() == 1.0
    with pytest.raises(InputError, match=r"d\.h5: got 'values from 0 to 2.*minmax"):
        Hdf5File(file="d.h5", x="train/x", y="train/y").load(tmp_path)


def test_what_is_wrong_with_an_hdf5_file(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "other.h5", "w") as file:
        file["x"] = X
    with h5py.File(tmp_path / "d.h5", "w") as file:
        file["x"], file["y"] = X, Y
        file["nan"] = np.where(X[4, 2] == X, np.nan, X)
        file["text"] = [b"a"] * 30
        file["away"] = h5py.ExternalLink("other.h5", "x")
        layout = h5py.VirtualLayout((30, 4), float)
        layout[:] = h5py.VirtualSource(str(tmp_path / "other.h5"), "x", (30, 4))
        file.create_virtual_dataset("virtual", layout)
    wrong: list[tuple[dict[str, Any], str]] = [
        ({"x": "z"}, r"task\.x: got 'z'.*nan, text, virtual, x, y|task\.x: got 'z'"),
        ({"x": "nan"}, r"nan: got 'nan in sample 4, input 2'"),
        ({"x": "y"}, r"y: got 'shape \(30,\)"),
        ({"y": "text"}, r"text: .*integer labels"),
        ({"x": "away"}, r"task\.x: got 'away'.*not of other\.h5"),
        ({"x": "virtual"}, r"task\.x: got 'virtual'.*in the file itself"),
        ({"file": "none.h5"}, r"task\.file"),
    ]
    for keys, said in wrong:
        with pytest.raises(InputError, match=said):
            Hdf5File(**{"file": "d.h5", **keys}).load(tmp_path)
    (tmp_path / "text.h5").write_text("no HDF5")
    with pytest.raises(InputError, match="a readable HDF5 file"):
        Hdf5File(file="text.h5").load(tmp_path)
    with pytest.raises(InputError, match="x_test"):
        Hdf5File(file="d.h5", x_test="x")


def test_a_config_names_them(tmp_path: Path) -> None:
    """From a table on the disk to accuracies, by the name in a config."""
    frame().to_csv(tmp_path / "t.csv", index=False)
    config = {
        "name": "table",
        "task": {"name": "csv", "file": "t.csv", "label": "animal", "inputs": ["a", "c"]},
        "network": {"layers": [2, 6, 3], "neuron": {"model": "lif", "bias": 1.0}},
        "rule": "readout_only",
        "simulator": {"name": "torch", "presentation_ms": 20, "window_ms": 20},
        "training": {"epochs": 1, "batch": 8, "learning_rate": 1.0},
    }
    done = run_in_memory(Experiment.from_mapping(config), data_dir=tmp_path, quiet=True)
    assert 0.0 <= done.summary["test_accuracy_mean"] <= 1.0
    wrong = Experiment.from_mapping({**config, "network": {**config["network"], "layers": [4, 6, 3]}})  # type: ignore[dict-item]
    with pytest.raises(InputError, match=r"network\.layers.*2 inputs"):
        wrong.load_data(tmp_path)
