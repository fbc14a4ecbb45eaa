"""The trials of a search: what is tried next, what is asked of it on the way, and what came of it."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, final

from root.errors import DamagedError, InputError
from root.files import open_regular
from root.seeds import SeedTree
from spiketrain.config import Experiment
from spiketrain.reading import assign
from spiketrain.record.tables import read_rows
from spiketrain.studies.folder import Cells
from spiketrain.studies.parts import SearchRange, TunePart
from spiketrain.studies.plan import Cell

if TYPE_CHECKING:
    import optuna

__all__ = ["JOURNAL", "Candidate", "curve_of", "distribution", "labels_of", "mend", "whole", "with_changes"]

JOURNAL = "trials.log"

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

    @classmethod
    def open(cls, part: TunePart, cell: Cell, columns: Sequence[str], root: Path) -> Candidate:
        """Return the candidate that a cell is, with the trials that the folder `root` has of it.

        Args:
            part: how is searched.
            cell: on the chips that will be reported.
            columns: those that tell candidates apart.
            root: the study's folder.

        Raises:
            InputError: there is no Optuna, or the log of the trials is damaged.
        """
        label = "-".join(str(cell.columns[name]) for name in columns if name in cell.columns) or "base"
        trials = _opened(root / JOURNAL, label)
        labels = {str(value) for value in cell.columns.values()}
        merged: dict[str, SearchRange | None] = {**part.search}
        for named, ranges in part.entries.items():
            if labels_of(named, labels) <= labels:
                merged |= ranges
        search = {key: found for key, found in merged.items() if found is not None}
        if not trials.trials:
            own = Experiment.from_mapping(with_changes(cell.config, part.changes)).resolved()
            trials.enqueue_trial(_present(own, search))  # what is known to work is one of the trials
        return cls(label, cell, search, trials)

    @property
    def counted(self) -> int:
        """How many trials are over, whether they worked or not."""
        return sum(trial.state.is_finished() for trial in self.trials.trials)

    @property
    def worked(self) -> bool:
        """Whether any trial came to its end."""
        return any(whole(trial) for trial in self.trials.trials)

    def ask(self, seed: int) -> tuple[int, dict[str, Any]]:
        """Return the number and the settings of the next trial: one that was cut short, or a new one.

        The sampler is made anew for every trial, seeded by its number: an interruption changes nothing.

        Args:
            seed: of the sampler.
        """
        from optuna.samplers import TPESampler  # noqa: PLC0415
        from optuna.trial import TrialState  # noqa: PLC0415

        for trial in self.trials.get_trials(states=(TrialState.RUNNING,)):
            if set(trial.params) == set(self.search):
                return trial.number, dict(trial.params)
            self.trials.tell(trial.number, state=TrialState.FAIL)
        seeds = SeedTree(seed).child("tune", self.label, len(self.trials.trials))
        self.trials.sampler = TPESampler(seed=int(seeds.generator().integers(2**31)))
        space = {key: distribution(key, found) for key, found in self.search.items()}
        asked = self.trials.ask(space)
        return asked.number, dict(asked.params)

    def config(self, part: TunePart, params: Mapping[str, Any]) -> dict[str, Any]:
        """Return the config of a trial with these settings, on chips that are not reported."""
        config = with_changes(self.cell.config, {**part.changes, **params})
        first = config.get("mismatch", {}).get("first_chip", 0) + part.chip_offset
        return with_changes(config, {"mismatch.first_chip": first, "mismatch.chips": part.chips})

    def rungs(self, part: TunePart, config: Mapping[str, Any]) -> dict[int, float]:
        """Return what is asked of the next trial: epochs to validation accuracy; see `Halving`.

        Args:
            part: how is searched.
            config: of that trial.
        """
        if part.halving is None:
            return {}
        asked = {}
        for epoch in part.halving.rungs(Experiment.from_mapping(config).training.epochs):
            told = (trial.intermediate_values.get(epoch) for trial in self.trials.trials)
            seen = sorted(value for value in told if value is not None)
            kept = (len(seen) + 1) // part.halving.factor  # of all that came here, the next one among them
            asked[epoch] = seen[-kept] if kept else -math.inf
        return asked

    def tell(self, number: int, curve: Mapping[int, float], rungs: Mapping[int, float]) -> None:
        """Write down what came of a trial.

        Args:
            number: of the trial.
            curve: epochs to validation accuracy; empty where it failed.
            rungs: what was asked of it.
        """
        from optuna.trial import Trial, TrialState  # noqa: PLC0415

        if not curve:
            self.trials.tell(number, state=TrialState.FAIL)
            return
        trial, last = Trial(self.trials, self.trials.trials[number]._trial_id), max(curve)
        for epoch in sorted(rungs.keys() & curve.keys()):
            trial.report(curve[epoch], epoch)
        if curve[last] < rungs.get(last, -math.inf):
            self.trials.tell(number, state=TrialState.PRUNED)
        else:
            self.trials.tell(number, curve[last])


def whole(trial: optuna.trial.FrozenTrial) -> bool:
    """Return whether a trial came to its end: it neither failed nor was ended early."""
    from optuna.trial import TrialState  # noqa: PLC0415

    return trial.state == TrialState.COMPLETE


def _opened(journal: Path, label: str) -> optuna.Study:
    """Return a candidate's Optuna study from the log of the trials.

    Raises:
        InputError: there is no Optuna, or the log is damaged.
    """
    try:
        import optuna  # noqa: PLC0415 (only this command needs it)
        from optuna.storages import JournalStorage  # noqa: PLC0415
        from optuna.storages.journal import JournalFileBackend  # noqa: PLC0415
    except ImportError as error:
        raise InputError("tune", "no optuna", "pip install 'spiketrain[studies]'") from error
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    if journal.exists():
        open_regular(journal, str(journal), "log", MAX_BYTES, DamagedError).close()
    try:
        storage = JournalStorage(JournalFileBackend(str(journal), lock_obj=_NoLock()))  # type: ignore[arg-type]
        return optuna.create_study(
            storage=storage, study_name=label, direction="maximize", load_if_exists=True
        )
    except Exception as error:  # Optuna says a dozen things of a log that it did not write
        said = f"{type(error).__name__}: {error}"
        raise DamagedError(str(journal), "a damaged file", "the log of the trials", said) from None


def mend(journal: Path) -> None:
    """Drop the line that a full disk cut short: whatever is written after it could not be read."""
    if journal.is_file():
        with journal.open("rb+") as file:
            file.truncate(file.read().rfind(b"\n") + 1)


def labels_of(text: str, known: Collection[str]) -> set[str]:
    """Return the labels that a key of ``tune.entries`` names: one with a comma in it, or several.

    Args:
        text: the key.
        known: labels that there are.
    """
    return {text} if text in known else {label.strip() for label in text.split(",")}


def distribution(key: str, found: SearchRange) -> optuna.distributions.BaseDistribution:
    """Return a range as Optuna knows it.

    Raises:
        InputError: it is neither choices nor a range.
    """
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


def with_changes(config: Mapping[str, Any], changes: Mapping[str, Any]) -> dict[str, Any]:
    """Return a config with the values of dotted keys."""
    changed = dict(config)
    for key, value in changes.items():
        changed = assign(changed, key.split("."), value, "tune.search")
    return changed


def curve_of(cells: Cells, key: str) -> dict[int, float]:
    """Return the mean validation accuracy of a cell's chips after every epoch; empty where there is none."""
    path = cells.finished(key) / "metrics.csv"
    if not path.is_file():
        return {}
    found: dict[int, list[float]] = {}
    for row in read_rows(path):
        if row.get("validation_accuracy"):
            found.setdefault(int(row["epoch"]), []).append(float(row["validation_accuracy"]))
    means = {epoch: sum(values) / len(values) for epoch, values in found.items()}
    return {} if any(math.isnan(value) for value in means.values()) else means
