"""A study of identification as a whole: its cells computed, added up, drawn and tested."""

from __future__ import annotations

import functools
import io
from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from root.errors import DamagedError, InputError
from root.files import read_regular
from spiketrain.config import dump_yaml
from spiketrain.record.files import write_text
from spiketrain.record.tables import table_text
from spiketrain.studies.figures import against, words
from spiketrain.studies.folder import Cells, StudyFolder
from spiketrain.studies.identification_figures import progress_curves, scatter, training_curves
from spiketrain.studies.identify import GAINS, PROGRESS, identify_cell
from spiketrain.studies.page import Page, Sheet, drawn
from spiketrain.studies.parts import IdentifyPart
from spiketrain.studies.plan import Plan
from spiketrain.studies.statistics import compare_levels, summarise
from spiketrain.studies.study import Study
from spiketrain.studies.sweep import Options, compute_cells

__all__ = ["identify", "time_to_identify"]

MAX_BYTES = 500_000_000


def identify(study: Study, root: Path, options: Options) -> tuple[Path, int]:
    """Compute a study of identification and write its tables and its page.

    Args:
        study: has a section ``identify``.
        root: its folder.
        options: how to compute.

    Returns:
        the page's path, and the number of cells that failed.

    Raises:
        InputError: the study or the folder are wrong.
        SimulationError: the disk is full, or the workers are lost.
    """
    if study.identify is None:
        raise InputError("identify", "nothing", "a section identify: when and how to measure")
    plan = Plan(study)
    _panels(study.identify, _columns(plan))
    function = functools.partial(identify_cell, study.identify.model_dump())
    options.ask_for_data(plan)
    with StudyFolder.open(root, study, resume=options.resume) as folder:
        failed = compute_cells(plan, folder, options, function)
        progress, gains = (_collected(plan, folder.cells, name) for name in (PROGRESS, GAINS))
        write_text(root / PROGRESS, table_text(progress))
        write_text(root / GAINS, table_text(gains))
    return _page(study, study.identify, progress, gains, failed).write(root), failed


def time_to_identify(progress: pd.DataFrame, columns: Sequence[str], tolerance: float) -> pd.DataFrame:
    """Return after how many batches the angle of every chip stays close to its last value.

    Args:
        progress: a row per cell, moment and chip.
        columns: what tells cells apart.
        tolerance: in degrees.
    """
    rows = []
    before = progress[progress["epoch"] == 0].sort_values("batch", kind="stable")
    for names, group in before.groupby([*columns, "chip"], sort=False, dropna=False):
        far = group[(group["angle_1"] - group["angle_1"].iloc[-1]).abs() > tolerance]
        settled = group if far.empty else group[group["batch"] > far["batch"].max()]
        rows.append(dict(zip([*columns, "chip"], names, strict=True)) | {"batches": settled["batch"].iloc[0]})
    return pd.DataFrame(rows)


def _collected(plan: Plan, cells: Cells, name: str) -> pd.DataFrame:
    frames = []
    for cell in plan.rows():
        path = cells.finished(cell.key) / name
        if path.is_file():
            content = read_regular(path, str(path), "CSV file", MAX_BYTES, DamagedError)
            try:
                frame = pd.read_csv(io.BytesIO(content))
            except ValueError as error:
                raise DamagedError(str(path), "a damaged file", "a table as CSV", f"{error}") from None
            for place, (column, value) in enumerate(cell.columns.items()):
                frame.insert(place, column, [value] * len(frame))
            frames.append(frame)
    if not frames:
        raise InputError(
            "study", str(cells.root), "one finished cell at least", "failed/ says what went wrong"
        )
    return pd.concat(frames, ignore_index=True)


def _page(study: Study, part: IdentifyPart, progress: pd.DataFrame, gains: pd.DataFrame, failed: int) -> Page:
    plan = Plan(study)
    columns = _columns(plan)
    last = progress[progress["epoch"] == 0].groupby([*plan.columns, "chip"], sort=False, dropna=False).tail(1)
    sheets, findings = _tested(last, columns)
    settled = time_to_identify(progress, plan.columns, part.tolerance_degrees)
    times = summarise(settled, columns, "batches")
    caption = (
        f"Batches until the angle of Q to Jᵀ stays within {part.tolerance_degrees:g}° of its last value."
    )
    sheets.append(Sheet("time_to_identify", "Time to identify", caption, times))
    sheets.append(Sheet("progress", "All moments", "A row per cell, moment and chip.", progress))
    panels = _panels(part, columns)
    varied = [name for name in columns if progress[name].nunique(dropna=False) > 1]
    with drawn():
        drawings = [progress_curves(progress, varied, panels)]
        if progress["epoch"].any():
            drawings.append(training_curves(progress, varied, panels))
        if part.x is not None:
            known = sheets[0].data
            known = known[known["layer"] == known["layer"].min()]
            lines = [name for name in varied if name not in (part.x, *panels)]
            drawings += [
                against(known, x=part.x, series=[*lines, "source"], panels=panels, outcome="gain_r2"),
                against(times, x=part.x, series=lines, panels=panels, outcome="batches"),
            ]
        drawings.append(scatter(gains, varied))
    return Page(
        title=f"{study.name}: what the controller knows about the chips",
        lead=f"Varied: {', '.join(words(name) for name in plan.columns) or 'nothing'}.",
        findings=findings,
        tiles=[
            ("cells", str(len(plan))),
            ("failed cells", str(failed)),
            ("chips", str(progress["chip"].nunique())),
        ],
        drawings=drawings,
        sheets=sheets,
        config=dump_yaml(study.resolved()),
    )


def _columns(plan: Plan) -> list[str]:
    """Return what tells cells apart but the seed, whose results are averaged per chip."""
    return [name for name in plan.columns if name != "seed"]


def _panels(part: IdentifyPart, columns: list[str]) -> tuple[str, ...]:
    """Return the columns that get panels, having checked that the study has all that is to be drawn."""
    panels = (part.panels,) if isinstance(part.panels, str) else part.panels or ()
    for key, name in [("x", part.x), *(("panels", name) for name in panels)]:
        if name is not None and name not in columns:
            raise InputError(
                f"identify.{key}", name, f"a column of the study: {', '.join(columns) or 'none'}"
            )
    return panels


def _tested(last: pd.DataFrame, columns: list[str]) -> tuple[list[Sheet], list[str]]:
    """Compare what was identified with what the design says, chip by chip."""
    sheets, findings = list[Sheet](), list[str]()
    for measure, title in (("gain_r2", "Gain per neuron"), ("synapse_r2", "Response per synapse")):
        names = [n for n in last.columns if n.startswith(f"{measure}_")]
        long = last.melt([*columns, "chip"], names, "source", measure).dropna(subset=[measure])
        long["layer"] = long["source"].str.rsplit("_", n=1).str[1].astype(int)
        long["source"] = long["source"].str.removeprefix(f"{measure}_").str.rsplit("_", n=1).str[0]
        groups = [*columns, "layer"]
        caption = (
            "Squared correlation with the true chip, over neurons or synapses; negative where it is inverse."
        )
        sheets.append(Sheet(measure, f"{title}: R²", caption, summarise(long, [*groups, "source"], measure)))
        tests = compare_levels(long, "source", groups, measure, reference="nominal")
        sheets.append(
            Sheet(f"{measure}_tests", f"{title}: identified against nominal", "Paired per chip.", tests)
        )
        for _, row in tests.iterrows():
            place = ", ".join(f"{words(name)} {row[name]}" for name in groups)
            findings.append(
                f"{title}, {place}: identified minus nominal R² {row['difference']:+.3f} "
                f"({row['low']:.3f} to {row['high']:.3f}; p = {row['p_holm']:.2g}, Holm; {row['n']} chips)."
            )
    return sheets, findings
