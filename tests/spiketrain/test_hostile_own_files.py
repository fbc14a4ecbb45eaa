"""Tables, images and HDF5 files that lie, explode or wait: refused by name, in time and in memory."""

from __future__ import annotations

import os
import struct
import zlib
from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np
import pytest

from root.errors import InputError
from spiketrain.tasks.base import Task
from spiketrain.tasks.hdf5 import Hdf5File
from spiketrain.tasks.images import ImageFolder
from spiketrain.tasks.table import CsvFile

pytest.importorskip("PIL.Image")

SMALL = 4_000_000
"""Bytes that a task may take here."""


def png(width: int, height: int, data: bytes) -> bytes:
    """Return a PNG whose header says what it likes."""

    def chunk(kind: bytes, content: bytes) -> bytes:
        return (
            struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))
        )

    header = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", header)
        + chunk(b"IDAT", zlib.compress(data))
        + chunk(b"IEND", b"")
    )


def image(content: bytes) -> Callable[[Path], Task]:
    def made(folder: Path) -> Task:
        for label in ("a", "b"):
            (folder / "birds" / label).mkdir(parents=True)
            (folder / "birds" / label / "0.png").write_bytes(content)
        return ImageFolder(folder="birds")

    return made


def image_instead(make: Callable[[Path], object]) -> Callable[[Path], Task]:
    def made(folder: Path) -> Task:
        task = image(png(2, 2, bytes(6)))(folder)
        path = folder / "birds" / "b" / "0.png"
        path.unlink()
        make(path)
        return task

    return made


def table(content: bytes | str) -> Callable[[Path], Task]:
    def made(folder: Path) -> Task:
        (folder / "t.csv").write_bytes(content.encode() if isinstance(content, str) else content)
        return CsvFile(file="t.csv")

    return made


def table_instead(make: Callable[[Path], object]) -> Callable[[Path], Task]:
    def made(folder: Path) -> Task:
        make(folder / "t.csv")
        return CsvFile(file="t.csv")

    return made


def hdf5(fill: Callable[[h5py.File], object]) -> Callable[[Path], Task]:
    def made(folder: Path) -> Task:
        with h5py.File(folder / "d.h5", "w") as file:
            file["y"] = np.arange(30) % 3
            fill(file)
        return Hdf5File(file="d.h5")

    return made


def cut_hdf5(folder: Path) -> Task:
    task = hdf5(lambda file: file.create_dataset("x", data=np.ones((30, 400))))(folder)
    os.truncate(folder / "d.h5", (folder / "d.h5").stat().st_size // 2)
    return task


def zeros(file: h5py.File) -> None:
    """A few kilobytes that unpack to a terabyte."""
    file.create_dataset("x", (30, 2**32), np.float64, chunks=(1, 2**20), compression="gzip")


def elsewhere(file: h5py.File) -> None:
    file.create_dataset("x", (30, 4), np.uint8, external=[("/etc/passwd", 0, 120)])


HOSTILE: dict[str, tuple[Callable[[Path], Task], str]] = {
    "image: a header of 10^9 pixels": (image(png(32_000, 32_000, b"\0")), "0.png"),
    "image: a header of 10^18 pixels": (image(png(10**9, 10**9, b"\0")), "0.png"),
    "image: a bomb of zeros": (image(png(12_000, 12_000, bytes(20_000_000))), "0.png"),
    "image: cut short": (image(png(8, 8, bytes(72))[:45]), "0.png"),
    "image: a page": (image(b"<svg onload='x'/>"), "0.png"),
    "image: a script for a printer": (image(b"%!PS-Adobe-3.0 EPSF-3.0\n(x) run\n"), "0.png"),
    "image: a pipe": (image_instead(os.mkfifo), "0.png"),
    "image: a folder": (image_instead(Path.mkdir), "0.png"),
    "image: a link to nowhere": (image_instead(lambda path: path.symlink_to("nowhere")), "0.png"),
    "image: more than the memory": (image(png(800, 800, bytes(801 * 800))), "memory"),
    "table: a pipe": (table_instead(os.mkfifo), "task.file"),
    "table: a folder": (table_instead(Path.mkdir), "task.file"),
    "table: zeros": (table(bytes(1000)), "task"),
    "table: one endless cell": (table("a,label\n" + "1" * 200_000 + ",x\n"), "task.file"),
    "table: ten thousand columns of one name": (table(",".join(["a"] * 10_000) + "\n"), "twice"),
    "table: longer than the memory": (table("a,label\n" + "1,x\n" * 1_100_000), "task.file"),
    "table: a label that turns the writing": (table("a,label\n1,x\u202e\n0,y\n"), "label"),
    "table: a label that moves the cursor": (table("a,label\n1,x\x1b[2J\n0,y\n"), "label"),
    "table: a number of a million digits": (table("a,label\n" + "9" * 100_000 + ",x\n0,y\n"), "line 2"),
    "hdf5: a terabyte of nothing": (hdf5(zeros), "memory|larger"),
    "hdf5: bytes of another file": (hdf5(elsewhere), "task.x"),
    "hdf5: objects": (
        hdf5(lambda f: f.create_dataset("x", (30, 4), h5py.vlen_dtype(np.float64))),
        "d.h5|task",
    ),
    "hdf5: a group in a data set's place": (hdf5(lambda f: f.create_group("x")), "task.x"),
    "hdf5: a circle of links": (
        hdf5(lambda f: f.update({"a": h5py.SoftLink("/x"), "x": h5py.SoftLink("/a")})),
        "task.x",
    ),
    "hdf5: cut short": (cut_hdf5, "task.file"),
}


@pytest.mark.parametrize("case", HOSTILE)
@pytest.mark.filterwarnings(
    "error",
    "ignore::ResourceWarning",  # what is collected here may be another test's
    "ignore::pytest.PytestUnraisableExceptionWarning",
)
def test_a_file_that_means_harm_is_refused(case: str, tmp_path: Path) -> None:
    make, said = HOSTILE[case]
    task = make(tmp_path)
    with pytest.raises(InputError, match=said):
        task.load(tmp_path, SMALL)
