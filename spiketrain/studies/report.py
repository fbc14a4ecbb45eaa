"""The report of a sweep or a comparison: what its analysis asks for, drawn and tested."""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from root.errors import InputError
from spiketrain.config import dump_yaml
from spiketrain.studies.budget import FEWEST, FLAT, against_presentations
from spiketrain.studies.figures import against, differences, words
from spiketrain.studies.page import Page, Sheet, drawn
from spiketrain.studies.parts import AnalysisPart
from spiketrain.studies.plan import Plan
from spiketrain.studies.statistics import compare_levels, summarise
from spiketrain.studies.study import Study
from spiketrain.studies.table import read_history

__all__ = ["write_report"]

CONVERGED = (
    f"Converged: over the last quarter of the epochs ({FEWEST} or more in all) a straight line through the "
    f"mean over the chips moves by less than {FLAT}, on the validation set where there is one."
)


def write_report(study: Study, root: Path, table: pd.DataFrame) -> Path:
    """Write the page, figures and tables of a study; return the page's path.

    Args:
        study: what was computed.
        root: its folder.
        table: a row per cell and chip.

    Raises:
        InputError: the analysis names columns that the table does not have.
    """
    listed = pd.read_csv(root / "cells.csv")
    failed = int((listed["status"] == "failed").sum()) if len(listed) else 0
    tiles = [
        ("cells", f"{listed['cell'].nunique()}"),
        ("failed cells", str(failed)),
        ("chips", str(table["chip"].nunique())),
        ("diverged", f"{int((table['diverged'] != '').sum())} of {len(table)}"),
        ("not converged", f"{int((~listed['converged']).sum())} of {len(listed)}" if len(listed) else "0"),
    ]
    plan = Plan(study)
    sheets: list[Sheet] = []
    parts: dict[str, object] = {}
    if plan.study.analysis is not None and len(table):
        history = read_history(root)
        parts = _analysed(plan.study.analysis, plan.columns, table, history, sheets)
    else:
        sheets.append(Sheet("rows", "Results", "A row per cell and chip.", table))
    if failed:
        errors = listed[listed["status"] == "failed"].drop(
            columns=["seconds", "train_samples_per_second", "git"]
        )
        sheets.append(Sheet("failed", "Failed cells", "They are left out of everything above.", errors))
    page = Page(
        title=f"{study.name}: {len(plan)} experiments",
        lead=f"Varied: {', '.join(words(name) for name in plan.columns) or 'nothing'}.",
        tiles=tiles,
        sheets=sheets,
        config=dump_yaml(study.resolved()),
        commits=sorted(set(listed["git"].dropna())),
        **parts,  # type: ignore[arg-type]
    )
    return page.write(root)


def _analysed(
    part: AnalysisPart, columns: list[str], table: pd.DataFrame, history: pd.DataFrame, sheets: list[Sheet]
) -> dict[str, object]:
    """Return the figures and findings that an analysis asks for; its tables are added to `sheets`."""
    panels = (part.panels,) if isinstance(part.panels, str) else part.panels or ()
    named = {"x": part.x, "compare": part.compare, "outcome": part.outcome}
    for key, name in [*named.items(), *(("panels", name) for name in panels)]:
        if name not in table.columns:
            raise InputError(f"analysis.{key}", name, f"a column of the table: {', '.join(table.columns)}")
    cells = [name for name in columns if name != "seed"]
    others = [name for name in cells if name != part.compare]
    summary = summarise(table, cells, part.outcome, part.resamples)
    summary["converged"] = table.groupby(cells, sort=False, dropna=False)["converged"].all().to_numpy()
    tests = compare_levels(
        table, part.compare, others, part.outcome, reference=part.reference, resamples=part.resamples
    )
    varied = [name for name in cells if table[name].nunique(dropna=False) > 1] or cells
    series = [name for name in varied if name not in (part.x, *panels)]
    seeds = table["seed"].nunique() if "seed" in table else 1
    note = f"Unit: the chip; {seeds} training seed{'s' if seeds > 1 else ''} averaged per chip."
    sheets += [
        Sheet("summary", "Means", f"{note} Low and high: 95 % bootstrap interval. {CONVERGED}", summary),
        Sheet(
            "tests",
            "Paired comparisons",
            f"{note} Differences b − a on the same chips; effect: Cohen's d_z.",
            tests,
        ),
    ]
    with drawn():
        drawings = [against(summary, x=part.x, series=series, panels=panels, outcome=part.outcome)]
        if len(tests):
            places = [name for name in others if name in varied]
            drawings.append(differences(tests, places, part.outcome))
        lines = [name for name in varied if name not in panels]
        budget = against_presentations(history, series=lines, panels=panels, apart=part.x)
        drawings += [] if budget is None else [budget]
    return {"drawings": drawings, "findings": _findings(part, others, tests)}


def _findings(part: AnalysisPart, others: list[str], tests: pd.DataFrame) -> list[str]:
    """Return what the tests say at every place, one sentence each; nothing is claimed without one."""
    said = []
    for _, row in tests.iterrows():
        place = ", ".join(f"{words(name)} {row[name]}" for name in others)
        higher, lower = (row["b"], row["a"]) if row["difference"] > 0 else (row["a"], row["b"])
        good = "better" if part.better == "higher" else "worse"
        if row["p_holm"] < 0.05:
            said.append(
                f"{place}: {higher} is {good} than {lower} by {abs(row['difference']):.4f} "
                f"(p = {row['p_holm']:.2g} after Holm, d = {row['effect']:.2f}, n = {row['n']} chips)."
            )
    silent = len(tests) - len(said)
    return [*said, f"{silent} of {len(tests)} comparisons show no difference at p < 0.05 after Holm."]
