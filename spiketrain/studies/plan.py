"""From a study to its cells, lazily: a cell is a number until its config is needed."""

from __future__ import annotations

import itertools
import json
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, final

from root.errors import InputError, nearest
from root.texts import check_text
from spiketrain.config.placing import placed
from spiketrain.reading import assign
from spiketrain.studies.compare import expanded
from spiketrain.studies.naming import Names
from spiketrain.studies.parts import AnalysisPart, Entry, GridAxis
from spiketrain.studies.settings import check_settings, settings_of
from spiketrain.studies.study import Study

__all__ = ["Cell", "Plan"]

Scalar = str | int | float | bool | None

MAX_CELLS = 1_000_000

RESERVED = frozenset(
    {
        *("cell", "chip", "test_accuracy", "best_accuracy", "diverged", "epoch", "learning_rate"),
        *("status", "error", "seconds", "train_samples_per_second", "git"),
        *("batch", "layer", "neuron", "source", "true", "identified", "nominal"),
    }
)
"""Columns of the tables that are no axis of a study."""


@final
@dataclass(frozen=True)
class Level:
    """One value of an axis.

    Args:
        columns: what the table says about it.
        changes: dotted keys as steps, and their values.
        base: a config to start from instead of the study's.
    """

    columns: Mapping[str, Scalar]
    changes: Sequence[tuple[tuple[str, ...], Any]]
    base: dict[str, Any] | None = None


@final
@dataclass(frozen=True)
class Cell:
    """One experiment of a study.

    Args:
        key: the hash of its resolved config.
        columns: what varies, as the table says it.
        config: plain data, as `Experiment.from_mapping` takes them.
    """

    key: str
    columns: Mapping[str, Scalar]
    config: Mapping[str, Any]


@final
class Plan:
    """All cells of a study, in order, each named once.

    Args:
        study: what to do; a comparison is expanded.

    Raises:
        InputError: no cell is possible (the first one's error), or there are too many.
    """

    def __init__(self, study: Study) -> None:
        self.study = study = study if study.compare is None else expanded(study)
        self._axes = _axes(study)
        size = math.prod(len(axis) for axis in self._axes)
        if size > MAX_CELLS:
            raise InputError("study", f"{size} cells", f"at most {MAX_CELLS}")
        self._base = dict(study.base) if isinstance(study.base, dict) else {}
        self._changes = [(_steps(key), value) for key, value in study.changes.items()]
        self.errors: dict[str, InputError] = {}
        self._numbers = dict[str, int]()
        self._twins = list[tuple[int, str]]()
        if study.analysis is not None:
            _check_analysis(study.analysis, self.columns)
        if study.tuned is not None:
            check_settings(study.tuned, study.grid)
        self._name_all()

    def _name_all(self) -> None:
        """Find the first number of every name; cells that are the same experiment become one."""
        names = Names()
        for number, levels in enumerate(itertools.product(*self._axes)):
            if not self._kept(levels):
                continue
            key, wrong = names.name(self._config(levels))
            if self._numbers.setdefault(key, number) != number:
                self._twins.append((number, key))
            if wrong is not None:
                self.errors.setdefault(key, wrong)
        if not self._numbers:
            raise InputError("keep", self.study.keep, "labels that some cell has")
        if len(self.errors) == len(self._numbers):
            raise next(iter(self.errors.values()))

    @property
    def columns(self) -> list[str]:
        """Names of what varies, in the order of the axes."""
        return list(dict.fromkeys(name for axis in self._axes for level in axis for name in level.columns))

    @property
    def labels(self) -> set[str]:
        """What the columns say, in cells that are left out too."""
        return {str(value) for axis in self._axes for level in axis for value in level.columns.values()}

    def __len__(self) -> int:
        return len(self._numbers)

    def keys(self) -> Iterator[str]:
        """Return the names of the cells, in order."""
        return iter(self._numbers)

    def cells(self) -> Iterator[Cell]:
        """Return the cells, in order."""
        return (self.cell(key) for key in self._numbers)

    def cell(self, key: str) -> Cell:
        """Return the cell of that name; where several combinations are one experiment, the first."""
        return self._cell(key, self._numbers[key])

    def rows(self) -> Iterator[Cell]:
        """Return a cell for every combination, in order; several may have one name."""
        numbered = sorted([*((number, key) for key, number in self._numbers.items()), *self._twins])
        return (self._cell(key, number) for number, key in numbered)

    def _cell(self, key: str, number: int) -> Cell:
        levels = self._levels(number)
        columns = _said(levels)
        config = {**self._config(levels), "name": f"{self.study.name[:80]}-{key}"}
        return Cell(key, columns, config)

    def _levels(self, number: int) -> tuple[Level, ...]:
        chosen = []
        for axis in reversed(self._axes):
            number, index = divmod(number, len(axis))
            chosen.append(axis[index])
        return tuple(reversed(chosen))

    def _config(self, levels: Sequence[Level]) -> dict[str, Any]:
        base = next((level.base for level in reversed(levels) if level.base is not None), self._base)
        config = base
        for steps, value in itertools.chain(self._changes, *(level.changes for level in levels)):
            config = assign(config, steps, value, "study")
        if self.study.tuned is not None:
            for key, value in settings_of(self.study.tuned, _said(levels)).values.items():
                config = assign(config, _steps(key), value, "tuned")
        return config if self.study.device is None else placed(config, self.study.device)

    def _kept(self, levels: Sequence[Level]) -> bool:
        if not self.study.keep:
            return True
        columns = _said(levels)
        return all(columns.get(name) in kept for name, kept in self.study.keep.items())


def _said(levels: Sequence[Level]) -> dict[str, Scalar]:
    """Return what the table says about a combination."""
    return {name: value for level in levels for name, value in level.columns.items()}


def _axes(study: Study) -> list[list[Level]]:
    axes = [[_entry(axis, entry) for entry in entries] for axis, entries in study.lists.items()]
    axes += [_grid(column, axis) for column, axis in study.grid.items()]
    if study.seeds is not None:
        axes.append([Level({"seed": seed}, [(("training", "seed"), seed)]) for seed in study.seeds])
    known = _columns(axes)
    for name in study.keep:
        if name not in known:
            raise InputError(f"keep.{name}", study.keep[name], ", ".join(sorted(known)), nearest(name, known))
    return axes


def _columns(axes: Sequence[Sequence[Level]]) -> set[str]:
    """Return the names of what varies, having checked that each stands for one thing."""
    known = set[str]()
    for axis in axes:
        _check_levels(axis)
        names = {name for level in axis for name in level.columns}
        for name in sorted(names & RESERVED):
            allowed = f"another name: the tables have a column {name} of their own"
            raise InputError("study", f"a column {name}", allowed, f"Such as {name}_varied.")
        for name in sorted(names & known):
            raise InputError("study", f"two axes with a column {name}", "a column of its own for every axis")
        known |= names
    return known


def _check_levels(axis: Sequence[Level]) -> None:
    """Raise `InputError` where two levels of an axis say the same in the table: they would be one there."""
    seen = dict[tuple[tuple[str, str], ...], Level]()
    for level in axis:
        said = tuple(sorted((name, str(value)) for name, value in level.columns.items()))
        other = seen.setdefault(said, level)
        if other is not level and (other.changes, other.base) != (level.changes, level.base):
            given = ", ".join(f"{name}: {value}" for name, value in said)
            raise InputError("study", f"two entries called {given}", "a label of its own for every entry")


def _check_analysis(part: AnalysisPart, columns: Sequence[str]) -> None:
    """Raise `InputError` where an analysis names columns that do not vary, or an outcome that does."""
    panels = (part.panels,) if isinstance(part.panels, str) else part.panels or ()
    for key, name in (("x", part.x), ("compare", part.compare), *(("panels", name) for name in panels)):
        if name not in columns:
            allowed = f"what the study varies: {', '.join(columns) or 'nothing'}"
            raise InputError(f"analysis.{key}", name, allowed, nearest(name, columns))
    if part.outcome in (*columns, "cell", "chip", "diverged"):
        allowed = "what comes out of a cell, such as test_accuracy or best_accuracy"
        raise InputError("analysis.outcome", part.outcome, allowed)


def _entry(axis: str, entry: Entry) -> Level:
    columns = {axis: entry.label} if isinstance(entry.label, str) else dict(entry.label)
    changes = [(_steps(key), value) for key, value in entry.keys.items() if key != "base"]
    for name, value in columns.items():
        check_text(f"list.{axis}.label" if name == axis else f"list.{axis}.label.{name}", str(value))
    return Level(columns, changes, dict(entry.base) if isinstance(entry.base, dict) else None)


def _grid(column: str, axis: GridAxis) -> list[Level]:
    for value in axis.values:
        check_text(f"grid.{column}", str(value))  # a column of the tables has it
    steps = [_steps(key) for key in axis.keys]
    return [Level({column: _scalar(value)}, [(s, value) for s in steps]) for value in axis.values]


def _scalar(value: Any) -> Scalar:
    return value if value is None or isinstance(value, (str, int, float)) else json.dumps(value)


def _steps(key: str) -> tuple[str, ...]:
    steps = tuple(key.split("."))
    if not all(steps):
        raise InputError("study", key, "a dotted key of a config, such as training.epochs")
    return steps
