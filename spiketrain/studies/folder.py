"""A study's folder: what is done, what is under way, what failed; whole at every moment.

::

    study.yaml        the study, its bases written out
    cells/<name>/     a finished cell: the files of a run
    work/<name>/      a cell under way, with the checkpoint it goes on from
    failed/<name>.json  a cell that failed: its error and its config
    damaged/<name>/   what was found unreadable and computed again
    table.csv, ...    what the cells add up to
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Self, final

from root.errors import InputError, SimulationError
from spiketrain.record.files import is_leftover, plain, read_json, remove_leftovers, write_json, write_yaml
from spiketrain.record.lock import LOCK, FolderLock
from spiketrain.record.metrics import checked_metrics
from spiketrain.record.store import Folder
from spiketrain.record.tables import read_rows
from spiketrain.studies.study import STORED, Study, read_stored

__all__ = ["Cells", "StudyFolder", "claim", "full_disk"]

OUTPUTS = ("figures", "tables", "failed", "chosen")
"""Folders that the driver and its workers write files into."""

CHECKPOINTS = ("checkpoint.safetensors", "checkpoint.json")

DRAWN = ("x", "panels")
"""Keys of the section ``identify`` that say how what was found is drawn."""


@final
class Cells:
    """The cells in a study's folder; the driver and all its workers look at them through this.

    Args:
        root: the study's folder.
    """

    def __init__(self, root: Path) -> None:
        self.root = root

    def finished(self, key: str) -> Path:
        """Return where a cell is once it is finished."""
        return self.root / "cells" / key

    def under_way(self, key: str) -> Path:
        """Return where a cell is until it is finished."""
        return self.root / "work" / key

    def failure(self, key: str) -> Path:
        """Return where a cell's error is kept."""
        return self.root / "failed" / f"{key}.json"

    def summary(self, key: str) -> dict[str, Any] | None:
        """Return a finished cell's summary; None where there is none, or none that can be read."""
        try:
            content = read_json(self.finished(key) / "summary.json")
        except InputError:
            return None
        return content if is_summary(content) else None

    def whole(self, key: str) -> bool:
        """Return whether a finished cell can be read: its summary and its tables."""
        summary, folder = self.summary(key), self.finished(key)
        if summary is None:
            return False
        try:
            if "epochs" in summary:  # a cell that was trained
                checked_metrics(Folder(folder), len(summary["test_accuracy"]))
            for path in folder.glob("*.csv"):
                read_rows(path)
        except InputError:
            return False
        return True

    def publish(self, key: str) -> None:
        """Turn a cell under way into a finished one, in one step; the first to do so wins."""
        source, target = self.under_way(key), self.finished(key)
        target.parent.mkdir(exist_ok=True)
        try:
            source.rename(target)
        except OSError:
            if self.summary(key) is None:
                raise
            shutil.rmtree(source, ignore_errors=True)
        for name in CHECKPOINTS:  # afterwards: a killed worker must not leave a cell that looks damaged
            (target / name).unlink(missing_ok=True)

    def keep_failure(self, key: str, content: Mapping[str, Any]) -> None:
        """Write down why a cell failed."""
        self.failure(key).parent.mkdir(exist_ok=True)
        write_json(self.failure(key), content)

    def set_aside(self, path: Path) -> Path:
        """Move something unreadable out of the way; nothing is deleted."""
        folder = self.root / "damaged"
        folder.mkdir(exist_ok=True)
        number = 0
        while (target := folder / f"{path.name}-{number}").exists():
            number += 1
        return path.rename(target)


def is_summary(content: Any) -> bool:
    """Return whether plain data are the ``summary.json`` of a cell."""
    if not isinstance(content, dict):
        return False
    found, diverged = content.get("test_accuracy"), content.get("diverged_chips", {})
    first = content.get("mismatch", {})
    return (
        isinstance(found, list)
        and all(value is None or type(value) in (int, float) for value in found)
        and isinstance(diverged, dict)
        and all(isinstance(reason, str) for reason in diverged.values())
        and isinstance(first, dict)
        and type(first.get("first_chip", 0)) is int
        and ("epochs" not in content or {"mismatch", "diverged_chips"} <= set(content))
    )


@final
class StudyFolder:
    """A study's folder, held by one driver; made by `open`, and a context manager."""

    def __init__(self, root: Path, study: Study, lock: FolderLock) -> None:
        self.root, self.study, self.cells = root, study, Cells(root)
        self._lock = lock

    @classmethod
    def open(cls, root: Path, study: Study, *, resume: bool) -> Self:
        """Make the folder of a new study, or go on with one.

        Args:
            root: the folder.
            study: what it is for.
            resume: go on with what is there.

        Raises:
            InputError: the folder cannot be written to, holds something else or a study to resume, is in
                use, or belongs to a study with another config.
        """

        def begin(there: bool) -> None:
            if there:
                _refuse_other(root, study, resume=resume)
            write_yaml(root / STORED, study.resolved())  # where it is there, its analysis may be a new one

        return cls(root, study, claim(root, STORED, begin, outputs=OUTPUTS))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *problem: object) -> None:
        self._lock.release()

    def check(self) -> None:
        """Raise `InputError` where somebody changed the study under the running driver."""
        _refuse_other(self.root, self.study, resume=True)

    def done(self, keys: set[str]) -> set[str]:
        """Return which of the cells are finished; unreadable ones are set aside to be computed again."""
        cells = self.root / "cells"
        there = {path.name for path in cells.iterdir()} & keys if cells.is_dir() else set()
        readable = {key for key in there if self.cells.whole(key)}
        for key in there - readable:
            self.cells.set_aside(self.cells.finished(key))
        return readable

    def failed(self, keys: set[str]) -> set[str]:
        """Return which of the cells failed."""
        folder = self.root / "failed"
        return {path.stem for path in folder.glob("*.json")} & keys if folder.is_dir() else set()

    def forget_failures(self, keys: set[str]) -> None:
        """Let cells that failed be computed again."""
        for key in keys:
            self.cells.failure(key).unlink(missing_ok=True)


def claim(
    root: Path, stored: str, begin: Callable[[bool], None], *, outputs: Sequence[str] = ()
) -> FolderLock:
    """Make a driver's folder or take it over, free of what killed drivers left; return the lock on it.

    Args:
        root: the folder.
        stored: the file that says what it is for.
        begin: is told whether that file is there, and writes it or refuses the folder; where it raises, the
            folder is let go.
        outputs: folders within that leftovers are looked for in, too.

    Raises:
        InputError: it cannot be written to, is in use, holds something else, or `begin` refuses it.
    """
    lock = None
    try:
        root.mkdir(parents=True, exist_ok=True)
        lock = FolderLock(root)
        remove_leftovers(root, *(root / name for name in outputs))
        content = sorted(p.name for p in root.iterdir() if p.name != LOCK and not is_leftover(p.name))
        if content and stored not in content:
            raise InputError("output", str(root), "a new or empty folder", f"It holds {content[0]!r}.")
        begin(stored in content)
    except BaseException as error:
        if lock is not None:
            lock.release()
        if isinstance(error, OSError):
            raise InputError("output", str(root), "a folder that can be written to", f"{error}") from None
        raise
    return lock


def _refuse_other(root: Path, study: Study, *, resume: bool) -> None:
    if not resume:
        fix = "It holds a study already: go on with --resume, or choose another folder."
        raise InputError("output", str(root), "a new or empty folder", fix)
    stored = read_stored(root)
    given = plain(study.resolved())
    if _computed(stored) != _computed(given):
        known = _computed(stored)
        differing = [
            k for k, v in _computed(given).items() if not isinstance(known, dict) or known.get(k) != v
        ]
        key = differing[0] if differing else "study.yaml"
        allowed = "the study that this folder was made for"
        raise InputError(key, given.get(key), allowed, "A study keeps its config: choose another --output.")


def _computed(study: Any) -> Any:
    """Return what a study says about its cells; what the report makes of them may change at any time."""
    if not isinstance(study, dict):
        return study
    kept = {k: v for k, v in study.items() if k != "analysis"}
    inner = kept.get("identify")
    if isinstance(inner, dict):
        kept["identify"] = {k: v for k, v in inner.items() if k not in DRAWN}
    return kept


def full_disk(root: Path, done: int) -> SimulationError:
    """Return the error that ends a study whose disk is full."""
    return SimulationError(
        f"the disk of {root} is full; {done} finished cells are kept. Free some space and go on with --resume"
    )
