"""Whether a study's data can be read, and are those that it began with."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from root.errors import InputError
from spiketrain.config import Experiment
from spiketrain.record.files import read_yaml
from spiketrain.studies.folder import Cells
from spiketrain.studies.plan import Plan

__all__ = ["check_readable", "check_same_data"]


def check_readable(plan: Plan, data_dir: Path | None) -> None:
    """Read the data of a study's tasks until one can be read: without any, no cell could be computed.

    Args:
        plan: the study.
        data_dir: where data files lie.

    Raises:
        InputError: no task's data can be read; what is wrong with the first one's.
    """
    seen, wrong = set[str](), list[InputError]()
    for key in plan.keys():  # noqa: SIM118 (a method)
        if key in plan.errors or (task := _task(plan, key)) in seen:
            continue
        seen.add(task)
        try:
            Experiment.from_mapping(plan.cell(key).config).load_data(data_dir)
        except InputError as error:
            if not error.key.startswith("task."):  # of this cell: another one may do with the same data
                return
            wrong.append(error)
        else:
            return
    if wrong:
        raise wrong[0]


def check_same_data(
    plan: Plan, cells: Cells, done: Iterable[str], left: Iterable[str], data_dir: Path | None
) -> None:
    """Look at what finished cells were trained on: the cells that are left get the same, or none is computed.

    Only data from files are looked at, those of every task once.

    Args:
        plan: the study.
        cells: its cells.
        done: names of the finished ones.
        left: names of those to compute.
        data_dir: where data files lie.

    Raises:
        InputError: the data have changed; the key is ``task.sha256``.
    """
    known: dict[str, str | None] = {}
    for key in done:
        task = _task(plan, key)
        if task not in known:
            known[task] = _checksum(cells.finished(key) / "config.yaml")
    for key in left:
        wanted = known.pop(_task(plan, key), None)
        if wanted is not None:
            config = dict(plan.cell(key).config)
            task = config["task"]
            named = {"name": task} if isinstance(task, str) else task
            Experiment.from_mapping({**config, "task": {**named, "sha256": wanted}}).load_data(data_dir)


def _task(plan: Plan, key: str) -> str:
    return json.dumps(plan.cell(key).config.get("task"), sort_keys=True, default=str)


def _checksum(path: Path) -> str | None:
    """Return the checksum in a cell's config; None where it has none: of an earlier version, or no files."""
    try:
        task: Any = read_yaml(path).get("task")
    except InputError:
        return None
    found = task.get("sha256") if isinstance(task, dict) else None
    return found if isinstance(found, str) else None
