"""What is finished in the folder of a study, and where every number of it comes from."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, final

import pandas as pd

from root.errors import InputError
from spiketrain.studies.budget import histories, spent
from spiketrain.studies.compare import expanded
from spiketrain.studies.folder import Cells
from spiketrain.studies.parts import AnalysisPart
from spiketrain.studies.plan import Plan
from spiketrain.studies.study import Study, stored_study
from spiketrain.studies.table import tidy

__all__ = ["Finished", "markdown"]

SHORT = 7
"""Letters of a commit that tell it apart."""


@final
@dataclass(frozen=True)
class Finished:
    """The finished cells of a study.

    Args:
        study: as its folder has it.
        part: its section ``analysis``.
        plan: its cells.
        table: a row per cell and chip, from `table.tidy`.
        listed: a row per cell.
        history: a row per cell, epoch and chip, from `budget.histories`.
        summaries: of the cells.
    """

    study: Study
    part: AnalysisPart
    plan: Plan
    table: pd.DataFrame
    listed: pd.DataFrame
    history: pd.DataFrame
    summaries: Sequence[Mapping[str, Any]]

    @classmethod
    def read(cls, root: Path) -> Finished:
        """Read a study's folder.

        Raises:
            InputError: it is no such folder, no cell is finished, or the study has no section ``analysis``.
        """
        study = stored_study(root)
        study = expanded(study) if study.compare is not None else study
        part, cells = study.analysis, Cells(root)
        if part is None:
            allowed = "a study that says what is compared"
            raise InputError("analysis", "nothing", allowed, f"in {root}/study.yaml")
        plan = Plan(study)
        table, listed = tidy(plan, cells)
        if not len(table):
            raise InputError("folder", str(root), "a study with finished cells")
        summaries = [found for cell in plan.cells() if (found := cells.summary(cell.key)) is not None]
        return cls(study, part, plan, table, listed, histories(plan, cells), summaries)

    @property
    def groups(self) -> list[str]:
        """What varies, apart from the training seed."""
        return [column for column in self.plan.columns if column != "seed"]

    @property
    def over(self) -> pd.DataFrame:
        """What every cell showed each chip and whether it converged, by its key; see `budget.spent`."""
        return spent(self.history).set_index("cell")

    def about(self) -> str:
        """Return a sentence that says what was run, where and when."""
        found, planned = self.summaries, len(self.plan)

        def all_of(key: str) -> str:
            values = sorted({str(one.get(key)) for one in found if one.get(key) is not None})
            return ", ".join(values) or "unknown"

        versions = sorted({str(one.get("versions", {}).get("spiketrain")) for one in found})
        platforms = sorted({str(one.get("versions", {}).get("platform")) for one in found})
        known = sorted({str(one["git"]) for one in found if one.get("git")})
        commits = ", ".join(c[:SHORT] + ("-dirty" if c.endswith("-dirty") else "") for c in known)
        seeds = sorted({str(one["mismatch"].get("seed")) for one in found})
        days = sorted(str(one.get("date", ""))[:10] for one in found)
        hours = self.listed["seconds"].sum() / 3600.0
        when = days[0] if days[0] == days[-1] else f"{days[0]} to {days[-1]}"
        done = f"{len(found)} of {planned} cells" if len(found) < planned else f"{planned} cells"
        return (
            f"Study `{self.study.name}`: {done}, mismatch seed {', '.join(seeds)}, training seed "
            f"{all_of('seed')}; spiketrain {', '.join(versions)} at {commits or 'unknown'}; {when}, on "
            f"{all_of('host')} ({', '.join(platforms)}), {hours:.2g} hours of training."
        )


def markdown(rows: pd.DataFrame) -> str:
    """Return a table of texts in Markdown."""
    head = [str(column) for column in rows.columns]
    lines = [head, ["---"] * len(head), *(list(row) for row in rows.itertuples(index=False))]
    return "\n".join(
        "| " + " | ".join(str(cell).replace("|", "\\|") for cell in line) + " |" for line in lines
    )
