"""The driver of a study: plans its cells, has them computed, and adds them up."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any, final

import pandas as pd

from root.errors import SimulationError, disk_full
from spiketrain.record.files import write_bytes
from spiketrain.studies.cards import worker_for_each
from spiketrain.studies.data import check_readable, check_same_data
from spiketrain.studies.display import Display, display
from spiketrain.studies.engine import DaskEngine, Engine, InProcess
from spiketrain.studies.folder import StudyFolder, full_disk
from spiketrain.studies.plan import Plan
from spiketrain.studies.study import Study
from spiketrain.studies.table import write_table
from spiketrain.studies.work import Outcome, run_cell

__all__ = ["Options", "Swept", "compute_cells", "default_folder", "sweep"]


@final
@dataclass(frozen=True)
class Options:
    """How a study is computed; nothing here changes what comes out.

    Args:
        resume: go on with the study in the folder.
        retry_failed: compute cells that failed again.
        scheduler, cluster, workers: see `DaskEngine`.
        data_dir: where data files lie.
        quiet: print nothing.
        in_process: compute one cell after the other in this process, without workers.
        files: what the study's folder holds beside the study, by name.
    """

    resume: bool = False
    retry_failed: bool = False
    scheduler: str | None = None
    cluster: str = "local"
    workers: int | None = None
    data_dir: Path | None = None
    quiet: bool = False
    in_process: bool = False
    files: Mapping[str, bytes] = field(default_factory=dict)

    def ask_for_data(self, plan: Plan) -> None:
        """Read the data of a study that is to begin; one that brings files along has its data among them.

        Raises:
            InputError: no cell's data can be read.
        """
        if not self.resume and not self.files:
            check_readable(plan, self.data_dir)

    def engine(self, root: Path, config: Mapping[str, Any]) -> Engine:
        """Return what computes the cells of a study.

        Args:
            root: its folder.
            config: of one of its cells.
        """
        if self.in_process:
            return InProcess()
        workers = self.workers
        if workers is None and self.cluster == "local" and self.scheduler is None:
            workers = worker_for_each(config)
        return DaskEngine(
            scheduler=self.scheduler, cluster=self.cluster, workers=workers, folder=root.resolve()
        )


@final
@dataclass(frozen=True)
class Swept:
    """Where a study is and what came out.

    Args:
        root: its folder.
        table: a row per cell and chip.
        cells: number of cells.
        failed: number of cells that failed.
    """

    root: Path
    table: pd.DataFrame
    cells: int
    failed: int


def default_folder(name: str) -> Path:
    """Return where a study of that name goes that is not told where."""
    return Path("runs") / f"{name}-{datetime.now():%Y%m%d-%H%M%S}"


def sweep(study: Study, root: Path, options: Options, function: Callable[..., Outcome] = run_cell) -> Swept:
    """Compute every cell of a study that is not finished, and write the tables.

    Args:
        study: what to do.
        root: the folder of the study.
        options: how.
        function: what computes a cell, `run_cell` or another one of its kind.

    Raises:
        InputError: the study or the folder are wrong.
        SimulationError: the disk is full, or the workers are lost; what is finished stays.
    """
    plan = Plan(study)
    options.ask_for_data(plan)
    with StudyFolder.open(root, study, resume=options.resume) as folder:
        for name, content in options.files.items():
            write_bytes(root / name, content)
        failed = compute_cells(plan, folder, options, function)
        folder.check()
        try:
            table = write_table(plan, folder.cells)
        except OSError as error:
            if disk_full(error):
                raise full_disk(root, len(plan) - failed) from error
            raise
    return Swept(root, table, len(plan), failed)


def compute_cells(
    plan: Plan, folder: StudyFolder, options: Options, function: Callable[..., Outcome] = run_cell
) -> int:
    """Compute the cells that are neither finished nor failed; return how many failed in all."""
    keys = set(plan.keys())
    done, failed = folder.done(keys), folder.failed(keys)
    if options.retry_failed:
        folder.forget_failures(failed)
        failed = set()
    failed -= done
    left = [key for key in plan.keys() if key not in done and key not in failed]  # noqa: SIM118 (a method)
    with display(len(keys), done=len(done) + len(failed), quiet=options.quiet) as shown:
        shown.note(f"{len(keys)} cells: {len(done)} finished, {len(failed)} failed, {len(left)} to compute")
        if not left:
            return len(failed)
        check_same_data(plan, folder.cells, done, left, options.data_dir)
        with options.engine(folder.root, plan.cell(left[0]).config) as engine:
            outcomes = engine.map(function, _tasks(plan, folder.root, options, left))
            return len(failed) + _follow(plan, folder, outcomes, shown, len(done))


def _tasks(
    plan: Plan, root: Path, options: Options, left: list[str]
) -> Iterator[tuple[str, tuple[Any, ...]]]:
    data_dir = None if options.data_dir is None else str(options.data_dir.resolve())
    for key in left:
        yield key, (str(root.resolve()), key, dict(plan.cell(key).config), data_dir)


def _follow(
    plan: Plan,
    folder: StudyFolder,
    outcomes: Iterator[tuple[str, Outcome | Exception]],
    shown: Display,
    done: int,
) -> int:
    failed = 0
    for key, found in outcomes:
        outcome = found if isinstance(found, Outcome) else _lost(plan, folder, key, found)
        if outcome.status == "full":
            raise full_disk(folder.root, done)
        failed += outcome.status == "failed"
        done += outcome.status == "finished"
        shown.cell(plan.cell(key).columns, outcome)
    return failed


def _lost(plan: Plan, folder: StudyFolder, key: str, error: Exception) -> Outcome:
    """Keep a cell whose workers died; it may be what killed them."""
    message = f"its worker died every time ({type(error).__name__}); was there enough memory?"
    try:
        folder.cells.keep_failure(key, {"error": message, "traceback": [], "config": plan.cell(key).config})
    except OSError as second:
        raise SimulationError(f"{folder.root}: {second}") from second
    return Outcome(key, "failed", error=message)
