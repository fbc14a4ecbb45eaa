"""The tasks: sizes, splits, published values, batches."""

from __future__ import annotations

import gzip
import os
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from root.errors import InputError
from root.seeds import SeedTree
from spiketrain.tasks.base import SPLITS, TaskData, stratified_split
from spiketrain.tasks.digits import Digits
from spiketrain.tasks.idx import IdxFiles
from spiketrain.tasks.npz import NpzFile
from spiketrain.tasks.yinyang import YinYang

RATES = (0.1, 0.8)
SEEDS = SeedTree(0)


def _idx(values: NDArray[np.uint8]) -> bytes:
    """Write an array as the format's description says, independently of the reader."""
    return bytes([0, 0, 8, values.ndim]) + struct.pack(f">{values.ndim}I", *values.shape) + values.tobytes()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    generator = np.random.default_rng(0)
    for part, count in (("train", 30), ("t10k", 10)):
        images = generator.integers(0, 256, (count, 3, 2), dtype=np.uint8)
        labels = (np.arange(count) % 5).astype(np.uint8)
        (tmp_path / f"{part}-images-idx3-ubyte").write_bytes(_idx(images))
        (tmp_path / f"{part}-labels-idx1-ubyte.gz").write_bytes(gzip.compress(_idx(labels)))
    x = generator.random((50, 4, 2))
    np.savez(tmp_path / "images.npz", x=x, y=np.arange(50) % 5)
    x = x.reshape(50, 8)
    np.savez(tmp_path / "own.npz", x=x, y=np.arange(50) % 5)
    np.savez(tmp_path / "split.npz", x=x, y=np.arange(50) % 5, x_test=x[:10] * 0.5, y_test=np.arange(10) % 5)
    np.savez(tmp_path / "large.npz", x=(x * 200 - 50).astype(np.float32), y=np.arange(50, dtype=np.uint8) % 5)
    return tmp_path


MEMBERS: dict[str, Callable[[Path], TaskData]] = {
    "digits": lambda folder: Digits().load(None),
    "yinyang": lambda folder: YinYang(100, 30, 40).load(None),
    "idx": lambda folder: IdxFiles().load(folder),
    "npz": lambda folder: NpzFile("own.npz").load(folder),
    "npz of images": lambda folder: NpzFile("images.npz", flatten=True).load(folder),
    "npz with a test set": lambda folder: NpzFile("split.npz").load(folder),
    "npz scaled": lambda folder: NpzFile("large.npz", scaling="minmax").load(folder),
}


@pytest.mark.parametrize("member", MEMBERS)
def test_every_task_keeps_the_rules(member: str, folder: Path) -> None:
    data, again = MEMBERS[member](folder), MEMBERS[member](folder)
    for name in SPLITS:
        x, y = data.split(name)
        assert x.dtype == torch.float64
        assert y.dtype == torch.int64
        assert x.shape == (len(y), data.inputs)
        assert torch.equal(x, again.split(name)[0])
        assert torch.equal(y, again.split(name)[1])
        if len(x):
            assert 0 <= float(x.min()) <= float(x.max()) <= 1
            assert set(y.tolist()) == set(range(data.classes))


@pytest.mark.parametrize(("task", "member"), [(Digits(), "digits"), (YinYang(100, 30, 40), "yinyang")])
def test_the_shape_is_known_beforehand(task: Digits | YinYang, member: str, folder: Path) -> None:
    data = MEMBERS[member](folder)
    assert task.shape == (data.inputs, data.classes)
    assert data.has_validation == task.own_validation


def test_digits_are_split_as_published() -> None:
    data = Digits().load(None)
    assert (len(data.x_train), len(data.x_test), data.inputs, data.classes) == (1437, 360, 64, 10)
    shares = torch.bincount(data.y_test) / 360
    assert torch.allclose(shares, torch.bincount(torch.cat([data.y_train, data.y_test])) / 1797, atol=0.002)
    assert float(data.x_train.max()) == 1.0
    assert not bool((data.x_test.unsqueeze(1) == data.x_train).all(-1).any())


def test_yin_yang_as_published() -> None:
    """Sizes, and the first samples as the data set's own code draws them."""
    data = YinYang().load(None)
    assert [len(data.split(name)[0]) for name in SPLITS] == [5000, 1000, 1000]
    generator = np.random.RandomState(42)
    wanted, point = generator.randint(3), generator.rand(2)
    while _class(*point) != wanted:
        point = generator.rand(2)
    assert data.y_train[0] == wanted
    np.testing.assert_array_equal(data.x_train[0], [*point, *(1 - point)])
    assert torch.equal(data.x_test[:, :2] + data.x_test[:, 2:], torch.ones(1000, 2, dtype=torch.float64))


def test_yin_yang_is_symmetric() -> None:
    """A point turned by half a turn changes from yin to yang, a dot's stays a dot's."""
    data = YinYang().load(None)
    assert torch.bincount(data.y_train).min() > 1600
    turned = [_class(1 - x, 1 - y) for x, y in data.x_train[:, :2].tolist()]
    expected = torch.tensor([1, 0, 2])[data.y_train]
    assert torch.equal(torch.tensor(turned), expected)


def _class(x: float, y: float) -> int | None:
    """Name the part of the figure from its picture: a disc, two half discs on a line, two dots."""
    if (x - 0.5) ** 2 + (y - 0.5) ** 2 > 0.25:
        return None
    left, right = (x - 0.25) ** 2 + (y - 0.5) ** 2, (x - 0.75) ** 2 + (y - 0.5) ** 2
    if min(left, right) < 0.01:
        return 2
    if left <= 0.0625:
        return 1
    if right <= 0.0625:
        return 0
    return int(y > 0.5)


def test_idx_pixels_and_labels(folder: Path) -> None:
    data = IdxFiles(train_samples=20).load(folder)
    raw = np.frombuffer((folder / "train-images-idx3-ubyte").read_bytes()[16:], np.uint8).reshape(30, 6)
    np.testing.assert_array_equal(data.x_train, raw[:20] / 255)
    assert data.y_train.tolist() == [k % 5 for k in range(20)]
    assert (len(data.x_test), data.classes) == (10, 5)


def test_idx_in_a_folder_of_its_own(folder: Path) -> None:
    data = IdxFiles(folder=folder.name).load(folder.parent)
    assert torch.equal(data.x_train, IdxFiles(folder=str(folder)).load(None).x_train)


def test_idx_cannot_give_more_than_it_has(folder: Path) -> None:
    with pytest.raises(InputError, match="at most the 30 samples"):
        IdxFiles(train_samples=31).load(folder)
    with pytest.raises(InputError, match=">= 1"):
        IdxFiles(test_samples=0)


@pytest.mark.skipif("SPIKETRAIN_DATA" not in os.environ, reason="SPIKETRAIN_DATA names no folder with MNIST")
def test_mnist() -> None:
    folder = Path(os.environ["SPIKETRAIN_DATA"])
    if not (folder / "train-images-idx3-ubyte.gz").exists():
        folder /= "mnist"
    data = IdxFiles().load(folder)
    assert (len(data.x_train), len(data.x_test), data.inputs, data.classes) == (60000, 10000, 784, 10)
    assert data.y_train[:10].tolist() == [5, 0, 4, 1, 9, 2, 1, 3, 1, 4]
    assert abs(float(data.x_train.mean()) - 0.1307) < 1e-4


def test_npz_holds_out_a_share_of_every_class(folder: Path) -> None:
    data = NpzFile("own.npz", test_fraction=0.3).load(folder)
    assert torch.bincount(data.y_test).tolist() == [3] * 5
    assert data.inputs == 8
    other = NpzFile("own.npz", test_fraction=0.3, split_seed=1).load(folder)
    assert not torch.equal(data.x_test, other.x_test)


def test_npz_is_scaled_by_the_training_set(folder: Path) -> None:
    data = NpzFile("large.npz", scaling="minmax").load(folder)
    assert data.x_train.min(0).values.tolist() == [0.0] * 8
    assert data.x_train.max(0).values.tolist() == [1.0] * 8
    same = NpzFile("own.npz", scaling="minmax").load(folder)
    assert torch.allclose(data.x_train, same.x_train, atol=1e-5)


def test_an_input_that_never_changes_is_scaled_to_zero(tmp_path: Path) -> None:
    x = np.c_[np.full(10, 7.0), np.arange(10.0)]
    np.savez(tmp_path / "x.npz", x=x, y=np.arange(10) % 2)
    data = NpzFile("x.npz", scaling="minmax").load(tmp_path)
    assert float(data.x_train[:, 0].abs().max()) == 0.0


def test_an_epoch_shows_every_sample_once_but_for_the_rest() -> None:
    data = Digits().load(None)
    batches = list(data.train_batches(0, 32, SEEDS, RATES))
    assert len(batches) == 1437 // 32
    assert [batch.key for batch in batches] == [("train", 0, index) for index in range(44)]
    shown = torch.cat([batch.x for batch in batches])
    rows = {tuple(row) for row in data.x_train.tolist()}
    assert len({tuple(row) for row in shown.tolist()}) == 44 * 32
    assert all(tuple(row) in rows for row in shown.tolist())


def test_epochs_differ_in_order_and_repeat_themselves() -> None:
    data = Digits().load(None)
    first, second, again = (next(iter(data.train_batches(e, 32, SEEDS, RATES))).x for e in (0, 1, 0))
    assert torch.equal(first, again)
    assert not torch.equal(first, second)
    other = next(iter(data.train_batches(0, 32, SeedTree(1), RATES))).x
    assert not torch.equal(first, other)


def test_targets_are_high_for_the_label() -> None:
    data = Digits().load(None)
    for batch, labels in data.chunks("test", 100, RATES):
        assert torch.equal(batch.target.argmax(1), labels)
        assert torch.allclose(batch.target.sum(1), torch.tensor(9 * 0.1 + 0.8, dtype=torch.float64))


def test_chunks_are_the_split_in_order() -> None:
    data = Digits().load(None)
    chunks = list(data.chunks("test", 100))
    assert [batch.key for batch, _ in chunks] == [("test", index) for index in range(4)]
    assert [len(labels) for _, labels in chunks] == [100, 100, 100, 60]
    assert torch.equal(torch.cat([batch.x for batch, _ in chunks]), data.x_test)
    assert list(data.chunks("validation", 100)) == []


def test_a_regression_has_its_outputs_as_targets() -> None:
    x, y = torch.rand(20, 3, dtype=torch.float64), torch.rand(20, 2, dtype=torch.float64)
    data = TaskData(x, y, x, y, x[:0], y[:0], classes=2, kind="regression")
    batch, wanted = next(data.chunks("train", 20, RATES))
    assert torch.equal(wanted, y)
    assert torch.allclose(batch.target, 0.1 + 0.7 * y)
    held = data.hold_out(0.25, SEEDS)
    assert (len(held.x_train), len(held.x_val)) == (15, 5)


def test_holding_out_keeps_shares_and_loses_nothing() -> None:
    data = Digits().load(None)
    held = data.hold_out(0.2, SEEDS)
    assert data.hold_out(0.0, SEEDS) is data
    assert torch.equal(held.x_test, data.x_test)
    rows = torch.cat([held.x_train, held.x_val])
    assert torch.equal(rows.sum(0), data.x_train.sum(0))
    shares = torch.bincount(held.y_val) / torch.bincount(data.y_train)
    assert float((shares - 0.2).abs().max()) < 0.01


def test_a_label_that_cannot_be_in_both_parts() -> None:
    with pytest.raises(InputError, match="label 1") as caught:
        stratified_split(np.array([0] * 9 + [1]), 0.3, np.random.default_rng(0), "training.validation")
    assert caught.value.key == "training.validation"


X, Y = torch.zeros(6, 4, dtype=torch.float64), torch.arange(6) % 2


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"x_train": torch.zeros(6, 8, 8)}, r"x_train: got \(6, 8, 8\).*laid out"),
        ({"x_test": torch.zeros(6, 5)}, r"x_test: got \(6, 5\).*\(samples, 4\)"),
        ({"x_train": torch.zeros(6, 4, dtype=torch.int64)}, "x_train: .*floating point"),
        ({"y_train": torch.eye(6)}, r"y_train: got '\(6, 6\) of torch.float32'.*one per sample"),
        ({"y_train": Y[:5]}, r"y_train: got '\(5,\)"),
        ({"y_test": Y + 1}, "y_test: got 'labels from 1 to 2'; allowed: labels from 0 to 1"),
        ({"kind": "regression"}, r"y_train: .*wanted outputs \(6, 2\)"),
    ],
)
def test_shapes_are_checked_where_data_enter(changed: dict[str, Any], words: str) -> None:
    arrays: dict[str, Any] = {
        "x_train": X, "y_train": Y, "x_test": X, "y_test": Y, "x_val": X[:0], "y_val": Y[:0], "classes": 2
    }  # fmt: skip
    TaskData(**arrays)
    with pytest.raises(InputError, match=words):
        TaskData(**arrays | changed)
