"""What a worker does: one cell, from its config to its published folder."""

from __future__ import annotations

import threading
import time
import traceback
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Literal, final

from root.errors import DamagedError, InputError, disk_full, printable
from spiketrain.config import Experiment
from spiketrain.experiment import NO_HOOKS, run
from spiketrain.hooks import EpochDone, Hooks
from spiketrain.record.lock import FolderLock
from spiketrain.studies.cards import take_card
from spiketrain.studies.folder import Cells

__all__ = ["Outcome", "compute", "run_cell", "run_trial", "train_cell"]

ONE_AT_A_TIME = threading.Lock()
"""A worker with several threads still computes one cell at a time: simulators keep global state."""

PATIENCE_S = 3600.0
"""How long a cell that another process is computing is waited for."""


@final
@dataclass(frozen=True)
class Outcome:
    """What became of a cell.

    Args:
        key: its name.
        status: ``full`` means that the disk is.
        seconds: time it took.
        accuracy: mean test accuracy over the chips, where it is finished.
        error: what went wrong, otherwise.
    """

    key: str
    status: Literal["finished", "failed", "full"]
    seconds: float = 0.0
    accuracy: float = float("nan")
    error: str = ""


def run_cell(root: str, key: str, config: Mapping[str, Any], data_dir: str | None) -> Outcome:
    """Train a cell as an experiment; see `compute`."""
    return compute(root, key, config, data_dir, train_cell)


def run_trial(
    root: str, key: str, config: Mapping[str, Any], data_dir: str | None, rungs: Mapping[int, float]
) -> Outcome:
    """Train a cell that ends early where its validation accuracy is below what is asked of it.

    Args:
        root: see `compute`, like the next three.
        key: its name.
        config: its config.
        data_dir: where data files lie.
        rungs: number of epochs to the mean validation accuracy over the chips that it must have by then.
    """

    def bad(done: EpochDone) -> bool:
        found = done.values.get("validation_accuracy")
        return done.epoch in rungs and found is not None and not found.mean() >= rungs[done.epoch]

    return compute(root, key, config, data_dir, partial(train_cell, hooks=Hooks(on_epoch=bad)))


def train_cell(
    config: Mapping[str, Any], folder: Path, data_dir: Path | None, hooks: Hooks = NO_HOOKS
) -> None:
    """Run the experiment of a cell in `folder`, from its checkpoint where there is one."""
    experiment = Experiment.from_mapping(config)
    resume = (folder / "config.yaml").is_file()
    run(experiment, folder, resume=resume, data_dir=data_dir, quiet=True, report=False, hooks=hooks)


def compute(
    root: str,
    key: str,
    config: Mapping[str, Any],
    data_dir: str | None,
    function: Callable[[Mapping[str, Any], Path, Path | None], None],
) -> Outcome:
    """Compute a cell, unless it is finished, and publish it.

    A cell that cannot be computed is kept with its error; nothing but a lost worker ends here without an
    outcome.

    Args:
        root: the study's folder, the same path on every machine.
        key: the cell's name.
        config: its config.
        data_dir: where data files lie.
        function: fills a folder, and can go on with what a killed one left there.
    """
    cells, clock = Cells(Path(root)), time.perf_counter()
    with ONE_AT_A_TIME:
        try:
            take_card(config)
            _wait_for_others(cells, key)
            if not cells.whole(key):
                if cells.finished(key).exists():
                    cells.set_aside(cells.finished(key))
                data = None if data_dir is None else Path(data_dir)
                _attempt(cells, key, lambda: function(config, cells.under_way(key), data))
                cells.publish(key)
        except Exception as error:
            return _failed(cells, key, config, error, time.perf_counter() - clock)
    accuracy = (cells.summary(key) or {}).get("test_accuracy_mean")
    return Outcome(
        key, "finished", time.perf_counter() - clock, float("nan") if accuracy is None else accuracy
    )


def _attempt(cells: Cells, key: str, function: Callable[[], None]) -> None:
    try:
        function()
    except DamagedError:
        folder = cells.under_way(key)
        if not folder.exists():
            raise
        cells.set_aside(folder)
        function()


def _wait_for_others(cells: Cells, key: str) -> None:
    """Wait while another process computes the cell: a worker that was lost for the scheduler alone."""
    folder, end = cells.under_way(key), time.monotonic() + PATIENCE_S
    while folder.is_dir():
        try:
            FolderLock(folder).release()
        except InputError:
            if time.monotonic() > end:
                raise
            time.sleep(1.0)
        else:
            return


def _failed(cells: Cells, key: str, config: Mapping[str, Any], error: Exception, seconds: float) -> Outcome:
    message = str(error) if isinstance(error, InputError) else printable(f"{type(error).__name__}: {error}")
    if disk_full(error):
        return Outcome(key, "full", seconds, error=message)
    content = {"error": message, "traceback": traceback.format_exception(error), "config": config}
    try:
        cells.keep_failure(key, content)
    except OSError as second:
        return Outcome(key, "full", seconds, error=f"{message}; and to write that down: {second}")
    return Outcome(key, "failed", seconds, error=message)
