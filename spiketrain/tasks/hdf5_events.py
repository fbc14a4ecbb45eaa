"""Events in an HDF5 file, as the Spiking Heidelberg Digits lay them out."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal, final

import numpy as np
from numpy.typing import NDArray

from root.arrays import Header
from root.errors import InputError
from root.files import open_regular
from root.ranges import SIZE
from spiketrain.tasks.base import TaskData
from spiketrain.tasks.files import MEMORY_BYTES, afford, locate
from spiketrain.tasks.hdf5 import MAX_FILE_BYTES, dataset
from spiketrain.tasks.in_time import EventFiles, Raw
from spiketrain.tasks.own import numbered

__all__ = ["Hdf5Events"]

TO_MS = {"s": 1000.0, "ms": 1.0, "us": 0.001}

EVENT = Header((3,), np.dtype(np.float64))
"""What an event is counted as before it is kept: its time, its unit, and what is made of them."""


@final
@dataclass(frozen=True)
class Hdf5Events(EventFiles):
    """Data sets of lists, a list of times and one of units for every sample, and a data set of labels.

    The defaults are those of ``shd_train.h5`` and ``ssc_train.h5``, which `tonic` reads as well. Nothing
    outside the file is read.

    Source: Cramer et al. 2022, "The Heidelberg spiking data sets for the systematic evaluation of spiking
    neural networks", doi:10.1109/TNNLS.2020.3044364.

    Args:
        file: its path, within ``--data-dir`` unless absolute.
        test_file: a file of the same kind for the tests; null holds samples out.
        times: name of the lists of times, with its groups.
        units: name of the lists of units, integers from 0.
        labels: name of the labels, ``(samples,)``.
        unit: what times are counted in: ``s``, ``ms`` or ``us``.
        inputs: number of units; null: as many as the training set uses.
    """

    file: str = ""
    test_file: str | None = None
    times: str = "spikes/times"
    units: str = "spikes/units"
    labels: str = "labels"
    unit: Literal["s", "ms", "us"] = "s"
    inputs: Annotated[int, SIZE] | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.file:
            raise InputError("file", self.file, "the path of an HDF5 file")
        if self.unit not in TO_MS:
            raise InputError("unit", self.unit, ", ".join(TO_MS))

    def load(self, data_dir: Path | None, memory_bytes: int = MEMORY_BYTES) -> TaskData:
        path = locate(self.file, data_dir, "task.file")
        train, texts = self._read(path, "task.file", self.inputs, memory_bytes)
        y, names = numbered(f"{path}: {self.labels}", texts)
        test = None
        if self.test_file is not None:
            other = locate(self.test_file, data_dir, "task.test_file")
            raw, test_texts = self._read(other, "task.test_file", train.inputs, memory_bytes)
            test = (raw, numbered(f"{other}: {self.labels}", test_texts, names)[0])
        return self._finished((train, y), test, len(names))

    def _read(self, path: Path, key: str, inputs: int | None, memory_bytes: int) -> tuple[Raw, list[int]]:
        """Return the events of a file and its labels."""
        import h5py  # noqa: PLC0415 (slow to import, needed by this task alone)

        try:
            with (
                open_regular(path, key, "HDF5 file", MAX_FILE_BYTES) as opened,
                h5py.File(opened, "r") as file,
            ):
                found = {name: self._checked(path, file, name) for name in ("times", "units", "labels")}
                labels = _labels(f"{path}: {self.labels}", np.asarray(found["labels"][()]))
                for name in ("times", "units"):
                    if found[name].shape != labels.shape:
                        given, allowed = (
                            f"shape {found[name].shape}",
                            f"a list for each of {len(labels)} labels",
                        )
                        raise InputError(f"{path}: {getattr(self, name)}", given, allowed)
                lists = [
                    (found["times"][i], found["units"][i]) for i in _affordable(path, found, memory_bytes)
                ]
        except InputError:
            raise
        except (OSError, RuntimeError, KeyError, ValueError) as error:
            raise InputError(key, str(path), "a readable HDF5 file", str(error)) from None
        most = max((int(u.max()) for _, u in lists if u.size and u.dtype.kind in "iu"), default=0)
        raw = Raw(inputs if inputs is not None else most + 1, TO_MS[self.unit])
        for number, (times, units) in enumerate(lists):
            raw.add(f"{path}: sample {number}", times, units)
        return raw, labels.tolist()

    def _checked(self, path: Path, file: Any, key: str) -> Any:
        from spiking import hdf5  # noqa: PLC0415 (it imports h5py)

        name = getattr(self, key)
        found = dataset(path, file, key, name)
        allowed = "numbers that are in the file itself" if key == "labels" else "lists of numbers in the file"
        try:
            (hdf5.check_array if key == "labels" else hdf5.check_lists)(name, found)
        except hdf5.RefusedError as error:
            raise InputError(f"task.{key}", name, allowed, f"{error}.") from None
        return found


def _affordable(path: Path, found: dict[str, Any], memory_bytes: int) -> list[int]:
    """Return the numbers of the samples, having counted their events one by one."""
    events = 0
    for number in range(len(found["times"])):
        events += len(found["times"][number])
        afford(str(path), {"events": Header((3 * events,), EVENT.dtype)}, memory_bytes)
    return list(range(len(found["times"])))


def _labels(place: str, labels: NDArray[Any]) -> NDArray[np.int64]:
    if labels.ndim != 1 or labels.dtype.kind not in "iu" or len(labels) == 0:
        raise InputError(place, f"shape {labels.shape} of {labels.dtype}", "integer labels, (samples,)")
    return labels.astype(np.int64)
