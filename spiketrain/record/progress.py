"""How a run shows that it is alive: a bar on a terminal, a line per epoch in a file, or nothing."""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from types import TracebackType
from typing import Self, final

from rich.console import Console
from rich.progress import BarColumn, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.progress import Progress as RichProgress

from spiketrain.describe import count, spread

__all__ = ["Bar", "Lines", "Progress", "Silent", "progress"]


class Progress(ABC):
    """Told what is done, as a context manager."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    @abstractmethod
    def stage(self, what: str) -> None:
        """Say what is under way, such as ``reading the data``."""

    @abstractmethod
    def start(self, title: str, batches: int, done: int = 0) -> None:
        """Say what is trained, of how many batches an epoch is, and how many epochs are done already."""

    @abstractmethod
    def batch(self) -> None:
        """Say that another batch is done."""

    @abstractmethod
    def epoch(self, epoch: int, values: Mapping[str, Sequence[float]]) -> None:
        """Say that `epoch` epochs are done, and what came out, chip by chip."""

    @abstractmethod
    def close(self) -> None:
        """Leave the terminal as it was."""


@final
class Silent(Progress):
    """Says nothing."""

    def stage(self, what: str) -> None:
        pass

    def start(self, title: str, batches: int, done: int = 0) -> None:
        pass

    def batch(self) -> None:
        pass

    def epoch(self, epoch: int, values: Mapping[str, Sequence[float]]) -> None:
        pass

    def close(self) -> None:
        pass


@final
class Lines(Progress):
    """Prints what is trained and one plain line per epoch, at once, so that a log file can be followed."""

    def __init__(self, epochs: int, console: Console) -> None:
        self._epochs, self._console = epochs, console
        self._clock = time.perf_counter()

    def stage(self, what: str) -> None:
        pass

    def start(self, title: str, batches: int, done: int = 0) -> None:
        self._clock = time.perf_counter()
        self._print(f"{title}; {_plan(self._epochs, batches, done)}")

    def batch(self) -> None:
        pass

    def epoch(self, epoch: int, values: Mapping[str, Sequence[float]]) -> None:
        seconds, self._clock = time.perf_counter() - self._clock, time.perf_counter()
        self._print(_line(epoch, self._epochs, values, seconds))

    def close(self) -> None:
        pass

    def _print(self, line: str) -> None:
        self._console.print(line, markup=False, highlight=False, soft_wrap=True)
        self._console.file.flush()


@final
class Bar(Progress):
    """A bar over the batches of all epochs that moves from the first moment; a line per epoch above it."""

    def __init__(self, epochs: int, console: Console) -> None:
        self._epochs, self._batches = epochs, 0
        self._bar = RichProgress(
            TextColumn("{task.description}"),
            BarColumn(bar_width=None),
            TextColumn("{task.fields[counts]}"),
            TimeElapsedColumn(),
            TextColumn("elapsed,"),
            TimeRemainingColumn(),
            TextColumn("left"),
            console=console,
            transient=True,
        )
        self._task = self._bar.add_task("starting", total=None, counts="")
        self._clock = time.perf_counter()
        self._bar.start()

    def stage(self, what: str) -> None:
        self._bar.update(self._task, description=what)

    def start(self, title: str, batches: int, done: int = 0) -> None:
        self._batches, self._clock = batches, time.perf_counter()
        self._bar.console.print(
            f"{title}; {_plan(self._epochs, batches, done)}", markup=False, highlight=False
        )
        self._bar.update(self._task, total=self._epochs * batches, completed=done * batches)
        self._say(done * batches)

    def batch(self) -> None:
        self._bar.advance(self._task)
        self._say(self._bar.tasks[0].completed)

    def epoch(self, epoch: int, values: Mapping[str, Sequence[float]]) -> None:
        seconds, self._clock = time.perf_counter() - self._clock, time.perf_counter()
        self._bar.update(self._task, completed=epoch * self._batches)
        line = _line(epoch, self._epochs, values, seconds)
        self._bar.console.print(line, markup=False, highlight=False)

    def close(self) -> None:
        self._bar.stop()

    def _say(self, completed: float) -> None:
        self._bar.update(self._task, counts=f"{completed:.0f} of {self._epochs * self._batches} batches")


def progress(epochs: int, *, quiet: bool = False, console: Console | None = None) -> Progress:
    """Return what suits the place the output goes to.

    Args:
        epochs: epochs in all.
        quiet: show nothing.
        console: where to; standard output by default.
    """
    if quiet:
        return Silent()
    console = console or Console()
    return Bar(epochs, console) if console.is_terminal else Lines(epochs, console)


def _plan(epochs: int, batches: int, done: int) -> str:
    begun = f", {done} done" if done else ""
    return f"{count(epochs, 'epoch')} of {count(batches, 'batch')}{begun}"


def _line(epoch: int, epochs: int, values: Mapping[str, Sequence[float]], seconds: float) -> str:
    said = "  ".join(spread(name, chips) for name, chips in values.items())
    return f"epoch {epoch} of {epochs}  {said}  {seconds:.1f} s"
