"""Data files that lie, explode or wait: refused by their headers, before any memory is taken."""

from __future__ import annotations

import gzip
import io
import os
import resource
import struct
import subprocess
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from learning.feedback_control.feedback_weights import GivenFeedback
from mismatch.distributions import Empirical
from mismatch.population import Population
from root.errors import InputError
from spiketrain.tasks.idx import IdxFiles, read_idx
from spiketrain.tasks.npz import NpzFile
from spiketrain.tasks.student_teacher import StudentTeacher

X = np.random.default_rng(0).random((40, 6))
Y = np.arange(40) % 4


def member(shape: str, descr: str = "'<f8'", values: bytes = b"", *, order: str = "False") -> bytes:
    """Return a ``.npy`` file as the format's description says, whatever it claims."""
    header = f"{{'descr': {descr}, 'fortran_order': {order}, 'shape': {shape}, }}\n".encode()
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(header)) + header + values


def archive(path: Path, packing: int = zipfile.ZIP_DEFLATED, **members: bytes) -> Path:
    y = io.BytesIO()
    np.save(y, Y)
    with zipfile.ZipFile(path, "w", packing) as file:
        for name, content in {"y": y.getvalue(), **members}.items():
            file.writestr(f"{name}.npy", content)
    return path


def bomb(path: Path) -> Path:
    """Half a megabyte that unpacks to half a gigabyte."""
    with zipfile.ZipFile(archive(path), "a", zipfile.ZIP_DEFLATED) as file, file.open("x.npy", "w") as out:
        out.write(member("(500000, 1000)", "'|u1'"))
        for _ in range(500):
            out.write(bytes(1_000_000))
    return path


def lying(path: Path, size: int = 7_000_000_000) -> Path:
    """An archive that says a small file in it is a large one, its header too."""
    archive(path, x=member(f"({size // 8}, 1)"))
    content = bytearray(path.read_bytes())
    with zipfile.ZipFile(path) as file:
        real = struct.pack("<I", file.getinfo("x.npy").file_size)
    return path.write_bytes(content.replace(real, struct.pack("<I", size % 2**32))) and path


def encrypted(path: Path) -> Path:
    content = bytearray(
        archive(path, zipfile.ZIP_STORED, x=member("(40, 6)", values=X.tobytes())).read_bytes()
    )
    at = content.rindex(b"PK\x01\x02")
    content[at + 8] |= 1
    content[content.rindex(b"PK\x03\x04") + 6] |= 1
    path.write_bytes(content)
    return path


NPZ: dict[str, tuple[Callable[[Path], Any], str]] = {
    "more in memory than in the file": (bomb, r"limits\.memory_gb.*about 16\.5 GB.*x \(500000, 1000\)"),
    "a size that cannot be": (lying, "task.file"),
    "shorter than its header says": (lambda p: archive(p, x=member("(40, 6)", values=bytes(9))), "cannot be"),
    "longer than its header says": (
        lambda p: archive(p, x=member("(4, 6)", values=X.tobytes())),
        "cannot be",
    ),
    "more values than there are numbers": (lambda p: archive(p, x=member(f"({2**61}, 8)")), "the shape"),
    "a negative axis": (lambda p: archive(p, x=member("(-1, 6)", values=X.tobytes())), "the shape"),
    "an axis that is true": (lambda p: archive(p, x=member("(True, 1)", values=bytes(8))), "the shape"),
    "an axis that is a text": (lambda p: archive(p, x=member("('4', 1)", values=bytes(8))), "numbers"),
    "forty axes": (lambda p: archive(p, x=member(f"({'1, ' * 40})", values=bytes(8))), "the shape"),
    "an endless axis": (lambda p: archive(p, x=member(f"({'9' * 5000}, 1)")), "numbers"),
    "nested shapes": (lambda p: archive(p, x=member("(" * 900 + ")" * 900)), "numbers"),
    "a header of megabytes": (lambda p: archive(p, x=member("(1, 1)" + " " * 60_000)), "numbers"),
    "a header that computes": (lambda p: archive(p, x=member("(9**9**9, 1)")), "numbers"),
    "a header that calls": (lambda p: archive(p, x=member("(__import__('os').getpid(), 1)")), "numbers"),
    "objects": (lambda p: archive(p, x=member("(1, 1)", "'|O'", bytes(8))), "no Python objects"),
    "records": (lambda p: archive(p, x=member("(1, 1)", "[('a', '<f8')]", bytes(8))), "real numbers"),
    "dates": (lambda p: archive(p, x=member("(1, 1)", "'<M8[s]'", bytes(8))), "real numbers"),
    "nothing of a huge type": (lambda p: archive(p, x=member("(0, 1)", "'|V2000000000'")), "real numbers"),
    "an unknown type": (lambda p: archive(p, x=member("(1, 1)", "'<q99'", bytes(8))), "numbers"),
    "an unknown version": (lambda p: archive(p, x=b"\x93NUMPY\x09\x00" + bytes(80)), "numbers"),
    "no array": (lambda p: archive(p, x=b"hello"), "numbers"),
    "an empty array file": (lambda p: archive(p, x=b""), "numbers"),
    "another compression": (
        lambda p: archive(p, zipfile.ZIP_LZMA, x=member("(40, 6)", values=X.tobytes())),
        "deflate",
    ),
    "encrypted": (encrypted, "encrypted"),
    "a folder for an array": (lambda p: archive(p, **{"x.npy/a": b""}), "the arrays"),
    "a pipe": (os.mkfifo, "an existing file"),
    "a gigabyte of nothing": (lambda p: p.write_bytes(b"") or os.truncate(p, 10**9), "savez"),
    "half a directory": (lambda p: p.write_bytes(archive(p).read_bytes()[:-9]), "savez"),
}


@pytest.mark.parametrize("case", NPZ)
def test_npz(case: str, tmp_path: Path) -> None:
    make, words = NPZ[case]
    make(tmp_path / "d.npz")
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(InputError, match=words):
        NpzFile("d.npz").load(tmp_path)
    grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    assert grown < 150_000, f"{grown} kB taken"


@pytest.mark.parametrize("place", [100, 300, 900, 1700, -30, -100, -200])
@pytest.mark.parametrize("value", [0, 0x7F, 0xFF])
def test_a_byte_that_was_changed_is_harmless(place: int, value: int, tmp_path: Path) -> None:
    """Refused, or the same data: nothing else can come of a damaged file."""
    path = tmp_path / "d.npz"
    np.savez_compressed(path, x=X, y=Y)
    content = bytearray(path.read_bytes())
    content[place] = value
    path.write_bytes(content)
    try:
        found = NpzFile("d.npz").load(tmp_path)
    except InputError:
        return
    assert float(found.x_train.sum() + found.x_test.sum()) == pytest.approx(X.sum())


def idx(*axes: int, values: bytes = b"", kind: int = 8, count: int | None = None) -> bytes:
    return (
        bytes([0, 0, kind, len(axes) if count is None else count])
        + struct.pack(f">{len(axes)}I", *axes)
        + values
    )


IDX = {
    "sixty-six axes": (idx(*[1] * 66, values=b"1"), "66 axes"),
    "no axes": (idx(values=b"1"), "0 axes"),
    "axes that are missing": (idx(2, count=3), "3 axes"),
    "more than is there": (idx(2**32 - 1, 2**32 - 1, values=b"1"), "fits into the file"),
    "packed: more than can be there": (gzip.compress(idx(60_000, 28, 28, values=b"1")), "fits into the file"),
    "packed: more than fits": (gzip.compress(idx(400_000, 1000, values=bytes(400_000_000)), 1), "memory_gb"),
    "packed: cut short": (gzip.compress(idx(40, 4, values=bytes(160)))[:-20], "whole"),
    "packed: something else after it": (gzip.compress(idx(4, values=b"1234")) + b"xx", "whole"),
    "packed: too long": (gzip.compress(idx(4, values=b"1234567")), "more values"),
}


@pytest.mark.parametrize("case", IDX)
def test_idx(case: str, tmp_path: Path) -> None:
    content, words = IDX[case]
    (tmp_path / "a").write_bytes(content)
    with pytest.raises(InputError, match=words) as error:
        read_idx(tmp_path / "a", "task.train_images")
    assert error.value.key in ("task.train_images", "limits.memory_gb")


def test_all_files_of_a_set_share_the_memory(tmp_path: Path) -> None:
    for part in ("train", "t10k"):
        (tmp_path / f"{part}-images-idx3-ubyte").write_bytes(idx(40, 5, 5, values=bytes(1000)))
        (tmp_path / f"{part}-labels-idx1-ubyte").write_bytes(idx(40, values=bytes(Y.astype(np.uint8))))
    each = (1000 + 40) * (1 + 8 * 4)
    assert IdxFiles().load(tmp_path, 2 * each).inputs == 25
    with pytest.raises(InputError, match=r"limits\.memory_gb"):
        IdxFiles().load(tmp_path, 2 * each - 1)


def test_a_teacher_that_does_not_fit_is_refused() -> None:
    with pytest.raises(InputError, match=r"limits\.memory_gb"):
        StudentTeacher(inputs=100_000, train_samples=1_000_000).load(None)


PEAK = """
import sys, tracemalloc
from pathlib import Path
from root.arrays import Header
from root.seeds import SeedTree
from spiketrain.tasks.files import taken
from spiketrain.tasks.npz import NpzFile
import numpy as np
headers = [Header((4000, 300), np.dtype(np.uint8)), Header((4000,), np.dtype(np.int64))]
task = NpzFile("d.npz", scaling="minmax")
task.load(Path(sys.argv[1]))
tracemalloc.start()
task.load(Path(sys.argv[1])).hold_out(0.2, SeedTree(0))
print(tracemalloc.get_traced_memory()[1] / taken(*headers))
"""


def test_data_take_about_what_is_said(tmp_path: Path) -> None:
    """Peak over estimate, of bytes scaled, tested and validated."""
    np.savez_compressed(
        tmp_path / "d.npz", x=np.arange(1_200_000).astype(np.uint8).reshape(4000, 300), y=np.arange(4000) % 10
    )
    command = [sys.executable, "-c", PEAK, str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert 0.5 < float(done.stdout) < 1.0


# --- measured devices, stored populations, given feedback ------------------------------------------


TABLES = {
    "a.csv": (b"\xff\xfe1\n2\n", "UTF-8"),
    "b.csv": (b"x,y\n1,2\n3\n", "Row 2 is too short"),
    "c.csv": (b'x\n"1\n2', "numbers"),
    "d.csv": (b"x\n1\nnan\n", "finite"),
    "e.csv": (b"x\n1\n\0\n", "a table of numbers|numbers"),
    "f.csv": (b"1" * 200_000 + b"\n2\n", "a table of numbers|finite"),
    "a.npy": (member(f"({2**40},)"), "whole file"),
    "b.npy": (member("(2,)", "'|O'", bytes(16)), "no Python objects"),
    "c.npy": (b"\x93NUMPY", "numbers"),
    "d.npy": (member("(2, 2)", "'<U1'", "1x11".encode("utf-32-le")), "numbers"),
}


@pytest.mark.parametrize("name", TABLES)
def test_measured_devices(name: str, tmp_path: Path) -> None:
    content, words = TABLES[name]
    (tmp_path / name).write_bytes(content)
    with pytest.raises(InputError, match=words):
        Empirical(str(tmp_path / name), column="y" if name == "b.csv" else None)


def test_measured_devices_that_explode_or_wait(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"500000000 bytes.*at most 100000000"):
        Empirical(str(bomb(tmp_path / "a.npz")), column="x")
    os.mkfifo(tmp_path / "a.csv")
    with pytest.raises(InputError, match="It is a pipe"):
        Empirical(str(tmp_path / "a.csv"))


def test_measured_devices_are_known_by_their_values(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text("1\n2\n")
    known = Empirical(str(path)).sha256
    path.write_text("x\n1.0\n2.0\n")
    assert Empirical(str(path), sha256=known).sha256 == known
    path.write_text("1\n3\n")
    with pytest.raises(InputError, match=r"sha256: .*The file has changed"):
        Empirical(str(path), sha256=known)


STORED: dict[str, Callable[[Path], Any]] = {
    "empty": lambda p: p.write_bytes(b""),
    "no header": lambda p: p.write_bytes(b"hello world, this is no header"),
    "a header without an end": lambda p: p.write_bytes(struct.pack("<Q", 2**60) + b"{}"),
    "a deep header": lambda p: p.write_bytes(struct.pack("<Q", 200_000) + b"[" * 200_000),
    "more than there is": lambda p: p.write_bytes(
        struct.pack("<Q", 70)
        + b'{"feedback.1":{"dtype":"F64","shape":[99],"data_offsets":[0,792]}}'.ljust(70)
    ),
    "cut short": lambda p: (save_file({"feedback.1": torch.ones(5)}, p), os.truncate(p, 60)),
    "a pipe": os.mkfifo,
    "a folder": Path.mkdir,
    "missing": lambda p: None,
}


@pytest.mark.parametrize("case", STORED)
def test_stored_tensors(case: str, tmp_path: Path) -> None:
    STORED[case](tmp_path / "a.safetensors")
    with pytest.raises(InputError, match=r"rule\.feedback\.file: .*safetensors file"):
        GivenFeedback(file=str(tmp_path / "a.safetensors"))
    with pytest.raises(InputError, match=r"--compare: .*safetensors file"):
        Population.load(tmp_path / "a.safetensors")


def test_given_feedback_is_known_by_its_values(tmp_path: Path) -> None:
    path = tmp_path / "a.safetensors"
    save_file({"feedback.1": torch.ones(2, 3), "forward.1": torch.ones(4)}, path)
    known = GivenFeedback(file=str(path)).sha256
    save_file({"feedback.1": torch.ones(2, 3), "forward.1": torch.zeros(4)}, path)
    assert GivenFeedback(file=str(path), sha256=known).sha256 == known
    save_file({"feedback.1": torch.zeros(2, 3)}, path)
    with pytest.raises(InputError, match=r"rule\.feedback\.sha256: .*The file has changed"):
        GivenFeedback(file=str(path), sha256=known)
