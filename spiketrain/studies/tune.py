"""A search for every rule's settings with the same budget, on chips and samples that are not reported."""

from __future__ import annotations

import math
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, final

import pandas as pd

from root.errors import DamagedError, InputError, nearest
from root.files import open_regular
from root.seeds import SeedTree
from spiketrain.config import Experiment, dump_yaml
from spiketrain.reading import assign
from spiketrain.record.files import write_text
from spiketrain.record.tables import read_rows, table_text
from spiketrain.report.drawing import Drawing
from spiketrain.report.style import blank, colour
from spiketrain.studies.display import Display, display
from spiketrain.studies.edges import EDGE, searched, warnings
from spiketrain.studies.folder import Cells, StudyFolder, full_disk
from spiketrain.studies.naming import Names
from spiketrain.studies.page import Page, Sheet, drawn
from spiketrain.studies.parts import Found, SearchRange, Settings, TunePart
from spiketrain.studies.plan import Cell, Plan
from spiketrain.studies.settings import SETTINGS, write_settings
from spiketrain.studies.study import Study
from spiketrain.studies.sweep import Options
from spiketrain.studies.work import Outcome, run_cell

if TYPE_CHECKING:
    import optuna

__all__ = ["tune"]

JOURNAL, TRIALS = "trials.log", "trials.csv"

MAX_BYTES = 1_000_000_000


@final
class _NoLock:
    """The folder's own lock already keeps others out, and it cannot outlive a killed driver."""

    def acquire(self) -> bool:
        return True

    def release(self) -> None:
        pass


@final
@dataclass(frozen=True)
class Candidate:
    """What is tuned: one combination of the study's axes.

    Args:
        label: its name.
        cell: its config, on the chips that will be reported.
        search: dotted key to range.
        trials: its Optuna study.
    """

    label: str
    cell: Cell
    search: Mapping[str, SearchRange]
    trials: optuna.Study


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
    plan = Plan(study.model_copy(update={"tuned": None, "keep": {**study.keep, **part.keep}}))
    with StudyFolder.open(root, study, resume=options.resume) as folder:
        _mend(root / JOURNAL)
        columns = _telling(plan, part)
        candidates = [_candidate(part, cell, columns, folder.root) for cell in plan.cells()]
        for candidate in candidates:
            _check(part, candidate)
        done = sum(_counted(candidate) for candidate in candidates)
        with display(len(candidates) * part.trials, done=done, quiet=options.quiet) as shown:
            _search(part, candidates, folder, options, shown)
        table = _table(candidates)
        write_text(root / TRIALS, table_text(table))
        _write_chosen(root, candidates)
        if worked := [c for c in candidates if any(trial.value is not None for trial in c.trials.trials)]:
            write_settings(root / SETTINGS, _found(study, part, columns, worked))
    return _page(study, part, candidates, table).write(root), table


def _mend(journal: Path) -> None:
    """Drop the line that a full disk cut short: whatever is written after it could not be read."""
    if journal.is_file():
        with journal.open("rb+") as file:
            file.truncate(file.read().rfind(b"\n") + 1)


def _telling(plan: Plan, part: TunePart) -> list[str]:
    """Return the columns that tell candidates apart.

    Raises:
        InputError: further ranges are for a label that there is not.
    """
    rows, known = [cell.columns for cell in plan.cells()], plan.labels
    for label in part.entries:
        for wanted in sorted(_labels(label, known) - known):
            raise InputError(
                f"tune.entries.{label}", wanted, ", ".join(sorted(known)), nearest(wanted, known)
            )
    return [name for name in plan.columns if len({row.get(name) for row in rows}) > 1]


def _labels(text: str, known: Collection[str]) -> set[str]:
    """Return the labels that a key of ``tune.entries`` names: one with a comma in it, or several."""
    return {text} if text in known else {label.strip() for label in text.split(",")}


def _candidate(part: TunePart, cell: Cell, columns: Sequence[str], root: Path) -> Candidate:
    try:
        import optuna  # noqa: PLC0415 (only this command needs it)
        from optuna.storages import JournalStorage  # noqa: PLC0415
        from optuna.storages.journal import JournalFileBackend  # noqa: PLC0415
    except ImportError as error:
        raise InputError("tune", "no optuna", "pip install 'spiketrain[studies]'") from error
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    label = "-".join(str(cell.columns[name]) for name in columns if name in cell.columns) or "base"
    if (root / JOURNAL).exists():
        open_regular(root / JOURNAL, str(root / JOURNAL), "log", MAX_BYTES, DamagedError).close()
    try:
        storage = JournalStorage(JournalFileBackend(str(root / JOURNAL), lock_obj=_NoLock()))  # type: ignore[arg-type]
        trials = optuna.create_study(
            storage=storage, study_name=label, direction="maximize", load_if_exists=True
        )
    except Exception as error:  # Optuna says a dozen things of a log that it did not write
        said = f"{type(error).__name__}: {error}"
        raise DamagedError(str(root / JOURNAL), "a damaged file", "the log of the trials", said) from None
    labels = {str(value) for value in cell.columns.values()}
    further = [ranges for label, ranges in part.entries.items() if _labels(label, labels) <= labels]
    merged: dict[str, SearchRange | None] = {**part.search}
    for ranges in further:
        merged |= ranges
    search = {key: found for key, found in merged.items() if found is not None}
    if not trials.trials:
        own = Experiment.from_mapping(_with(cell.config, part.changes)).resolved()
        trials.enqueue_trial(_present(own, search))  # what is known to work is one of the trials
    return Candidate(label, cell, search, trials)


def _check(part: TunePart, candidate: Candidate) -> None:
    """Raise `InputError` where a search would look at what is reported, or at nothing."""
    if not candidate.search:
        raise InputError("tune.search", candidate.label, "a key to search, for every candidate")
    experiment = Experiment.from_mapping(_with(candidate.cell.config, part.changes))
    if not (experiment.training.validation or experiment.build_task().own_validation):
        fix = "tune: {set: {training.validation: 0.2}}; the test set is not for choosing."
        raise InputError("training.validation", 0.0, "a share of the training set that is held out", fix)
    if part.chip_offset < experiment.mismatch.chips:
        allowed = f"{experiment.mismatch.chips} or more: the reported chips are not for choosing"
        raise InputError("tune.chip_offset", part.chip_offset, allowed)
    for key, found in candidate.search.items():
        _distribution(key, found)


def _distribution(key: str, found: SearchRange) -> optuna.distributions.BaseDistribution:
    from optuna.distributions import (  # noqa: PLC0415
        CategoricalDistribution,
        FloatDistribution,
    )

    if found.choices:
        return CategoricalDistribution(found.choices)
    if (
        found.low is None
        or found.high is None
        or not found.low < found.high
        or (found.log and found.low <= 0)
    ):
        allowed = "choices, or low < high (above 0 where log)"
        raise InputError(f"tune.search.{key}", found.model_dump(), allowed)
    return FloatDistribution(found.low, found.high, log=found.log)


def _present(config: Mapping[str, Any], search: Mapping[str, SearchRange]) -> dict[str, Any]:
    """Return the values that a resolved config has for what is searched, where they are allowed."""
    present = {}
    for key, found in search.items():
        value: Any = config
        for step in key.split("."):
            value = value.get(step) if isinstance(value, dict) else None
        inside = found.low is not None and found.high is not None and isinstance(value, (int, float))
        if (found.choices and value in found.choices) or (inside and found.low <= value <= found.high):
            present[key] = value
    return present


def _counted(candidate: Candidate) -> int:
    """Return how many trials are over, whether they worked or not."""
    return sum(trial.state.is_finished() for trial in candidate.trials.trials)


def _search(
    part: TunePart, candidates: Sequence[Candidate], folder: StudyFolder, options: Options, shown: Display
) -> None:
    """Go round the candidates, one trial each, until all have had theirs."""
    if all(_counted(candidate) >= part.trials for candidate in candidates):
        return
    first = _trial_config(part, candidates[0], {})
    with options.engine(folder.root, first) as engine:
        while asked := [(c, _ask(part, c)) for c in candidates if _counted(c) < part.trials]:
            tasks: dict[str, list[tuple[Candidate, int, dict[str, Any]]]] = {}
            for candidate, (number, params) in asked:
                config = _trial_config(part, candidate, params)
                tasks.setdefault(Names().name(config)[0], []).append((candidate, number, config))
            for key, found in engine.map(run_cell, _calls(tasks, folder, options)):
                for candidate, number, _ in tasks[key]:
                    _tell(candidate, number, key, found, folder)
                    columns = {"candidate": candidate.label, "trial": number}
                    shown.cell(
                        columns,
                        found if isinstance(found, Outcome) else Outcome(key, "failed", error=str(found)),
                    )


def _calls(
    tasks: Mapping[str, list[tuple[Candidate, int, dict[str, Any]]]], folder: StudyFolder, options: Options
) -> Iterator[tuple[str, tuple[Any, ...]]]:
    data_dir = None if options.data_dir is None else str(options.data_dir.resolve())
    for key, ((_, _, config), *_rest) in tasks.items():
        yield key, (str(folder.root.resolve()), key, {**config, "name": key}, data_dir)


def _ask(part: TunePart, candidate: Candidate) -> tuple[int, dict[str, Any]]:
    """Return the number and the settings of the next trial: one that was cut short, or a new one.

    The sampler is made anew for every trial, seeded by its number, so that an interruption changes nothing.
    """
    from optuna.samplers import TPESampler  # noqa: PLC0415
    from optuna.trial import TrialState  # noqa: PLC0415

    for trial in candidate.trials.get_trials(states=(TrialState.RUNNING,)):
        if set(trial.params) == set(candidate.search):
            return trial.number, dict(trial.params)
        candidate.trials.tell(trial.number, state=TrialState.FAIL)
    seeds = SeedTree(part.seed).child("tune", candidate.label, len(candidate.trials.trials))
    candidate.trials.sampler = TPESampler(seed=int(seeds.generator().integers(2**31)))
    space = {key: _distribution(key, found) for key, found in candidate.search.items()}
    asked = candidate.trials.ask(space)
    return asked.number, dict(asked.params)


def _trial_config(part: TunePart, candidate: Candidate, params: Mapping[str, Any]) -> dict[str, Any]:
    config = _with(candidate.cell.config, {**part.changes, **params})
    first = config.get("mismatch", {}).get("first_chip", 0) + part.chip_offset
    return _with(config, {"mismatch.first_chip": first, "mismatch.chips": part.chips})


def _with(config: Mapping[str, Any], params: Mapping[str, Any]) -> dict[str, Any]:
    changed = dict(config)
    for key, value in params.items():
        changed = assign(changed, key.split("."), value, "tune.search")
    return changed


def _tell(
    candidate: Candidate, number: int, key: str, found: Outcome | Exception, folder: StudyFolder
) -> None:
    from optuna.trial import TrialState  # noqa: PLC0415

    if isinstance(found, Outcome) and found.status == "full":
        raise full_disk(folder.root, _counted(candidate))
    value = _validation(folder.cells, key) if isinstance(found, Outcome) else math.nan
    if math.isnan(value):
        candidate.trials.tell(number, state=TrialState.FAIL)
    else:
        candidate.trials.tell(number, value)


def _validation(cells: Cells, key: str) -> float:
    """Return the mean validation accuracy of a cell's chips in the last epoch; NaN where there is none."""
    path = cells.finished(key) / "metrics.csv"
    if not path.is_file():
        return math.nan
    rows = [row for row in read_rows(path) if row.get("validation_accuracy")]
    last = max((int(row["epoch"]) for row in rows), default=0)
    values = [float(row["validation_accuracy"]) for row in rows if int(row["epoch"]) == last]
    return sum(values) / len(values) if values else math.nan


def _edges(candidates: Sequence[Candidate]) -> pd.DataFrame:
    """Return what was searched and found of all candidates, see `searched`."""
    worked = [c for c in candidates if any(trial.value is not None for trial in c.trials.trials)]
    return searched([(c.label, c.search, c.trials.best_trial.params) for c in worked])


def _table(candidates: Sequence[Candidate]) -> pd.DataFrame:
    rows = []
    for candidate in candidates:
        best = -math.inf
        for trial in candidate.trials.trials:
            if trial.state.is_finished():
                value = math.nan if trial.value is None else trial.value
                best = best if math.isnan(value) else max(best, value)
                row = {"candidate": candidate.label, "trial": trial.number, "validation_accuracy": value}
                rows.append(row | {"best": best if best > -math.inf else math.nan} | dict(trial.params))
    return pd.DataFrame(rows)


def _write_chosen(root: Path, candidates: Sequence[Candidate]) -> None:
    """Write every candidate's best settings as a config, on the chips that are to be reported."""
    (root / "chosen").mkdir(exist_ok=True)
    for candidate in candidates:
        if any(trial.value is not None for trial in candidate.trials.trials):
            best = candidate.trials.best_trial
            chosen = Experiment.from_mapping(_with(candidate.cell.config, best.params))
            said = {k: v for k, v in chosen.resolved(defaults=False).items() if k != "name"}
            comment = (
                f"# {candidate.label}: best of {_counted(candidate)} trials, validation {best.value:.4f}.\n"
            )
            ends = warnings(_edges([candidate]))[:-1]
            comment += "".join(f"# {text}\n" for text in ends)
            write_text(root / "chosen" / f"{_file_name(candidate.label)}.yaml", comment + dump_yaml(said))


def _found(study: Study, part: TunePart, columns: Sequence[str], candidates: Sequence[Candidate]) -> Settings:
    """Return what was found for the candidates that some trial worked for."""
    first = candidates[0].cell.config.get("mismatch", {}).get("first_chip", 0) + part.chip_offset
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
    best = table.sort_values("validation_accuracy").groupby("candidate", sort=False).tail(1)
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
