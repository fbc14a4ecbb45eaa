"""The run directory: everything a run leaves behind, readable at any moment, resumable after any end."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Self, final

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from root.errors import DamagedError, InputError
from spiketrain.record.files import (
    digest,
    is_leftover,
    json_bytes,
    plain,
    read_yaml,
    remove_leftovers,
    tensor_bytes,
    tensors_of,
    write_bytes,
    yaml_bytes,
)
from spiketrain.record.lock import LOCK, FolderLock
from spiketrain.record.metrics import EpochMeans, MetricsTable
from spiketrain.record.provenance import provenance
from spiketrain.record.resuming import refuse_difference, refuse_epoch, refuse_lost
from spiketrain.record.samples import Samples
from spiketrain.record.store import Folder, Memory, Store
from spiking.presentation import Observation

__all__ = [
    "CHECKPOINT",
    "CHIPS",
    "CONFUSION",
    "INITIAL",
    "REFERENCE",
    "SUMMARY",
    "TRUTH",
    "WEIGHTS",
    "Checkpoint",
    "RunRecord",
    "read_checkpoint",
    "save_files",
]

FIGURES, CHECKPOINT = "figures", "checkpoint.safetensors"

INITIAL, WEIGHTS, TRUTH = "initial_weights.safetensors", "weights.safetensors", "truth.safetensors"

CONFUSION, CHIPS, REFERENCE = "confusion.csv", "chips.csv", "reference.csv"

MOMENTS = "moments.csv"

SUMMARY = (
    "task",
    "rule",
    "arm",
    "simulator",
    "neuron",
    "layers",
    "chips",
    "mismatch",
    "seed",
    "epochs",
    "test_accuracy",
    "test_accuracy_mean",
    "test_accuracy_min",
    "train_samples_per_second",
    "seconds",
    "diverged_chips",
    "set_back_chips",
    "silent_chips",
    "saw",
    "reference",
    "data_sha256",
    "versions",
    "git",
    "date",
    "host",
    "command",
)
"""The fields of ``summary.json``, in order."""

Checkpoint = tuple[int, dict[str, Tensor], Any]
"""Epochs done, tensors, and what JSON can hold."""


@final
class RunRecord:
    """The files of a run being written; made by `create`, `resume` or `in_memory`, and a context manager.

    Two runs cannot write to one directory: it is locked until `close` or the end of the process.

    Args:
        store: where the files are: an existing folder, locked by `lock`, or the memory.
        resolved: the resolved configuration.
        identity: the first fields of ``summary.json``: what was run, with ``chips`` among them.
        lock: the lock on the folder, where there is one.
    """

    def __init__(
        self,
        store: Store,
        resolved: Mapping[str, Any],
        identity: Mapping[str, Any],
        lock: FolderLock | None = None,
    ) -> None:
        self.store = store
        self._identity, self._lock = dict(identity), lock
        chips = int(identity["chips"])
        self._means = EpochMeans(chips, float(resolved.get("bridge", {}).get("max_rate_hz", 100.0)))
        self._metrics = MetricsTable(store, chips)
        self._clock = time.perf_counter()

    @classmethod
    def create(
        cls,
        directory: Path,
        resolved: Mapping[str, Any],
        identity: Mapping[str, Any],
        files: Mapping[str, bytes] | None = None,
    ) -> Self:
        """Make the directory of a new run and write ``config.yaml``, and `files` that it refers to.

        Raises:
            InputError: the folder cannot be made or written to, holds something, or is in use.
        """
        lock = None
        try:
            directory.mkdir(parents=True, exist_ok=True)
            _refuse_content(directory)
            lock = FolderLock(directory)
            remove_leftovers(directory, directory / FIGURES)
            _write(store := Folder(directory), resolved, files)
            return cls(store, resolved, identity, lock)
        except BaseException as error:
            if lock is not None:
                lock.release()
            if isinstance(error, OSError):
                allowed = "a folder that can be written to"
                raise InputError("output", str(directory), allowed, f"{error}") from None
            raise

    @classmethod
    def in_memory(
        cls,
        resolved: Mapping[str, Any],
        identity: Mapping[str, Any],
        files: Mapping[str, bytes] | None = None,
    ) -> Self:
        """Begin a run whose files, the same as in a folder, are kept in memory."""
        store = Memory()
        _write(store, resolved, files)
        return cls(store, resolved, identity)

    @classmethod
    def resume(
        cls,
        directory: Path,
        resolved: Mapping[str, Any],
        identity: Mapping[str, Any],
        files: Mapping[str, bytes] | None = None,
        *,
        said: Mapping[str, Any] | None = None,
        restore: Callable[[Store, Checkpoint], None] | None = None,
    ) -> Self:
        """Go on with a run; the metrics of epochs after its checkpoint are forgotten.

        A run of an earlier version knows fewer keys: what it lacks may be at its default. `said` is
        `resolved` without its defaults; left out, nothing may be lacking. `restore` is given the files and
        the checkpoint, where there is one, before anything is written; it may refuse them.

        Raises:
            InputError: there is no run, it has another configuration (but for ``training.epochs``), something
                in it is damaged or missing, or another process is writing to it. Nothing was written.
        """
        lock = None
        try:
            names = [path.name for path in directory.iterdir()]
            if LOCK in names and not _content(names):  # killed before there was anything to resume
                return cls.create(directory, resolved, identity, files)
            if "config.yaml" not in names:
                allowed = "the folder of a run"
                raise InputError("resume", str(directory), allowed, "It holds no config.yaml.")
            stored = read_yaml(directory / "config.yaml")
            lock = FolderLock(directory)
            remove_leftovers(directory, directory / FIGURES)
            known = plain(resolved)
            refuse_difference(stored, known, known if said is None else plain(said))
            store = Folder(directory)
            record = cls(store, resolved, identity, lock)
            checkpoint = record.load_checkpoint()
            if checkpoint is None:
                refuse_lost(directory, names)
            else:
                refuse_epoch(directory, checkpoint[0], stored, known)
                record._metrics.load(checkpoint[0])
                if restore is not None:
                    restore(store, checkpoint)
            _write(store, resolved, files)
            if checkpoint:  # a kill between the two files left an older note
                record._note(*checkpoint)
            return record
        except BaseException as error:
            if lock is not None:
                lock.release()
            if isinstance(error, OSError):
                raise InputError("resume", str(directory), "the folder of a run", f"{error}") from None
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Unlock the directory."""
        if self._lock is not None:
            self._lock.release()

    def batch(
        self, residual: Tensor | None, measures: Mapping[str, Tensor], observation: Observation
    ) -> None:
        """Count a batch into the epoch's means; see `EpochMeans`."""
        self._means.add(residual, measures, observation)

    def epoch(self, epoch: int, columns: Mapping[str, Tensor | float]) -> dict[str, Tensor | float]:
        """Write an epoch's rows to ``metrics.csv``; call it before the epoch's `checkpoint`.

        Args:
            epoch: number of epochs done; 0 for what was measured before training.
            columns: accuracies, learning rate and so on, one per chip ``(chips,)`` or one for all;
                ``seconds`` is measured since the last epoch where it is not given.

        Returns:
            the columns written: those given and the means over the batches.
        """
        now = time.perf_counter()
        row = {"seconds": now - self._clock, **self._means.take(), **columns}
        row["seconds"] = row.pop("seconds")  # last
        self._clock = now
        self._metrics.append(epoch, row)
        return row

    def checkpoint(self, epoch: int, tensors: Mapping[str, Tensor], extra: Mapping[str, Any]) -> None:
        """Save what is needed to resume to the same bits.

        ``checkpoint.safetensors`` carries the JSON part in its header, so that one rename publishes
        both; ``checkpoint.json`` is the same for people to read.

        Args:
            epoch: number of epochs done.
            tensors: weights, optimiser state, memory.
            extra: whatever JSON can hold; see `spiketrain.record.state.pack_state`.
        """
        note = {"epoch": epoch, "extra": plain(extra)}
        note["sha256"] = digest(tensors, note)
        self.store.write(CHECKPOINT, tensor_bytes(tensors, note))
        self.store.write("checkpoint.json", json_bytes(note))

    def _note(self, epoch: int, tensors: Mapping[str, Tensor], extra: Any) -> None:
        note = {"epoch": epoch, "extra": extra}
        self.store.write("checkpoint.json", json_bytes({**note, "sha256": digest(tensors, note)}))

    def load_checkpoint(self) -> Checkpoint | None:
        """Return epoch, tensors and the JSON part of the last checkpoint, or None where there is none.

        Raises:
            DamagedError: there is one that cannot be read, or its content is not what was written.
        """
        return read_checkpoint(self.store)

    def initial_weights(self, weights: Mapping[str, Tensor]) -> None:
        """Keep what was programmed before training, for the report; a resumed run keeps the first."""
        if INITIAL not in self.store:
            self.store.write(INITIAL, tensor_bytes(weights))

    def finish(
        self,
        summary: Mapping[str, Any],
        weights: Mapping[str, Tensor],
        truth: Mapping[str, Tensor] | None,
        samples: Samples | None = None,
        confusion: NDArray[np.int64] | None = None,
        *,
        tables: Mapping[str, bytes] | None = None,
    ) -> dict[str, Any]:
        """Write what a finished run leaves: weights, truth, sample recordings and summary.

        Args:
            summary: the fields of ``summary.json`` that are known only now; the means and the minimum
                of ``test_accuracy``, versions and the commit are added.
            weights: what is programmed, by name (``forward.1``, ``bias.1``, ``feedback.1``, ...), with
                a leading axis of chips.
            truth: the effective parameters by name, where they are known here.
            samples: recordings of one sample, for the figures.
            confusion: test samples by chip, label and answer, ``(chips, classes, classes)``, where there
                are classes.
            tables: further files by name: `CHIPS`, what chips drew, and `REFERENCE`, the history of the
                network without mismatch, where they are known, `MOMENTS`.

        Returns:
            the content of ``summary.json``.
        """
        self.store.write(WEIGHTS, tensor_bytes(weights))
        if truth is not None:
            self.store.write(TRUTH, tensor_bytes(truth))
        if samples is not None:
            samples.save(self.store)
        if confusion is not None:
            rows = (f"{chip},{label},{said},{n}" for (chip, label, said), n in np.ndenumerate(confusion))
            self.store.write(CONFUSION, "\n".join(["chip,label,predicted,samples", *rows, ""]).encode())
        for name, text in (tables or {}).items():
            self.store.write(name, text)
        content = _summary(
            {"diverged_chips": {}, "set_back_chips": {}, "silent_chips": {}, "saw": []}
            | {"reference": None, "data_sha256": None}
            | self._identity
            | dict(summary)
            | provenance()
        )
        self.store.write("summary.json", json_bytes(content))
        return content


def save_files(store: Store, directory: Path) -> None:
    """Write the files of a run into a new or empty folder.

    Raises:
        InputError: it holds something, or cannot be written to.
    """
    try:
        directory.mkdir(parents=True, exist_ok=True)
        _refuse_content(directory, "folder")
        lock = FolderLock(directory)
        try:
            for name in store.names():
                write_bytes(directory / name, store.read(name))
        finally:
            lock.release()
    except OSError as error:
        raise InputError("folder", str(directory), "a folder that can be written to", f"{error}") from None


def read_checkpoint(store: Store) -> Checkpoint | None:
    """Return epoch, tensors and the JSON part of the last checkpoint, or None where there is none.

    Raises:
        DamagedError: there is one that cannot be read, or its content is not what was written.
    """
    if CHECKPOINT not in store:
        return None
    place = store.place(CHECKPOINT)
    tensors, note = tensors_of(store.read(CHECKPOINT), place)
    if not isinstance(note, dict) or not {"epoch", "extra"} <= set(note):
        key = f"{place}: the note in its header"
        raise DamagedError(key, note, "epoch and extra, as a checkpoint has them")
    epoch, said = note["epoch"], note.pop("sha256", None)  # a run of an earlier version has no checksum
    if type(epoch) is not int or epoch < 0:
        raise DamagedError(f"{place}: epoch", epoch, "a number of epochs")
    found = digest(tensors, note) if said is not None else None
    if said != found:
        raise DamagedError(f"{place}: sha256", said, f"{found}, that of its content", "It was changed.")
    return epoch, tensors, note["extra"]


def _write(store: Store, resolved: Mapping[str, Any], files: Mapping[str, bytes] | None) -> None:
    """Write the files first: whoever finds a config finds what it refers to."""
    for name, content in (files or {}).items():
        store.write(name, content)
    store.write("config.yaml", yaml_bytes(resolved))


def _summary(known: dict[str, Any]) -> dict[str, Any]:
    accuracies = np.asarray(plain(known["test_accuracy"]), dtype=float)
    known["test_accuracy_mean"], known["test_accuracy_min"] = accuracies.mean(), accuracies.min()
    return {name: known[name] for name in SUMMARY} | known


def _content(names: Iterable[str]) -> list[str]:
    """Return the names of files that are more than traces of a run that was killed at once."""
    return sorted(name for name in names if name != LOCK and not is_leftover(name))


def _refuse_content(directory: Path, key: str = "output") -> None:
    content = _content(path.name for path in directory.iterdir())
    if "config.yaml" in content:
        FolderLock(directory).release()  # says so where that run is still going on
        fix = "It holds a run already: go on with --resume, or choose another folder."
        raise InputError(key, str(directory), "a new or empty folder", fix)
    if content:
        raise InputError(key, str(directory), "a new or empty folder", f"It holds {content[0]!r}.")
