"""Many experiments from Python: the product of values, or named experiments compared chip by chip.

Both are studies, as ``spiketrain sweep`` computes them: resumable in a folder, and the same cells.
"""

from __future__ import annotations

import importlib.util
import os
import tempfile
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd

from root.errors import InputError
from spiketrain.api.objects import plain
from spiketrain.api.setup import Setup, Source, load
from spiketrain.studies.statistics import compare_levels, summarise
from spiketrain.studies.study import Study
from spiketrain.studies.sweep import Options
from spiketrain.studies.sweep import sweep as compute
from spiketrain.tasks.arrays import FILE, Given

if TYPE_CHECKING:
    from numpy.typing import ArrayLike

__all__ = ["compare", "sweep"]

CASE = "case"
"""The column that tells compared experiments apart."""

ENDS = {"low": "difference_low", "high": "difference_high"}
"""What the ends of a difference's interval are called beside those of a mean's."""

SAME = ("chips", "seed", "first_chip")
"""What makes the chips of two experiments the same ones."""


def sweep(
    source: Setup | Source,
    grid: Mapping[str, Sequence[Any]],
    x: ArrayLike | None = None,
    y: ArrayLike | None = None,
    *,
    test: tuple[ArrayLike, ArrayLike] | float = 0.2,
    validation: tuple[ArrayLike, ArrayLike] | None = None,
    seeds: int | Sequence[int] | None = None,
    folder: str | os.PathLike[str] | None = None,
    resume: bool = False,
    workers: int = 1,
    data_dir: str | os.PathLike[str] | None = None,
) -> pd.DataFrame:
    """Train an experiment for every combination of some values.

    Args:
        source: what `load` takes, or what it returned.
        grid: dotted key to its values; several keys separated by commas vary together.
        x: as for `Setup.fit`.
        y: as for `Setup.fit`.
        test: as for `Setup.fit`.
        validation: as for `Setup.fit`.
        seeds: training seeds, or how many, from 0; None keeps the experiment's.
        folder: where the study and all its runs are kept; None keeps nothing but what is returned.
        resume: go on with the study in `folder`.
        workers: processes to compute in; 1 is this one. Others do not know what `register` was told here.
        data_dir: as for `Setup.fit`.

    Returns:
        a row per combination and chip: what varies, ``chip``, ``test_accuracy``, and the last epoch's other
        metrics. Combinations that fail are left out, with a warning.

    Raises:
        InputError: the first thing that is wrong, with its key or the argument's name.
    """
    if not isinstance(grid, Mapping) or not grid:
        raise InputError(
            "grid", grid, "dotted keys and lists of values, such as {'rule.name': ['dfc', 'backprop']}"
        )
    setup = source if isinstance(source, Setup) else load(source)
    values = {key: plain(list(one), f"grid.{key}") if _listed(one) else one for key, one in grid.items()}
    for key, one in values.items():
        if not isinstance(one, list) or not one:
            raise InputError(f"grid.{key}", one, "a list of one or more values")
    study = {"name": setup.experiment.name, "grid": values, "seeds": _seeds(seeds)}
    options = Options(resume, workers=workers, data_dir=None if data_dir is None else Path(data_dir))
    given = setup.samples(x, y, test, validation)
    with _computed({**study, "base": setup.data}, given, folder, options) as table:
        return table


def compare(
    cases: Mapping[str, Setup | Source],
    x: ArrayLike | None = None,
    y: ArrayLike | None = None,
    *,
    test: tuple[ArrayLike, ArrayLike] | float = 0.2,
    validation: tuple[ArrayLike, ArrayLike] | None = None,
    seeds: int | Sequence[int] | None = None,
    folder: str | os.PathLike[str] | None = None,
    resume: bool = False,
    workers: int = 1,
    data_dir: str | os.PathLike[str] | None = None,
    outcome: str = "test_accuracy",
) -> pd.DataFrame:
    """Train several experiments on the same chips and samples, and compare them with the first, chip by chip.

    The unit is the chip: seeds of one chip are averaged first.

    Args:
        cases: label to what `load` takes, or what it returned; two or more, on the same chips.
        x: as for `Setup.fit`.
        y: as for `Setup.fit`.
        test: as for `Setup.fit`.
        validation: as for `Setup.fit`.
        seeds: as for `sweep`.
        folder: as for `sweep`.
        resume: as for `sweep`.
        workers: as for `sweep`.
        data_dir: as for `Setup.fit`.
        outcome: the column of the table that is compared.

    Returns:
        a row per case: ``mean`` over the chips with its 95 % bootstrap interval ``low`` to ``high``,
        ``minimum`` (the worst chip), ``n`` (chips), and against the first case the paired ``difference``
        (``difference_low`` to ``difference_high``), Cohen's ``effect`` :math:`d_z`, ``p_t``, ``p_wilcoxon``,
        ``wins``, and ``p_holm``, which is adjusted for the number of comparisons. ``.attrs["table"]`` is the
        table behind it, a row per case, seed and chip.

    Raises:
        InputError: the first thing that is wrong, with its key or the argument's name.
    """
    if not isinstance(cases, Mapping) or len(cases) < 2:
        raise InputError("cases", cases, "two labels or more, each with an experiment")
    setups = {str(k): one if isinstance(one, Setup) else load(one) for k, one in cases.items()}
    first = next(iter(setups.values()))
    _check_same_chips(setups)
    entries = [{"label": label, "base": setup.data} for label, setup in setups.items()]
    study = {"name": "compare", "list": {CASE: entries}, "seeds": _seeds(seeds)}
    options = Options(resume, workers=workers, data_dir=None if data_dir is None else Path(data_dir))
    with _computed(study, first.samples(x, y, test, validation), folder, options) as table:
        if outcome not in table.columns:
            raise InputError("outcome", outcome, ", ".join(str(name) for name in table.columns))
        means = summarise(table, [CASE], outcome).set_index(CASE)
        tests = compare_levels(table, CASE, [], outcome, reference=next(iter(setups)))
        if len(tests):
            against = tests.drop(columns=["a", "n"]).rename(columns={"b": CASE, **ENDS}).set_index(CASE)
            means = means.join(against)
        means.attrs["table"] = table
        return means


@contextmanager
def _computed(
    study: Mapping[str, Any],
    given: Given | None,
    folder: str | os.PathLike[str] | None,
    options: Options,
) -> Iterator[pd.DataFrame]:
    """Compute a study and give its table, in a folder that goes away unless it is named."""
    _check(folder, options)
    with tempfile.TemporaryDirectory(prefix="spiketrain-") as scratch:
        root = Path(scratch) / "study" if folder is None else Path(folder)
        files = {} if given is None else dict(given.files)
        options = replace(options, quiet=True, in_process=options.workers == 1, files=files)
        raw = dict(study) if given is None else _with_task(study, given, root)
        found = compute(Study.from_mapping(raw), root, options)
        if found.failed:
            lines = pd.read_csv(root / "cells.csv")["error"].dropna()
            said = "; ".join(dict.fromkeys(lines)) or "no reason is known"
            warnings.warn(f"{found.failed} of {found.cells} experiments failed: {said}", stacklevel=4)
        yield found.table


def _with_task(study: Mapping[str, Any], given: Given, root: Path) -> dict[str, Any]:
    """Let every cell take its samples from the one file in the study's folder."""
    task = {**given.task, "file": str((root / FILE).absolute()), "copy": False}
    raw = dict(study)
    if "base" in raw:
        raw["base"] = {**raw["base"], "task": task}
    else:
        raw["list"] = {
            axis: [{**entry, "base": {**entry["base"], "task": task}} for entry in entries]
            for axis, entries in raw["list"].items()
        }
    return raw


def _check(folder: Any, options: Options) -> None:
    workers = options.workers
    if isinstance(workers, bool) or not isinstance(workers, int) or workers < 1:
        raise InputError("workers", workers, "a number of processes, 1 or more")
    if folder is None and options.resume:
        raise InputError("resume", True, "a folder to go on with, folder=...")
    if folder is not None and not isinstance(folder, str | os.PathLike):
        raise InputError("folder", folder, "the path of a folder")
    if importlib.util.find_spec("pyarrow") is None:
        raise InputError("studies", "no pyarrow", "an installed pyarrow", "pip install 'spiketrain[studies]'")


def _check_same_chips(setups: Mapping[str, Setup]) -> None:
    chips = {label: setup.experiment.mismatch for label, setup in setups.items()}
    label, first = next(iter(chips.items()))
    for other, part in chips.items():
        for key in SAME:
            if getattr(part, key) != getattr(first, key):
                allowed = f"{getattr(first, key)}, as {label!r} has: the same chips are compared"
                raise InputError(f"cases[{other!r}]: mismatch.{key}", getattr(part, key), allowed)


def _seeds(seeds: Any) -> Any:
    if seeds is None or (isinstance(seeds, int) and not isinstance(seeds, bool) and seeds > 0):
        return seeds
    if _listed(seeds) and len(seeds):
        return plain(list(seeds), "seeds")
    raise InputError("seeds", seeds, "a number of seeds, 1 or more, or a list of them")


def _listed(value: Any) -> bool:
    return hasattr(value, "__iter__") and not isinstance(value, str | Mapping)
