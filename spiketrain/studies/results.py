"""Tables and figures of a text, made from the folder of a study, with where every number comes from."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import final

import pandas as pd

from root.errors import InputError
from spiketrain.record.files import write_bytes, write_text
from spiketrain.report.drawing import Drawing
from spiketrain.report.style import drawn
from spiketrain.studies.budget import against_presentations
from spiketrain.studies.figures import against, words
from spiketrain.studies.finished import Finished, markdown
from spiketrain.studies.parts import AnalysisPart, Settings
from spiketrain.studies.plan import Plan
from spiketrain.studies.settings import EDGE_MARK, settings_table
from spiketrain.studies.statistics import compare_levels, summarise

__all__ = ["Built", "build", "files_of", "marked", "put"]

UNIT = "Unit: the chip; p after Holm over all rows, d is Cohen's d_z; presentations to each chip."

BEGIN, END = "<!-- results: {name} -->", "<!-- end of results -->"


@final
@dataclass(frozen=True)
class Built:
    """What a study adds up to, for a text.

    Args:
        text: a paragraph on what was run, and the table, in Markdown.
        figures: file name to an SVG.
    """

    text: str
    figures: Mapping[str, bytes]

    def block(self, name: str, folder: str) -> str:
        """Return the text between its marks, with its figures.

        Args:
            name: of the block.
            folder: where the figures are, seen from the text.
        """
        shown = "".join(f"\n![{_title(file)}]({folder}/{file})\n" for file in self.figures)
        return f"{BEGIN.format(name=name)}\n\n{self.text}{shown}\n{END}"


def files_of(called: str, drawings: Sequence[Drawing | None]) -> dict[str, bytes]:
    """Return the files of the figures of a block, by their names; of None there is none."""
    return {f"{called}-{one.name}.svg": one.svg().encode() for one in drawings if one is not None}


def build(root: Path, name: str | None = None) -> Built:
    """Return the table and the figures of a study from its finished cells.

    Nothing else is read: what stands in ``table.csv`` or on its page may be old.

    Args:
        root: the study's folder.
        name: how the figures are called; the study's own name by default.

    Raises:
        InputError: it is no such folder, no cell is finished, or the study has no section ``analysis``.
    """
    found = Finished.read(root)
    plan, part, table = found.plan, found.part, found.table
    groups = found.groups
    varied = [column for column in groups if table[column].nunique(dropna=False) > 1] or groups
    rows = _rows(table, found.over, part, groups, varied)
    text = f"{found.about()} {UNIT}\n\n{markdown(rows)}\n"
    if found.study.tuned is not None:
        text += f"\n{_searched(found.study.tuned, plan)}\n"
    panels = (part.panels,) if isinstance(part.panels, str) else part.panels or ()
    series = [column for column in varied if column not in (part.x, *panels)]
    lines = [column for column in varied if column not in panels]
    summary = summarise(table, groups, part.outcome, part.resamples)
    with drawn():
        drawings = [against_presentations(found.history, series=lines, panels=panels, apart=part.x)]
        if table[part.x].nunique() > 1:
            drawings.append(against(summary, x=part.x, series=series, panels=panels, outcome=part.outcome))
    return Built(text, files_of(name or found.study.name, drawings))


def _rows(
    table: pd.DataFrame, over: pd.DataFrame, part: AnalysisPart, groups: Sequence[str], varied: Sequence[str]
) -> pd.DataFrame:
    """Return the rows of the table as texts."""
    summary = summarise(table, groups, part.outcome, part.resamples)
    others = [column for column in groups if column != part.compare]
    tests = compare_levels(
        table, part.compare, others, part.outcome, reference=part.reference, resamples=part.resamples
    )
    shown = []
    for _, row in summary.iterrows():
        own = table
        for column in groups:
            own = own[own[column] == row[column]]
        runs = over.loc[own["cell"].unique()]
        line = {words(column): str(row[column]) for column in varied}
        line |= {
            "mean": f"{row['mean']:.4f}",
            "95 %": "–" if pd.isna(row["low"]) else f"{row['low']:.4f} to {row['high']:.4f}",
            "worst chip": f"{row['minimum']:.4f}",
            "chips": f"{row['n']:.0f}",
            "presentations": _whole(runs["presentations"].mean()),
            "converged": "yes" if bool(runs["converged"].all()) else "no",
        }
        if part.reference is not None:
            line[f"against {part.reference}"] = _difference(tests, row, part, others)
        shown.append(line)
    return pd.DataFrame(shown)


def _difference(tests: pd.DataFrame, row: pd.Series, part: AnalysisPart, others: Sequence[str]) -> str:
    """Return the paired difference from the reference, its effect size and its p after Holm."""
    if row[part.compare] == part.reference or not len(tests):
        return "–"
    own = tests[tests["b"] == row[part.compare]]
    for column in others:
        own = own[own[column] == row[column]]
    if not len(own):
        return "–"
    found = own.iloc[0]
    sure = "" if pd.isna(found["p_holm"]) else f", d {found['effect']:.1f}, p {found['p_holm']:.2g}"
    return f"{found['difference']:+.4f}{sure}"


def _searched(settings: Settings, plan: Plan) -> str:
    """Return the settings of the cells and where they were searched."""
    first, last = settings.chips
    table = settings_table(settings, [cell.columns for cell in plan.cells()])
    return (
        f"Settings of each row, the best of {settings.trials} trials on chips {first} to {last} by "
        f"validation accuracy (study `{settings.study}`); in brackets the range that was searched, "
        f"{EDGE_MARK} at an end of it:\n\n{markdown(table)}"
    )


def _whole(value: float) -> str:
    return "–" if pd.isna(value) else f"{value:.0f}"


def _title(file: str) -> str:
    return words(file.removesuffix(".svg").replace("-", " "))


def marked(text: str, name: str, key: str = "--into") -> tuple[str, str, str]:
    """Return what is before a block, the block with its marks, and what is after it.

    Raises:
        InputError: the text has no such block.
    """
    first = BEGIN.format(name=name)
    before, begin, rest = text.partition(first)
    inside, end, after = rest.partition(END)
    if not begin or not end:
        raise InputError(key, f"no block {name}", f"a text with the lines {first} and {END}")
    return before, begin + inside + end, after


def put(built: Built, name: str, into: Path, *, check: bool = False) -> bool:
    """Put a block into a text and its figures beside it; return whether anything was different.

    Args:
        built: from `build`.
        name: of the block.
        into: the text; figures go into the folder ``figures`` beside it.
        check: only look.

    Raises:
        InputError: the text cannot be read, or has no such block.
    """
    try:
        text = into.read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise InputError("--into", str(into), "a text in UTF-8", f"{error}") from None
    before, old, after = marked(text, name)
    new = built.block(name, "figures")
    folder = into.parent / "figures"
    changed = old != new or any(not (folder / file).is_file() for file in built.figures)
    if not check:
        folder.mkdir(exist_ok=True)
        for file, content in built.figures.items():
            write_bytes(folder / file, content)
        write_text(into, before + new + after)
    return changed
