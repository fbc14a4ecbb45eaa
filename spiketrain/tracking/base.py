"""What a tracker is: settings of something that is told what a run is, every epoch, and how it ended."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any, ClassVar, final

import numpy as np

from root.errors import InputError
from spiketrain.hooks import EpochDone

__all__ = ["NO_LOG", "Log", "Started", "Tracker", "flat", "over_chips"]

ONE_BY_ONE = 32
"""Up to so many chips each gets a curve of its own."""


@final
@dataclass(frozen=True)
class Started:
    """A run that begins, or goes on.

    Args:
        name: of the experiment.
        title: what is trained, in a line.
        config: the whole config, every default written out.
        folder: where the run is written; None for one in memory.
        epoch: how many epochs are done already: more than 0 where an interrupted run goes on.
    """

    name: str
    title: str
    config: Mapping[str, Any]
    folder: Path | None
    epoch: int


class Log(ABC):
    """A tracker at work on one run."""

    @abstractmethod
    def epoch(self, done: EpochDone) -> None:
        """Take down an epoch; that of the test before training is number 0."""

    @abstractmethod
    def finish(self, summary: Mapping[str, Any]) -> None:
        """Take down how the run ended: the content of ``summary.json``."""

    @abstractmethod
    def close(self, *, failed: bool) -> None:
        """Let go of everything; after `finish`, or where the run was interrupted or failed."""


@final
class _NoLog(Log):
    def epoch(self, done: EpochDone) -> None: ...

    def finish(self, summary: Mapping[str, Any]) -> None: ...

    def close(self, *, failed: bool) -> None: ...


NO_LOG: Log = _NoLog()
"""What a run without a tracker tells."""


@dataclass(frozen=True)
class Tracker(ABC):
    """Settings of a tracker: a frozen dataclass whose fields are the keys below ``analysis.tracker``.

    It is told what is measured and changes nothing: a run has the same bits with and without.
    """

    plugin_group: ClassVar[str] = "trackers"
    name: ClassVar[str]
    library: ClassVar[tuple[str, str]]
    """The module that it needs, and what is to be installed for it."""

    def check(self, folder: Path | None) -> None:
        """Refuse what cannot be tracked, before anything is written.

        Args:
            folder: where the run is written; None for one in memory.

        Raises:
            InputError: its library is not installed.
        """
        module, package = self.library
        if find_spec(module) is None:
            allowed = f"a tracker whose library is installed ({module} is not)"
            raise InputError("analysis.tracker.name", self.name, allowed, f"pip install '{package}'")

    @abstractmethod
    def start(self, run: Started) -> Log:
        """Begin to follow a run."""


def over_chips(done: EpochDone) -> Iterator[tuple[str, float]]:
    """Yield what is worth a curve: each column's mean, minimum and maximum over chips, and few chips' own."""
    for name, values in done.values.items():
        if len(values) == 1:
            yield name, float(values[0])
            continue
        for kind, pick in (("mean", np.mean), ("min", np.min), ("max", np.max)):
            yield f"{name}/{kind}", float(pick(values))
        if len(values) <= ONE_BY_ONE:
            yield from ((f"{name}/chip {index}", float(value)) for index, value in enumerate(values))


def flat(config: Mapping[str, Any], above: str = "") -> Iterator[tuple[str, str]]:
    """Yield the values of a config by their dotted keys, as texts."""
    for key, value in config.items():
        name = f"{above}{key}"
        if isinstance(value, Mapping):
            yield from flat(value, f"{name}.")
        else:
            yield name, str(value)
