"""Events of an event camera in binary files, a folder for every label, as N-MNIST has them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, final

import numpy as np
from numpy.typing import NDArray

from root.arrays import Header
from root.errors import InputError
from root.files import read_regular
from root.ranges import COUNT, SIDE
from spiketrain.tasks.base import TaskData
from spiketrain.tasks.files import MEMORY_BYTES, afford
from spiketrain.tasks.in_time import EventFiles, Raw
from spiketrain.tasks.own import numbered

__all__ = ["NMnist", "events_of"]

BYTES = 5
"""Of an event: x, y, and 24 bits of polarity and time."""

OVERFLOW_Y, OVERFLOW_US = 240, 2**13
"""An event with this y is none: the clock has run over, and later times count from so much further on."""

MAX_FILE_BYTES = 1_000_000_000


@final
@dataclass(frozen=True)
class NMnist(EventFiles):
    r"""Folders ``Train`` and ``Test`` with a folder for every label, whose ``.bin`` files are samples.

    An event is 40 bits: x, y, a bit of polarity, and 23 bits of time in µs. Pixel (x, y) of polarity p is
    input :math:`(p\,h + y)\,w + x`.

    Source: Orchard et al. 2015, "Converting static image datasets to spiking neuromorphic datasets using
    saccades", doi:10.3389/fnins.2015.00437.

    Args:
        folder: with the folders of both sets, within ``--data-dir`` unless absolute.
        width: w, pixels of a row.
        height: h, rows.
        samples: how many files of every label are read, in the order of their names; null for all.
    """

    folder: str = ""
    width: Annotated[int, SIDE] = 34
    height: Annotated[int, SIDE] = 34
    samples: Annotated[int | None, COUNT] = None

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.folder:
            raise InputError("folder", self.folder, "the path of a folder with Train and Test")

    def load(self, data_dir: Path | None, memory_bytes: int = MEMORY_BYTES) -> TaskData:
        root = (data_dir or Path()) / self.folder
        train, texts = self._read(root / "Train", memory_bytes)
        y, names = numbered(str(root / "Train"), texts)
        raw, test_texts = self._read(root / "Test", memory_bytes)
        return self._finished(
            (train, y), (raw, numbered(str(root / "Test"), test_texts, names)[0]), len(names)
        )

    def _read(self, folder: Path, memory_bytes: int) -> tuple[Raw, list[str]]:
        if not folder.is_dir():
            fix = "--data-dir names the folder that task.folder starts from."
            raise InputError("task.folder", str(folder), "an existing folder", fix)
        raw, texts, size = Raw(2 * self.width * self.height, 0.001), list[str](), 0
        for label in sorted(path for path in folder.iterdir() if path.is_dir()):
            for path in sorted(label.glob("*.bin"))[: self.samples]:
                content = read_regular(path, "task.folder", "file of events", MAX_FILE_BYTES)
                size += len(content) // BYTES
                afford(str(folder), {"events": Header((3 * size,), np.dtype(np.float64))}, memory_bytes)
                raw.add(str(path), *events_of(path, content, self.width, self.height))
                texts.append(label.name)
        if not texts:
            raise InputError("task.folder", str(folder), "folders of labels with .bin files in them")
        return raw, texts


def events_of(
    path: Path, content: bytes, width: int, height: int
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return times in µs and inputs of the events in a file.

    Args:
        path: of the file, to blame.
        content: its bytes.
        width: pixels of a row.
        height: rows.

    Raises:
        InputError: it ends within an event, or has one beyond the pixels.
    """
    if len(content) % BYTES:
        raise InputError(str(path), f"{len(content)} bytes", f"events of {BYTES} bytes each")
    words = np.frombuffer(content, np.uint8).reshape(-1, BYTES).astype(np.int64)
    x, y, high = words[:, 0], words[:, 1], words[:, 2]
    time = (high & 127) << 16 | words[:, 3] << 8 | words[:, 4]
    over = y == OVERFLOW_Y
    time = (time + OVERFLOW_US * np.cumsum(over))[~over]
    x, y, polarity = x[~over], y[~over], (high >> 7)[~over]
    beyond = np.flatnonzero((x >= width) | (y >= height))
    if len(beyond):
        event = int(beyond[0])
        given = f"pixel ({x[event]}, {y[event]})"
        raise InputError(f"{path}, event {event}", given, f"pixels of {width} × {height}")
    return time, (polarity * height + y) * width + x
