"""How a run shows that it is alive: a bar on a terminal, a line per epoch in a file, or nothing."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from types import TracebackType
from typing import Self, final

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.progress import Progress as RichProgress

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
    def batch(self) -> None:
        """Say that another batch is done."""

    @abstractmethod
    def epoch(self, epoch: int, values: Mapping[str, float]) -> None:
        """Say that `epoch` epochs are done, and what came out."""

    @abstractmethod
    def close(self) -> None:
        """Leave the terminal as it was."""


@final
class Silent(Progress):
    """Says nothing."""

    def batch(self) -> None:
        pass

    def epoch(self, epoch: int, values: Mapping[str, float]) -> None:
        pass

    def close(self) -> None:
        pass


@final
class Lines(Progress):
    """Prints one plain line per epoch, at once, so that a log file can be followed."""

    def __init__(self, epochs: int, console: Console) -> None:
        self._epochs, self._console = epochs, console

    def batch(self) -> None:
        pass

    def epoch(self, epoch: int, values: Mapping[str, float]) -> None:
        line = f"epoch {epoch}/{self._epochs}  {_shown(values)}"
        self._console.print(line.rstrip(), markup=False, highlight=False, soft_wrap=True)
        self._console.file.flush()

    def close(self) -> None:
        pass


@final
class Bar(Progress):
    """A bar over the batches of all epochs, with the last epoch's results beside it."""

    def __init__(self, epochs: int, batches: int, done: int, console: Console) -> None:
        self._epochs, self._batches = epochs, batches
        self._bar = RichProgress(
            TextColumn("epoch {task.fields[epoch]}"),
            BarColumn(bar_width=None),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            TimeRemainingColumn(),
            TextColumn("{task.fields[values]}", markup=False),
            console=console,
        )
        self._task = self._bar.add_task(
            "training", total=epochs * batches, completed=done * batches, epoch=f"{done}/{epochs}", values=""
        )
        self._bar.start()

    def batch(self) -> None:
        self._bar.advance(self._task)

    def epoch(self, epoch: int, values: Mapping[str, float]) -> None:
        completed = epoch * self._batches
        self._bar.update(
            self._task, completed=completed, epoch=f"{epoch}/{self._epochs}", values=_shown(values)
        )

    def close(self) -> None:
        self._bar.stop()


def progress(
    epochs: int, batches: int, *, done: int = 0, quiet: bool = False, console: Console | None = None
) -> Progress:
    """Return what suits the place the output goes to.

    Args:
        epochs: epochs in all.
        batches: batches per epoch.
        done: epochs done before, where a run is resumed.
        quiet: show nothing.
        console: where to; standard output by default.
    """
    if quiet:
        return Silent()
    console = console or Console()
    return Bar(epochs, batches, done, console) if console.is_terminal else Lines(epochs, console)


def _shown(values: Mapping[str, float]) -> str:
    return "  ".join(f"{name.replace('_', ' ')} {value:.4g}" for name, value in values.items())
