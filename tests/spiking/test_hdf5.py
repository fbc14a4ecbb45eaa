"""NIR files of other people: nothing outside the file is read, and nothing explodes."""

import os
import subprocess
import sys
from pathlib import Path

import h5py
import nir as reference
import numpy as np
import pytest

from root.errors import InputError
from spiking.network import Clock
from spiking.nir import read

SECRET = np.arange(10.0)


@pytest.fixture
def graph(tmp_path: Path) -> Path:
    """A good file, to be spoilt, and beside it one that is nobody's business."""
    (tmp_path / "secret").write_bytes(SECRET.tobytes())
    with h5py.File(tmp_path / "other.h5", "w") as other:
        other["weight"] = SECRET.reshape(5, 2)
    lif = reference.LIF(np.full(5, 0.02), np.ones(5), np.zeros(5), np.ones(5))
    reference.write(tmp_path / "a.nir", reference.NIRGraph.from_list(reference.Linear(np.ones((5, 2))), lif))
    assert read(tmp_path / "a.nir", Clock()).network.sizes == (2, 5)
    return tmp_path / "a.nir"


def external_storage(linear: h5py.Group, folder: Path) -> None:
    del linear["weight"]
    linear.create_dataset("weight", (5, 2), "f8", external=[(str(folder / "secret"), 0, 80)])


def external_pipe(linear: h5py.Group, folder: Path) -> None:
    os.mkfifo(folder / "pipe")
    del linear["weight"]
    linear.create_dataset("weight", (5, 2), "f8", external=[(str(folder / "pipe"), 0, 80)])


def external_link(linear: h5py.Group, folder: Path) -> None:
    del linear["weight"]
    linear["weight"] = h5py.ExternalLink(str(folder / "other.h5"), "/weight")


def external_group(linear: h5py.Group, folder: Path) -> None:
    linear.file["elsewhere"] = h5py.ExternalLink(str(folder / "other.h5"), "/")
    del linear["weight"]
    linear["weight"] = h5py.SoftLink("/elsewhere/weight")


def soft_link(linear: h5py.Group, folder: Path) -> None:
    linear["again"] = h5py.SoftLink("/node")


def dangling_link(linear: h5py.Group, folder: Path) -> None:
    linear["again"] = h5py.SoftLink("/nowhere")


def virtual(linear: h5py.Group, folder: Path) -> None:
    layout = h5py.VirtualLayout((5, 2), "f8")
    layout[...] = h5py.VirtualSource(str(folder / "other.h5"), "weight", (5, 2))
    del linear["weight"]
    linear.create_virtual_dataset("weight", layout)


def virtual_pipe(linear: h5py.Group, folder: Path) -> None:
    """A virtual data set without an end: its sources are waited for only to learn its shape."""
    os.mkfifo(folder / "0.h5")
    unlimited = (h5py.h5s.UNLIMITED,)
    made = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
    whole = h5py.h5s.create_simple((2,), unlimited)
    whole.select_hyperslab((0,), unlimited, (2,), (2,))
    source = h5py.h5s.create_simple((2,))
    made.set_virtual(whole, str(folder / "%b.h5").encode(), b"weight", source)
    del linear["weight"]
    h5py.h5d.create(linear.id, b"weight", h5py.h5t.IEEE_F64LE, whole, made)


def never_written(linear: h5py.Group, folder: Path) -> None:
    del linear["weight"]
    linear.create_dataset("weight", (50_000, 50_000), "f8", chunks=(1000, 1000), compression="gzip")


def never_allocated(linear: h5py.Group, folder: Path) -> None:
    del linear["weight"]
    linear.create_dataset("weight", (50_000, 50_000), "f8")


def mostly_not_written(linear: h5py.Group, folder: Path) -> None:
    del linear["weight"]
    weight = linear.create_dataset("weight", (50_000, 50_000), "f8", chunks=(100, 100), compression="gzip")
    weight[:100, :100] = 1.0


def far_too_large(linear: h5py.Group, folder: Path) -> None:
    """Chunks that are all there: 6 MB for 5 GB, within what deflate can do."""
    del linear["weight"]
    weight = linear.create_dataset(
        "weight", (25_000, 25_000), "f8", chunks=(5000, 5000), compression="gzip", compression_opts=1
    )
    chunk = np.zeros((5000, 5000))
    weight[:5000, :5000] = chunk
    _, packed = weight.id.read_direct_chunk((0, 0))
    for row in range(0, 25_000, 5000):
        for column in range(0, 25_000, 5000):
            weight.id.write_direct_chunk((row, column), packed)


def circle(linear: h5py.Group, folder: Path) -> None:
    linear["again"] = linear


def doubling(linear: h5py.Group, folder: Path) -> None:
    """Twelve groups, each ten times in the one before: 10^12 ways through a small file."""
    group = linear
    for _ in range(12):
        inner = group.create_group("0")
        for name in "123456789":
            group[name] = inner
        group = inner


def many_long_texts(linear: h5py.Group, folder: Path) -> None:
    linear.create_dataset("texts", data=["x" * 1000] * 11_000, dtype=h5py.string_dtype())


def one_endless_text(linear: h5py.Group, folder: Path) -> None:
    """A text that says it is 4 GB long: memory would be taken before it is looked for."""
    texts = linear.create_dataset("texts", data=["x" * 77], dtype=h5py.string_dtype())
    linear.file.flush()
    path, place = Path(linear.file.filename), texts.id.get_offset()
    linear.file.close()
    content = bytearray(path.read_bytes())
    assert content[place : place + 4] == b"\x4d\0\0\0"
    content[place : place + 4] = b"\xff\xff\xff\xff"
    path.write_bytes(content)


def too_many_texts(linear: h5py.Group, folder: Path) -> None:
    linear.create_dataset("texts", (100_001,), h5py.string_dtype())


def references(linear: h5py.Group, folder: Path) -> None:
    linear.create_dataset("r", data=linear.ref, dtype=h5py.ref_dtype)


def records(linear: h5py.Group, folder: Path) -> None:
    linear.create_dataset("r", data=np.zeros(3, dtype=[("a", "f8"), ("b", "i4")]))


def lists(linear: h5py.Group, folder: Path) -> None:
    linear.create_dataset("r", (3,), h5py.vlen_dtype(np.float64))


def named_type(linear: h5py.Group, folder: Path) -> None:
    linear["t"] = np.dtype("f8")


def nothing(linear: h5py.Group, folder: Path) -> None:
    linear["t"] = h5py.Empty("f8")


def other_compression(linear: h5py.Group, folder: Path) -> None:
    linear.create_dataset("r", (100,), "i4", chunks=(100,), scaleoffset=3)


REFUSED = {
    external_storage: "/node/nodes/linear/weight has external storage",
    external_pipe: "has external storage",
    external_link: "/node/nodes/linear/weight is a link",
    external_group: "/elsewhere is a link",
    soft_link: "/node/nodes/linear/again is a link",
    dangling_link: "/node/nodes/linear/again is a link",
    virtual: "/node/nodes/linear/weight is a virtual data set",
    virtual_pipe: "weight is a virtual data set",
    never_written: r"weight of shape \(50000, 50000\) is larger than what is stored of it",
    never_allocated: "is larger than what is stored of it",
    mostly_not_written: "is larger than what is stored of it",
    far_too_large: "data sets of more than 1000000000 bytes in all",
    circle: "groups more than 16 deep",
    doubling: "more than 50000 objects, links followed",
    many_long_texts: "texts of more than 10000000 bytes",
    one_endless_text: "texts of more than 10000000 bytes",
    too_many_texts: "more than 100000 texts",
    references: "neither numbers nor texts",
    records: "neither numbers nor texts",
    lists: "neither numbers nor texts",
    named_type: "neither a group nor a data set",
    nothing: "is empty",
    other_compression: "compressed in another way",
}


@pytest.mark.parametrize("spoil", REFUSED, ids=lambda spoil: spoil.__name__)
def test_what_a_file_may_not_hold(graph: Path, spoil: object) -> None:
    with h5py.File(graph, "r+") as file:
        spoil(file["node/nodes/linear"], graph.parent)  # type: ignore[operator]
    with pytest.raises(InputError, match=REFUSED[spoil]) as error:  # type: ignore[index]
        read(graph, Clock())
    assert error.value.key == "network.nir"


def test_what_compresses_well_is_read(tmp_path: Path) -> None:
    """A large weight matrix of ones, as NIR writes it, is about as small as deflate can make it."""
    size = 3000
    lif = reference.LIF(np.full(size, 0.02), np.ones(size), np.zeros(size), np.ones(size))
    linear = reference.Linear(np.ones((size, 2000)))
    reference.write(tmp_path / "a.nir", reference.NIRGraph.from_list(linear, lif))
    assert (tmp_path / "a.nir").stat().st_size * 100 < 8 * size * 2000
    assert read(tmp_path / "a.nir", Clock()).network.sizes == (2000, size)


OPEN = """
import sys
from pathlib import Path
from root.errors import InputError
from spiking.nir import read
for path in sys.argv[1:]:
    try:
        read(Path(path))
    except InputError as error:
        print(error)
"""


def test_only_regular_files_are_opened(tmp_path: Path) -> None:
    """In a process of its own: what would be waited for must not hold up the tests."""
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "folder").mkdir()
    paths = [str(tmp_path / "pipe"), str(tmp_path / "folder"), "/dev/zero", "/dev/tty", "none"]
    command = [sys.executable, "-c", OPEN, *paths]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout.count("allowed: a readable NIR file") == len(paths)
    for what in ("It is a pipe", "It is a folder", "It is a device", "No such file"):
        assert what in done.stdout
