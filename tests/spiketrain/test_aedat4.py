"""Recordings of event cameras: a file that the maker's library wrote, and others made of it."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest

from root.errors import InputError, UnsupportedError
from spiketrain.config import Experiment
from spiketrain.experiment import run_in_memory
from spiketrain.tasks import aedat4
from spiketrain.tasks.aedat4 import Aedat4

pytest.importorskip("aedat")

MAKERS = (Path(__file__).parent / "dv_processing.aedat4").read_bytes()
"""Written by dv-processing 2.0.4 without compression: 20 events of a camera of 5 × 4 pixels, one a ms
from 1 s on, the k-th at (k mod 5, k mod 4), brighter where k is even."""

EVENT = np.dtype([("t", "<i8"), ("x", "<i2"), ("y", "<i2"), ("on", "?"), ("empty", "V3")])
FIRST = MAKERS.index(np.int64(1_000_000).tobytes())


def write(path: Path, *, text: tuple[bytes, bytes] = (b"", b""), **fields) -> Path:
    """Write the maker's file with other fields of its events, and one text of its head replaced."""
    content = bytearray(MAKERS)
    events = np.frombuffer(content, EVENT, count=20, offset=FIRST)
    for name, values in fields.items():
        events[name] = values
    path.parent.mkdir(parents=True, exist_ok=True)
    del events
    path.write_bytes(bytes(content).replace(*text) if text[0] else content)
    return path


def folder(path: Path, samples: int = 10) -> Path:
    """Two labels: events on the left, or on the right."""
    g = np.random.default_rng(0)
    for number in range(samples):
        for label, first in (("left", 0), ("right", 3)):
            write(path / label / f"{number:02d}.aedat4", x=first + g.integers(0, 2, 20))
    return path


def refused(task: Aedat4, place: str, words: str) -> None:
    with pytest.raises(InputError) as caught:
        task.load(None)
    assert place in caught.value.key, caught.value
    assert words in str(caught.value)


def test_events_are_those_that_were_recorded(tmp_path):
    for label in "ab":
        write(tmp_path / label / "1.aedat4")
    task = Aedat4(folder=str(tmp_path), test_folder=str(tmp_path))
    data = task.load(None)
    k = np.arange(20)
    assert (data.form, data.inputs, data.classes) == ("events", 40, 2)
    assert data.x_train[:1].times_ms.tolist() == k.tolist()  # from the first event on
    assert data.x_train[:1].units.tolist() == (((k % 2 == 0) * 4 + k % 4) * 5 + k % 5).tolist()
    pooled = Aedat4(folder=str(tmp_path), test_folder=str(tmp_path), pool=2).load(None)
    assert pooled.inputs == 2 * 2 * 3  # what is left over at the edge is an input too
    assert pooled.x_train[:1].units.tolist() == (((k % 2 == 0) * 2 + k % 4 // 2) * 3 + k % 5 // 2).tolist()


def test_the_whole_way_from_a_config(tmp_path):
    folder(tmp_path / "set")
    config = {
        "name": "seen",
        "task": {"name": "aedat4", "folder": str(tmp_path / "set"), "test_fraction": 0.4},
        "network": {"layers": [40, 10, 2], "neuron": {"model": "lif", "bias": 0.9, "tau_m_ms": 10}},
        "bridge": {"encoding": "events"},
        "rule": {"name": "dfc", "prediction": "none"},
        "simulator": {"name": "torch", "presentation_ms": 20, "window_ms": 20},
        "training": {"epochs": 5, "batch": 6, "optimizer": "adam", "learning_rate": 0.1},
    }
    done = run_in_memory(Experiment.from_mapping(config))
    assert min(done.summary["test_accuracy"]) >= 0.8


@pytest.mark.parametrize(
    ("changes", "place", "words"),
    [
        ({"t": 1_000_000 - 1000 * np.arange(20)}, "event 1", "do not run backwards"),
        ({"x": 7}, "event 0", "pixels of 5 × 4"),
        ({"text": (b"EVTS", b"TRIG")}, "2.aedat4", "one stream of events"),
        ({"text": (b"#!AER-DAT4.0", b"#!AER-DAT3.1")}, "2.aedat4", "one stream of events"),
        (
            {"text": (b'<attr key="sizeX" type="int">5', b'<attr key="sizeX" type="int">6')},
            "2.aedat4",
            "other files",
        ),
        # at which the library panics
        ({"text": (b'<node name="0"', b'<node\xa9name="0"')}, "2.aedat4", "gave up"),
    ],
)
def test_malformed_recordings(tmp_path, changes, place, words):
    write(tmp_path / "a" / "1.aedat4")
    write(tmp_path / "b" / "2.aedat4", **changes)
    refused(Aedat4(folder=str(tmp_path)), place, words)


def test_files_that_end_early_or_never(tmp_path):
    path = write(tmp_path / "a" / "1.aedat4")
    path.write_bytes(MAKERS[:-300])
    refused(Aedat4(folder=str(tmp_path)), "1.aedat4", "AEDAT4")
    path.unlink()
    os.mkfifo(path)
    refused(Aedat4(folder=str(tmp_path)), "task.folder", "It is a pipe")
    path.unlink()
    refused(Aedat4(folder=str(tmp_path)), "task.folder", "folders of labels")
    refused(Aedat4(folder=str(tmp_path / "nowhere")), "task.folder", "an existing folder")


def test_more_events_than_memory_are_refused(tmp_path):
    write(tmp_path / "a" / "1.aedat4")
    with pytest.raises(InputError, match="memory"):
        Aedat4(folder=str(tmp_path)).load(None, 100)


def test_without_the_library_it_is_said_what_to_install(tmp_path, monkeypatch):
    monkeypatch.setattr(aedat4, "find_spec", lambda name: None)
    with pytest.raises(UnsupportedError, match=r"spiketrain\[events\]"):
        Aedat4(folder=str(tmp_path)).load(None)
