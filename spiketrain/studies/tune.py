"""A search for every rule's settings with the same budget, on chips and samples that are not reported."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, final

import pandas as pd

from root.errors import InputError, nearest
from spiketrain.config import Experiment, dump_yaml
from spiketrain.record.files import write_text
from spiketrain.record.tables import table_text
from spiketrain.report.drawing import Drawing
from spiketrain.report.style import blank, colour
from spiketrain.studies.display import Display, display
from spiketrain.studies.edges import EDGE, searched, warnings
from spiketrain.studies.folder import StudyFolder, full_disk
from spiketrain.studies.naming import Names
from spiketrain.studies.page import Page, Sheet, drawn
from spiketrain.studies.parts import Found, Settings, TunePart
from spiketrain.studies.plan import Plan
from spiketrain.studies.settings import SETTINGS, write_settings
from spiketrain.studies.study import Study
from spiketrain.studies.sweep import Options
from spiketrain.studies.trials import (
    JOURNAL,
    Candidate,
    curve_of,
    distribution,
    labels_of,
    mend,
    whole,
    with_changes,
)
from spiketrain.studies.work import Outcome, run_trial

__all__ = ["tune"]

TRIALS = "trials.csv"


def tune(study: Study, root: Path, options: Options) -> tuple[Path, pd.DataFrame]:
    """Search, and write ``settings.yaml``, ``chosen/<label>.yaml``, ``trials.csv`` and the page.

    Every candidate gets the same number of trials. A trial is a cell: trained on chips numbered
    ``chip_offset`` higher than the reported ones, judged by the validation set.

    Args:
        study: has a section ``tune``.
        root: its folder.
        options: how to compute.

    Returns:
        the page's path, and a row per trial.

    Raises:
        InputError: the study or the folder are wrong.
        SimulationError: the disk is full, or the workers are lost.
    """
    part = study.tune
    if part is None:
        raise InputError("tune", "nothing", "a section tune: trials, and what to search")
    plan = Plan(study.searched())
    options.ask_for_data(plan)
    with StudyFolder.open(root, study, resume=options.resume) as folder:
        mend(root / JOURNAL)
        columns = _telling(plan, part)
        candidates = [Candidate.open(part, cell, columns, folder.root) for cell in plan.cells()]
        for candidate in candidates:
            _check(part, candidate)
        done = sum(candidate.counted for candidate in candidates)
        with display(len(candidates) * part.trials, done=done, quiet=options.quiet) as shown:
            _search(part, candidates, folder, options, shown)
        table = _table(candidates)
        write_text(root / TRIALS, table_text(table))
        _write_chosen(root, candidates)
        if worked := [c for c in candidates if c.worked]:
            write_settings(root / SETTINGS, _found(study, part, columns, worked))
    return _page(study, part, candidates, table).write(root), table


def _telling(plan: Plan, part: TunePart) -> list[str]:
    """Return the columns that tell candidates apart.

    Raises:
        InputError: further ranges are for a label that there is not.
    """
    rows, known = [cell.columns for cell in plan.cells()], plan.labels
    for label in part.entries:
        for wanted in sorted(labels_of(label, known) - known):
            raise InputError(
                f"tune.entries.{label}", wanted, ", ".join(sorted(known)), nearest(wanted, known)
            )
    return [name for name in plan.columns if len({row.get(name) for row in rows}) > 1]


def _check(part: TunePart, candidate: Candidate) -> None:
    """Raise `InputError` where a search would look at what is reported, or at nothing."""
    if not candidate.search:
        raise InputError("tune.search", candidate.label, "a key to search, for every candidate")
    experiment = Experiment.from_mapping(with_changes(candidate.cell.config, part.changes))
    if not (experiment.training.validation or experiment.build_task().own_validation):
        fix = "tune: {set: {training.validation: 0.2}}; the test set is not for choosing."
        raise InputError("training.validation", 0.0, "a share of the training set that is held out", fix)
    if part.chip_offset < experiment.mismatch.chips:
        allowed = f"{experiment.mismatch.chips} or more: the reported chips are not for choosing"
        raise InputError("tune.chip_offset", part.chip_offset, allowed)
    for key, found in candidate.search.items():
        distribution(key, found)


@final
@dataclass(frozen=True)
class _Trial:
    """A trial under way.

    Args:
        candidate: whose it is.
        number: its number there.
        config: of its cell.
        rungs: what is asked of it.
    """

    candidate: Candidate
    number: int
    config: dict[str, Any]
    rungs: dict[int, float]


def _search(
    part: TunePart, candidates: Sequence[Candidate], folder: StudyFolder, options: Options, shown: Display
) -> None:
    """Go round the candidates, one trial each, until all have had theirs."""
    if all(candidate.counted >= part.trials for candidate in candidates):
        return
    with options.engine(folder.root, candidates[0].config(part, {})) as engine:
        while left := [candidate for candidate in candidates if candidate.counted < part.trials]:
            tasks: dict[str, list[_Trial]] = {}
            for candidate in left:
                number, params = candidate.ask(part.seed)
                config = candidate.config(part, params)
                trial = _Trial(candidate, number, config, candidate.rungs(part, config))
                key = Names().name(config)[0]
                if part.halving is not None:  # what is asked of a trial on its way is its candidate's own
                    key = Names.labelled(key, candidate.label)
                tasks.setdefault(key, []).append(trial)
            for key, found in engine.map(run_trial, _calls(tasks, folder, options)):
                for trial in tasks[key]:
                    _tell(trial, key, found, folder)
                    columns = {"candidate": trial.candidate.label, "trial": trial.number}
                    shown.cell(
                        columns,
                        found if isinstance(found, Outcome) else Outcome(key, "failed", error=str(found)),
                    )


def _calls(
    tasks: Mapping[str, list[_Trial]], folder: StudyFolder, options: Options
) -> Iterator[tuple[str, tuple[Any, ...]]]:
    data_dir = None if options.data_dir is None else str(options.data_dir.resolve())
    for key, (trial, *_rest) in tasks.items():
        yield key, (str(folder.root.resolve()), key, {**trial.config, "name": key}, data_dir, trial.rungs)


def _tell(trial: _Trial, key: str, found: Outcome | Exception, folder: StudyFolder) -> None:
    if isinstance(found, Outcome) and found.status == "full":
        raise full_disk(folder.root, trial.candidate.counted)
    curve = curve_of(folder.cells, key) if isinstance(found, Outcome) else {}
    trial.candidate.tell(trial.number, curve, trial.rungs)


def _edges(candidates: Sequence[Candidate]) -> pd.DataFrame:
    """Return what was searched and found of all candidates, see `searched`."""
    return searched([(c.label, c.search, c.trials.best_trial.params) for c in candidates if c.worked])


def _table(candidates: Sequence[Candidate]) -> pd.DataFrame:
    rows = []
    for candidate in candidates:
        best = -math.inf
        for trial in candidate.trials.trials:
            if trial.state.is_finished():
                value = math.nan if trial.value is None else trial.value
                early = trial.value is not None and not whole(trial)
                best = best if math.isnan(value) or early else max(best, value)
                row = {"candidate": candidate.label, "trial": trial.number, "validation_accuracy": value}
                row |= {"ended_early": early}
                rows.append(row | {"best": best if best > -math.inf else math.nan} | dict(trial.params))
    return pd.DataFrame(rows)


def _write_chosen(root: Path, candidates: Sequence[Candidate]) -> None:
    """Write every candidate's best settings as a config, on the chips that are to be reported."""
    (root / "chosen").mkdir(exist_ok=True)
    for candidate in candidates:
        if candidate.worked:
            best = candidate.trials.best_trial
            chosen = Experiment.from_mapping(with_changes(candidate.cell.config, best.params))
            said = {k: v for k, v in chosen.resolved(defaults=False).items() if k != "name"}
            comment = (
                f"# {candidate.label}: best of {candidate.counted} trials, validation {best.value:.4f}.\n"
            )
            ends = warnings(_edges([candidate]))[:-1]
            comment += "".join(f"# {text}\n" for text in ends)
            write_text(root / "chosen" / f"{_file_name(candidate.label)}.yaml", comment + dump_yaml(said))


def _found(study: Study, part: TunePart, columns: Sequence[str], candidates: Sequence[Candidate]) -> Settings:
    """Return what was found for the candidates that some trial worked for."""
    first = candidates[0].config(part, {})["mismatch"]["first_chip"]
    return Settings(
        study=study.name,
        trials=part.trials,
        chips=(first, first + part.chips - 1),
        found=tuple(
            Found(
                columns={name: c.cell.columns[name] for name in columns if name in c.cell.columns},
                values=c.trials.best_trial.params,
                ranges=dict(c.search),
                validation=float(c.trials.best_trial.value or 0.0),
            )
            for c in candidates
        ),
    )


def _file_name(label: str) -> str:
    return "".join(c if c.isalnum() or c in "._-" else "-" for c in label)


def _page(study: Study, part: TunePart, candidates: Sequence[Candidate], table: pd.DataFrame) -> Page:
    with drawn():
        figure, axes = blank(1, 1, 3.6)
        ax = axes[0][0]
        for index, (label, group) in enumerate(table.groupby("candidate", sort=False)):
            ax.plot(group["trial"], group["validation_accuracy"], ".", color=colour(index), alpha=0.5)
            ax.plot(
                group["trial"], group["best"], color=colour(index), drawstyle="steps-post", label=str(label)
            )
        ax.set_xlabel("trial")
        ax.set_ylabel("validation accuracy")
        ax.legend(loc="lower right")
    best = (
        table[~table["ended_early"]]
        .sort_values("validation_accuracy")
        .groupby("candidate", sort=False)
        .tail(1)
    )
    bests = "; ".join(f"{row.candidate} {row.best:.3f}" for row in best.itertuples())
    edges = _edges(candidates)
    drawing = Drawing(
        "search",
        "Search",
        f"Best validation accuracy: {bests}.",
        "A dot per trial; the line is the best so far.",
        figure,
        table,
    )
    return Page(
        title=f"{study.name}: {part.trials} trials for each of {len(candidates)} candidates",
        lead=f"Validation accuracy, mean over {part.chips} chips that are not reported.",
        findings=warnings(edges),
        drawings=[drawing],
        sheets=[
            Sheet("ranges", "Ranges searched", f"Edge: within {EDGE:.0%} of an end.", edges),
            Sheet("best", "Chosen", "Written as configs into chosen/.", best),
            Sheet("trials", "Trials", "In order.", table),
        ],
        config=dump_yaml(study.resolved()),
    )
