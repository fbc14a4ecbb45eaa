"""Readers of samples over time, on small files of each layout; what is malformed is refused."""

from __future__ import annotations

import struct
from importlib.util import find_spec
from pathlib import Path

import h5py
import numpy as np
import pytest

from root.errors import InputError, UnsupportedError
from spiketrain.config import Experiment
from spiketrain.experiment import run_in_memory
from spiketrain.tasks import ts
from spiketrain.tasks.csv_series import CsvSeries
from spiketrain.tasks.digits import Digits
from spiketrain.tasks.hdf5_events import Hdf5Events
from spiketrain.tasks.n_mnist import NMnist
from spiketrain.tasks.npz_series import NpzSeries
from spiketrain.tasks.row_digits import RowDigits
from spiketrain.tasks.ts import JapaneseVowels, TsFile

UNITS, CLASSES = 20, 3


def spoken(path: Path, samples: int = 18, *, seed: int = 0, **changes) -> Path:
    """Write a file of the layout of the Heidelberg digits: each class has units of its own."""
    g = np.random.default_rng(seed)
    labels = np.arange(samples) % CLASSES
    times, units = [], []
    for label in labels:
        count = int(g.integers(60, 120))
        times.append(np.sort(g.random(count) * g.uniform(0.05, 0.1)).astype(np.float32))
        units.append((6 * label + g.integers(0, 8, count)).astype(np.uint16))
    content = {"times": times, "units": units, "labels": labels.astype(np.uint8), **changes}
    with h5py.File(path, "w") as file:
        for name, kind in (("times", np.float32), ("units", np.uint16)):
            dtype = content[name][0].dtype if len(content[name]) else kind
            data = file.create_dataset(f"spikes/{name}", (len(content[name]),), h5py.vlen_dtype(dtype))
            for index, values in enumerate(content[name]):
                data[index] = values
        file["labels"] = content["labels"]
        file["extra/speaker"] = np.zeros(samples, np.uint8)
    return path


def refused(task, place: str, words: str) -> None:
    with pytest.raises(InputError) as caught:
        task.load(None)
    assert place in caught.value.key, caught.value
    assert words in str(caught.value)


class TestSpokenDigits:
    def test_events_are_those_of_the_file(self, tmp_path):
        path = spoken(tmp_path / "train.h5")
        data = Hdf5Events(file=str(path), inputs=UNITS).load(None)
        assert data.form == "events"
        assert (data.inputs, data.classes) == (UNITS, CLASSES)
        assert len(data.x_train) + len(data.x_test) == 18
        with h5py.File(path) as file:
            first = file["spikes/times"][0].astype(np.float64) * 1000.0
            labels = file["labels"][()]
        whole = Hdf5Events(file=str(path), test_file=str(path), inputs=UNITS).load(None)
        assert whole.y_train.tolist() == labels.tolist()
        np.testing.assert_array_equal(whole.x_train[:1].times_ms.numpy(), first)
        assert whole.sha256 != data.sha256

    def test_what_comes_late_may_be_left_out_and_a_sample_may_begin_with_its_first_event(self, tmp_path):
        path = str(spoken(tmp_path / "train.h5"))
        data = Hdf5Events(file=path, test_file=path, most_ms=30.0, from_first=True).load(None)
        assert data.lasting_ms <= 30.0
        for number in range(3):
            assert data.x_train[number : number + 1].times_ms[0] == 0.0

    def test_the_whole_way_from_a_config(self, tmp_path):
        """A made file of that layout is learned, to far above chance."""
        spoken(tmp_path / "train.h5", 60)
        spoken(tmp_path / "test.h5", 30, seed=1)
        experiment = Experiment.from_mapping(
            {
                "name": "shd",
                "task": {"name": "hdf5_events", "file": "train.h5", "test_file": "test.h5", "inputs": UNITS},
                "network": {"layers": [10, 20, CLASSES], "neuron": {"model": "lif", "bias": 0.8}},
                "bridge": {"encoding": {"name": "events", "group": 2}},
                "rule": {"name": "dfc"},
                "simulator": {"name": "torch", "presentation_ms": 100.0, "window_ms": 100.0},
                "training": {"epochs": 4, "batch": 10, "learning_rate": 0.02, "optimizer": "adam"},
            }
        )
        done = run_in_memory(experiment, data_dir=tmp_path, quiet=True)
        assert done.summary["test_accuracy"][0] >= 0.9

    @pytest.mark.parametrize(
        ("change", "place", "words"),
        [
            ({"times": (4, [0.01, 0.02, 0.015])}, "sample 4, event 2", "run backwards"),
            ({"times": (2, [-0.01, 0.0, 0.1])}, "sample 2, event 0", "0 or more"),
            ({"times": (2, [0.0, np.nan, 0.1])}, "sample 2, event 1", "0 or more"),
            ({"times": (1, [0.01, 0.02])}, "sample 1", "as many of both"),
            ({"times": (3, []), "units": (3, [])}, "sample 3", "one event or more"),
            ({"units": (0, [1, 2, 77])}, "sample 0, event 2", "a unit from 0 to 19"),
        ],
    )
    def test_malformed_events(self, tmp_path, change, place, words):
        times = [np.array([0.0, 0.01, 0.02], np.float32) for _ in range(6)]
        units = [np.array([0, 1, 2], np.uint16) for _ in range(6)]
        lists = {"times": times, "units": units}
        for name, (sample, values) in change.items():
            lists[name][sample] = np.array(values, lists[name][sample].dtype)
        path = spoken(tmp_path / "train.h5", 6, **lists)
        refused(Hdf5Events(file=str(path), inputs=UNITS), f"train.h5: {place}", words)

    def test_units_of_the_wrong_type(self, tmp_path):
        path = spoken(
            tmp_path / "a.h5",
            6,
            units=[np.array([0.5, 1.0]) for _ in range(6)],
            times=[np.array([0.0, 1.0]) for _ in range(6)],
        )
        refused(Hdf5Events(file=str(path)), "sample 0", "whole numbers")

    def test_another_layout(self, tmp_path):
        with h5py.File(tmp_path / "a.h5", "w") as file:
            file["spikes/times"], file["spikes/units"] = np.zeros((3, 4)), np.zeros((3, 4), int)
            file["labels"] = np.arange(3)
        refused(Hdf5Events(file=str(tmp_path / "a.h5")), "task.times", "lists of numbers")
        path = spoken(tmp_path / "b.h5")
        refused(Hdf5Events(file=str(path), labels="digits"), "task.labels", "spikes/times")

    def test_links_and_more_than_fits(self, tmp_path):
        path = spoken(tmp_path / "train.h5")
        with h5py.File(tmp_path / "b.h5", "w") as file:
            file["labels"] = h5py.ExternalLink(str(path), "labels")
            file["spikes/times"] = h5py.ExternalLink(str(path), "spikes/times")
        refused(Hdf5Events(file=str(tmp_path / "b.h5")), "task.times", "itself")
        with pytest.raises(InputError, match="memory_gb"):
            Hdf5Events(file=str(path)).load(None, 50_000)


def recorded(path: Path, events: list[tuple[int, int, int, int]]) -> None:
    """Write events (x, y, polarity, time in µs) as N-MNIST has them."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("wb") as file:
        for x, y, polarity, time in events:
            file.write(struct.pack(">BB", x, y) + ((polarity << 23) | time).to_bytes(3, "big"))


class TestNMnist:
    def folder(self, tmp_path: Path) -> Path:
        for part in ("Train", "Test"):
            for label in "037":
                for sample in range(2):
                    recorded(tmp_path / part / label / f"{sample:05}.bin", [(1, 2, 0, 500), (3, 0, 1, 1500)])
        return tmp_path

    def test_pixels_polarities_and_times(self, tmp_path):
        data = NMnist(folder=str(self.folder(tmp_path)), width=5, height=4).load(None)
        assert (data.inputs, data.classes, len(data.x_train), len(data.x_test)) == (40, 3, 6, 6)
        assert data.y_train.tolist() == [0, 0, 1, 1, 2, 2]
        assert data.x_train[:1].units.tolist() == [2 * 5 + 1, (4 + 0) * 5 + 3]
        assert data.x_train[:1].times_ms.tolist() == [0.5, 1.5]
        few = NMnist(folder=str(tmp_path), width=5, height=4, samples=1).load(None)
        assert len(few.x_train) == 3

    def test_a_clock_that_runs_over(self, tmp_path):
        root = self.folder(tmp_path)
        recorded(root / "Train/0/00000.bin", [(0, 0, 0, 8000), (0, 240, 0, 0), (0, 1, 0, 10)])
        data = NMnist(folder=str(root), width=5, height=4).load(None)
        assert data.x_train[:1].times_ms.tolist() == [8.0, (10 + 2**13) / 1000]

    def test_malformed_files(self, tmp_path):
        root = self.folder(tmp_path)
        task = NMnist(folder=str(root), width=5, height=4)
        bad = root / "Train/3/00001.bin"
        recorded(bad, [(1, 1, 0, 10), (5, 0, 0, 20)])
        refused(task, "Train/3/00001.bin, event 1", "pixel (5, 0)")
        recorded(bad, [(1, 1, 0, 10), (1, 0, 0, 2)])
        refused(task, "Train/3/00001.bin, event 1", "run backwards")
        bad.write_bytes(b"1234567")
        refused(task, "Train/3/00001.bin", "7 bytes")
        bad.write_bytes(b"")
        refused(task, "Train/3/00001.bin", "one event or more")
        refused(NMnist(folder=str(tmp_path / "nowhere")), "task.folder", "an existing folder")


class TestNpz:
    def write(self, path: Path, **changes) -> NpzSeries:
        g = np.random.default_rng(0)
        arrays = {"x": g.random((12, 6, 2)), "y": np.arange(12) % 3, "lengths": g.integers(2, 7, 12)}
        np.savez(path, **{k: v for k, v in {**arrays, **changes}.items() if v is not None})
        return NpzSeries(file=str(path), test_fraction=0.25)

    def test_padded_and_joined_are_the_same(self, tmp_path):
        task = self.write(tmp_path / "a.npz")
        with np.load(tmp_path / "a.npz") as file:
            x, lengths, y = file["x"], file["lengths"], file["y"]
        joined = np.concatenate([one[:n] for one, n in zip(x, lengths, strict=True)])
        np.savez(tmp_path / "b.npz", x=joined, y=y, lengths=lengths)
        other = NpzSeries(file=str(tmp_path / "b.npz"), axes="time, inputs", test_fraction=0.25)
        a, b = task.load(None), other.load(None)
        assert a.form == "series"
        assert a.x_train.values.tolist() == b.x_train.values.tolist()
        assert a.x_train.parts.tolist() == b.x_train.parts.tolist()
        assert a.sha256 == b.sha256
        assert a.lasting_ms == 10.0 * max(int(a.x_train.parts.max()), int(a.x_test.parts.max()))

    def test_filling_is_not_looked_at(self, tmp_path):
        x = np.full((6, 4, 1), np.nan)
        x[:, :2] = 0.5
        task = self.write(tmp_path / "a.npz", x=x, y=np.arange(6) % 2, lengths=np.full(6, 2))
        data = NpzSeries(file=task.file, test_fraction=0.4).load(None)
        assert data.x_train.values.tolist() == [[0.5]] * 2 * len(data.x_train)

    @pytest.mark.parametrize(
        ("changes", "place", "words"),
        [
            ({"lengths": np.array([7] + [2] * 11)}, "lengths, sample 0", "from 1 to 6"),
            ({"lengths": np.array([2] * 11 + [0])}, "lengths, sample 11", "from 1 to 6"),
            ({"lengths": np.full(12, 2.0)}, "lengths", "whole numbers"),
            ({"x": np.zeros((12, 6))}, "x", "task.axes"),
            (
                {"x": np.where(np.arange(144).reshape(12, 6, 2) == 14, np.inf, 0.5)},
                "sample 1, step 1",
                "finite",
            ),
            ({"x": np.full((12, 6, 2), 3.0)}, "a.npz", "minmax"),
            ({"y": np.zeros(12)}, "y", "integer labels"),
            ({"y": None}, "y", "lengths_test"),
        ],
    )
    def test_malformed_arrays(self, tmp_path, changes, place, words):
        refused(self.write(tmp_path / "a.npz", **changes), place, words)


class TestCsv:
    LINES = (
        "sample,t,label,a,b",
        "u,0,x,0.1,0.2",
        "u,1,x,0.3,0.4",
        "v,0,y,0.5,0.6",
        "w,0,x,1,0",
        "z,0,y,0,1",
    )

    def write(self, path: Path, *lines: str, **options) -> CsvSeries:
        path.write_text("\n".join(lines or self.LINES))
        return CsvSeries(file=str(path), time="t", test_file=str(path), **options)

    def test_samples_in_the_order_in_which_they_begin(self, tmp_path):
        data = self.write(tmp_path / "a.csv").load(None)
        assert data.x_train.parts.tolist() == [2, 1, 1, 1]
        assert data.x_train.values.tolist() == [[0.1, 0.2], [0.3, 0.4], [0.5, 0.6], [1, 0], [0, 1]]
        assert data.y_train.tolist() == [0, 1, 0, 1]
        one = self.write(tmp_path / "a.csv", inputs=("b",)).load(None)
        assert one.inputs == 1

    @pytest.mark.parametrize(
        ("line", "text", "place", "words"),
        [
            (2, "u,-1,x,0.3,0.4", "sample u, line 3", "times that go on"),
            (2, "u,1,y,0.3,0.4", "sample u, line 3", "one label per sample"),
            (2, "u,1,x,much,0.4", "line 3, column 'a'", "a finite number"),
            (0, "sample,t,label,a", "a.csv", "a text file of rows"),
            (0, "sample,when,label,a,b", "task.time", "when"),
        ],
    )
    def test_malformed_lines(self, tmp_path, line, text, place, words):
        lines = list(self.LINES)
        lines[line] = text
        task = self.write(tmp_path / "a.csv", *lines)
        with pytest.raises(InputError) as caught:
            task.load(None)
        assert place in str(caught.value)
        assert words in str(caught.value)

    def test_times_that_are_not_even(self, tmp_path):
        lines = ("sample,t,label,a", *(f"u,{t},x,0.5" for t in (0, 1, 2, 4)), "v,0,y,0.5")
        refused(self.write(tmp_path / "a.csv", *lines), "sample u, line 5", "intervals of 1")


class TestTs:
    def write(self, path: Path, *lines: str) -> TsFile:
        path.write_text("\n".join(lines))
        return TsFile(file=str(path), test_file=str(path))

    def test_two_inputs_of_unequal_length(self, tmp_path):
        task = self.write(
            tmp_path / "a.ts", "# a set", "@timeStamps false", "@data", "0,1:.5,.5:b", ".2:.4:a"
        )
        data = task.load(None)
        assert data.x_train.values.tolist() == [[0, 0.5], [1, 0.5], [0.2, 0.4]]
        assert data.y_train.tolist() == [1, 0]

    @pytest.mark.parametrize(
        ("lines", "place", "words"),
        [
            (("@data", "1,2:3:a"), "line 2, sample 0", "1 values of input 1"),
            (("@data", "1:2:a", "1:b"), "line 3, sample 1", "1 inputs"),
            (("@data", "1:?:a"), "line 2, sample 0, input 1, step 0", "a finite number"),
            (("@timeStamps true", "@data"), "line 1", "Resample"),
            (("1:2:a",), "a.ts", "@data"),
        ],
    )
    def test_malformed_lines(self, tmp_path, lines, place, words):
        refused(self.write(tmp_path / "a.ts", *lines), place, words)


@pytest.mark.skipif(find_spec("sktime") is None, reason="sktime, which brings the series, is not installed")
def test_the_vowels_are_those_of_the_archive():
    data = JapaneseVowels().load(None)
    assert (len(data.x_train), len(data.x_test), data.inputs, data.classes) == (270, 370, 12, 9)
    parts = np.concatenate([data.x_train.parts.numpy(), data.x_test.parts.numpy()])
    assert (parts.min(), parts.max()) == (7, 29)  # as the archive says
    assert data.y_train.bincount().tolist() == [30] * 9
    assert data.x_train.values.min() == 0.0
    assert data.x_train.values.max() == 1.0


def test_vowels_that_are_not_here_are_refused_with_what_to_install(monkeypatch):
    monkeypatch.setattr(ts, "find_spec", lambda name: None)
    with pytest.raises(UnsupportedError, match=r"spiketrain\[sequences\]"):
        JapaneseVowels().load(None)


def test_digits_row_by_row_are_the_digits():
    rows, whole = RowDigits().load(None), Digits().load(None)
    assert rows.x_train[5:6].values.flatten().tolist() == whole.x_train[5].tolist()
    assert rows.y_test.tolist() == whole.y_test.tolist()
    assert rows.lasting_ms == 160.0
