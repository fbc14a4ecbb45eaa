"""A study of identification as a whole: its cells computed, added up, drawn and tested."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pandas as pd
from matplotlib.ticker import MaxNLocator

from rate_bridge.errors import InputError
from spiketrain.config import dump_yaml
from spiketrain.record.files import write_text
from spiketrain.report.drawing import Drawing
from spiketrain.report.style import INK, blank, colour
from spiketrain.studies.figures import words
from spiketrain.studies.folder import Cells, StudyFolder
from spiketrain.studies.identify import GAINS, PROGRESS, identify_cell
from spiketrain.studies.page import Page, Sheet, drawn
from spiketrain.studies.parts import IdentifyPart
from spiketrain.studies.plan import Plan
from spiketrain.studies.statistics import compare_levels, summarise
from spiketrain.studies.study import Study
from spiketrain.studies.sweep import Options, compute_cells

__all__ = ["identify", "time_to_identify"]

SCATTERED = 6
"""Panels of the scatter plot."""


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
    function = functools.partial(identify_cell, study.identify.model_dump())
    with StudyFolder.open(root, study, resume=options.resume) as folder:
        failed = compute_cells(plan, folder, options, function)
        progress, gains = (_collected(plan, folder.cells, name) for name in (PROGRESS, GAINS))
        write_text(root / PROGRESS, progress.to_csv(index=False))
        write_text(root / GAINS, gains.to_csv(index=False))
    return _page(study, study.identify, progress, gains, failed).write(root), failed


def time_to_identify(progress: pd.DataFrame, columns: Sequence[str], tolerance: float) -> pd.DataFrame:
    """Return after how many batches the angle of every chip stays close to its last value.

    Args:
        progress: a row per cell, moment and chip.
        columns: what tells cells apart.
        tolerance: in degrees.
    """
    rows = []
    before = progress[progress["epoch"] == 0].sort_values("batch")
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
            frame = pd.read_csv(path)
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
    columns = [name for name in plan.columns if name != "seed"]
    last = progress[progress["epoch"] == 0].groupby([*plan.columns, "chip"], sort=False, dropna=False).tail(1)
    sheets, findings = _tested(last, columns)
    sheets.append(
        Sheet(
            "time_to_identify",
            "Time to identify",
            "Batches after which the angle of Q to Jᵀ stays within "
            f"{part.tolerance_degrees:g}° of its last value.",
            summarise(time_to_identify(progress, plan.columns, part.tolerance_degrees), columns, "batches"),
        )
    )
    sheets.append(Sheet("progress", "All moments", "A row per cell, moment and chip.", progress))
    with drawn():
        drawings = [_angles(progress, columns), _scatter(gains, columns)]
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


def _angles(progress: pd.DataFrame, columns: list[str]) -> Drawing:
    data = progress[progress["epoch"] == 0]
    figure, axes = blank(1, 2, 3.8)
    panels = (("angle_1", "angle of Q to Jᵀ (°)"), ("gain_r2_identified_1", "R² of the gains"))
    groups = list(data.groupby(columns, sort=False, dropna=False)) if columns else [((), data)]
    for ax, (measure, label) in zip(axes[0], panels, strict=True):
        for index, (names, group) in enumerate(groups):
            means = group.groupby("batch")[measure].agg(["mean", "min", "max"])
            name = ", ".join(str(n) for n in names) or "all"
            ax.plot(means.index, means["mean"], marker="o", markersize=3, color=colour(index), label=name)
            ax.fill_between(
                means.index, means["min"], means["max"], color=colour(index), alpha=0.15, linewidth=0
            )
        ax.set_xlabel("batches shown")
        ax.set_ylabel(label)
        ax.xaxis.set_major_locator(MaxNLocator(6, integer=True))
    axes[0][1].axhline(0.0, color=INK, linewidth=0.6)
    figure.legend(*axes[0][0].get_legend_handles_labels(), loc="outside lower center", ncols=3)
    last = data[data["batch"] == data["batch"].max()]["angle_1"]
    return Drawing(
        "identification",
        "Identification",
        f"The angle of Q to the true response ends between {last.min():.1f} and {last.max():.1f} degrees.",
        "First hidden layer. Means over the chips; bands from the lowest to the highest chip.",
        figure,
        data,
    )


def _scatter(gains: pd.DataFrame, columns: list[str]) -> Drawing:
    first = gains[gains["layer"] == 1]
    groups = list(first.groupby(columns, sort=False, dropna=False)) if columns else [((), first)]
    shown = groups[-SCATTERED:]
    wide = min(3, len(shown))
    rows = -(-len(shown) // wide)
    figure, axes = blank(rows, wide, 0.6 + 2.8 * rows)
    places = [ax for row in axes for ax in row]
    for ax, (names, group) in zip(places, shown, strict=False):
        for index, source in enumerate(("identified", "nominal")):
            ax.plot(
                group["true"],
                _matched(group, source),
                ".",
                color=colour(index),
                alpha=0.6,
                markersize=4,
                label=source,
            )
        ax.axline((0.0, 0.0), slope=1.0, color=INK, linewidth=0.6)
        ax.set_title(", ".join(str(n) for n in names))
        ax.set_xlabel("true gain")
    for ax in places[len(shown) :]:
        ax.set_axis_off()
    axes[0][0].set_ylabel("gain known to the controller")
    figure.legend(*axes[0][0].get_legend_handles_labels(), loc="outside lower center", ncols=2)
    return Drawing(
        "gains",
        "Gains of single neurons",
        f"{len(first)} gains on {first['chip'].nunique()} chips: known to the controller, and true.",
        "First hidden layer, after identification; known gains are scaled to the true ones.",
        figure,
        gains,
    )


def _matched(group: pd.DataFrame, source: str) -> Any:
    """Return known gains on the true ones' scale: feedback weights have a scale of their own."""
    x, y = group[source], group["true"]
    return x * float((x * y).sum()) / max(float((x * x).sum()), 1e-300)
