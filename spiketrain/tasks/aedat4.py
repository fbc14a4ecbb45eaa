"""Recordings of event cameras in AEDAT4 files, a folder for every label, through the library `aedat`."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import IO, Annotated, final

import numpy as np
from numpy.typing import NDArray

from root.arrays import Header
from root.errors import InputError, UnsupportedError
from root.files import open_regular
from root.ranges import COUNT, SIDE
from spiketrain.tasks import aedat4_decoder
from spiketrain.tasks.aedat4_decoder import EVENT
from spiketrain.tasks.base import TaskData
from spiketrain.tasks.files import MEMORY_BYTES, afford
from spiketrain.tasks.in_time import EventFiles, Raw
from spiketrain.tasks.own import numbered

__all__ = ["Aedat4"]

LIBRARY = "aedat"

MAX_FILE_BYTES = 4_000_000_000

MAX_LINE = 10_000
"""Bytes of a line that says what comes."""

Recorded = tuple[tuple[int, int], NDArray[np.void]]
"""Width and height, and events."""


@final
@dataclass(frozen=True)
class Aedat4(EventFiles):
    r"""A folder with a folder for every label, whose ``.aedat4`` files are samples.

    With squares of p × p pixels, of w in a row and h below each other, pixel (x, y) of polarity s (1 where it
    became brighter) is input :math:`(s\,h + \lfloor y / p \rfloor)\,w + \lfloor x / p \rfloor`. Cameras count
    time from 1970 on, so that a sample begins with its first event. Frames, triggers and motion in the same
    file are left out.

    Files are decoded in a process of their own. Source of the format: iniVation, "AEDAT 4.0",
    https://docs.inivation.com/software/software-advanced-usage/file-formats/aedat-4.0.html.

    Args:
        folder: with the folders of labels, within ``--data-dir`` unless absolute.
        test_folder: one of the same kind for the tests; null holds samples out.
        pool: p, pixels along a side of the square that is one input.
        samples: how many files of every label are read, in the order of their names; null for all.
    """

    folder: str = ""
    test_folder: str | None = None
    pool: Annotated[int, SIDE] = 1
    samples: Annotated[int | None, COUNT] = None
    from_first: bool = True

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.folder:
            raise InputError("folder", self.folder, "the path of a folder with a folder for every label")

    def load(self, data_dir: Path | None, memory_bytes: int = MEMORY_BYTES) -> TaskData:
        root = (data_dir or Path()) / self.folder
        if find_spec(LIBRARY) is None:
            allowed = f"a task whose reader is here: this one needs the package {LIBRARY}"
            raise UnsupportedError("task.name", "aedat4", allowed, "pip install 'spiketrain[events]'")
        train, texts, camera = self._read(root, "task.folder", memory_bytes)
        y, names = numbered(str(root), texts)
        test = None
        if self.test_folder is not None:
            other = (data_dir or Path()) / self.test_folder
            raw, test_texts, _ = self._read(other, "task.test_folder", memory_bytes, camera)
            test = (raw, numbered(str(other), test_texts, names)[0])
        return self._finished((train, y), test, len(names))

    def _read(
        self, folder: Path, key: str, memory_bytes: int, camera: tuple[int, int] | None = None
    ) -> tuple[Raw, list[str], tuple[int, int]]:
        """Return the samples of a folder, their labels as texts, and the pixels of the camera."""
        if not folder.is_dir():
            fix = f"--data-dir names the folder that {key} starts from."
            raise InputError(key, str(folder), "an existing folder", fix)
        labels = sorted(path for path in folder.iterdir() if path.is_dir())
        paths = [path for label in labels for path in sorted(label.glob("*.aedat4"))[: self.samples]]
        raw: Raw | None = None
        size = 0
        for path, (pixels, events) in zip(paths, _decoded(paths, key, memory_bytes), strict=True):
            camera = camera or pixels
            if pixels != camera:
                given, allowed = (
                    "{} × {} pixels".format(*pixels),
                    "{} × {}, as other files have".format(*camera),
                )
                raise InputError(str(path), given, allowed)
            size += len(events)
            afford(str(folder), {"events": Header((3 * size,), np.dtype(np.float64))}, memory_bytes)
            width, height = (-(-side // self.pool) for side in pixels)
            raw = raw or Raw(2 * width * height, 0.001)
            x, y = (events[name].astype(np.int64) for name in ("x", "y"))
            _check_pixels(path, x, y, pixels)
            raw.add(str(path), events["t"], (events["on"] * height + y // self.pool) * width + x // self.pool)
        if raw is None or camera is None:
            raise InputError(key, str(folder), "folders of labels with .aedat4 files in them")
        return raw, [path.parent.name for path in paths], camera


def _check_pixels(path: Path, x: NDArray[np.int64], y: NDArray[np.int64], pixels: tuple[int, int]) -> None:
    beyond = np.flatnonzero((x >= pixels[0]) | (y >= pixels[1]))
    if len(beyond):
        event = int(beyond[0])
        allowed = "pixels of {} × {}".format(*pixels)
        raise InputError(f"{path}, event {event}", f"pixel ({x[event]}, {y[event]})", allowed)


def _decoded(paths: list[Path], key: str, memory_bytes: int) -> Iterator[Recorded]:
    """Yield what is in every file, one after the other, from one process."""
    with _decoder(memory_bytes) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        for path in paths:
            open_regular(path, key, "file of events", MAX_FILE_BYTES).close()
            with suppress(BrokenPipeError):  # what it has to say is read below
                process.stdin.write(json.dumps(str(path.resolve())).encode() + b"\n")
                process.stdin.flush()
            yield _answer(process.stdout, path, memory_bytes)


def _answer(stream: IO[bytes], path: Path, memory_bytes: int) -> Recorded:
    line = stream.readline(MAX_LINE)
    allowed = "an AEDAT4 file with one stream of events"
    if not line.endswith(b"\n"):
        raise InputError(str(path), "a file at which the decoder gave up", allowed, "Is it damaged?")
    head = json.loads(line)
    if "error" in head:
        raise InputError(str(path), head["error"], allowed)
    afford(str(path), {"events": Header((3 * head["events"],), np.dtype(np.float64))}, memory_bytes)
    content = stream.read(head["events"] * EVENT.itemsize)
    return (head["width"], head["height"]), np.frombuffer(content, EVENT)


@contextmanager
def _decoder(memory_bytes: int) -> Iterator[subprocess.Popen[bytes]]:
    command = [sys.executable, "-I", str(Path(aedat4_decoder.__file__)), str(memory_bytes)]
    process = subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
    )
    try:
        yield process
    finally:
        process.kill()
        process.wait()
        for stream in (process.stdin, process.stdout):
            if stream is not None and not stream.closed:
                with suppress(BrokenPipeError):  # what it was not told does not matter any more
                    stream.close()
