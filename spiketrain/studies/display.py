"""How a study shows that it is alive: a bar and a table on a terminal, a line per cell in a file."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Mapping
from types import TracebackType
from typing import Any, Self, final

from rich.console import Console, Group
from rich.live import Live
from rich.markup import escape
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.table import Table

from spiketrain.studies.work import Outcome

__all__ = ["Display", "display"]

SHOWN = 10
"""Rows of the live table: the cells that came last."""


class Display(ABC):
    """Told what becomes of the cells, as a context manager."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    @abstractmethod
    def note(self, text: str) -> None:
        """Say something."""

    @abstractmethod
    def cell(self, columns: Mapping[str, Any], outcome: Outcome) -> None:
        """Say what became of a cell."""

    @abstractmethod
    def close(self) -> None:
        """Leave the terminal as it was."""


@final
class Silent(Display):
    """Says nothing."""

    def note(self, text: str) -> None:
        pass

    def cell(self, columns: Mapping[str, Any], outcome: Outcome) -> None:
        pass

    def close(self) -> None:
        pass


@final
class Lines(Display):
    """Prints one plain line per cell, at once."""

    def __init__(self, total: int, done: int, console: Console) -> None:
        self._total, self._done, self._console = total, done, console

    def note(self, text: str) -> None:
        self._console.print(text, markup=False, highlight=False, soft_wrap=True)

    def cell(self, columns: Mapping[str, Any], outcome: Outcome) -> None:
        self._done += 1
        said = "  ".join(f"{name}={value}" for name, value in columns.items())
        result = f"{outcome.accuracy:.4f}" if outcome.status == "finished" else f"FAILED {outcome.error}"
        self.note(f"{self._done}/{self._total}  {outcome.key}  {said}  {result}  {outcome.seconds:.1f} s")
        self._console.file.flush()

    def close(self) -> None:
        pass


@final
class Board(Display):
    """A bar over all cells, and a table of those that came last."""

    def __init__(self, total: int, done: int, console: Console) -> None:
        self._console, self._failed = console, 0
        self._last: deque[tuple[Mapping[str, Any], Outcome]] = deque(maxlen=SHOWN)
        self._bar = Progress(
            TextColumn("cells"),
            BarColumn(bar_width=None),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            TimeRemainingColumn(),
            TextColumn("{task.fields[failed]}", style="red"),
            console=console,
        )
        self._task = self._bar.add_task("cells", total=total, completed=done, failed="")
        self._live = Live(self._bar, console=console, refresh_per_second=4)
        self._live.start()

    def note(self, text: str) -> None:
        self._live.console.print(text, markup=False, highlight=False)

    def cell(self, columns: Mapping[str, Any], outcome: Outcome) -> None:
        self._last.append((columns, outcome))
        self._failed += outcome.status != "finished"
        self._bar.update(self._task, advance=1, failed=f"{self._failed} failed" if self._failed else "")
        self._live.update(Group(self._table(columns), self._bar))

    def _table(self, columns: Mapping[str, Any]) -> Table:
        table = Table(box=None)
        for name in (*columns, "test accuracy", "s"):
            table.add_column(escape(str(name)), justify="right" if name in ("test accuracy", "s") else "left")
        for values, outcome in self._last:
            good = outcome.status == "finished"
            result = f"{outcome.accuracy:.4f}" if good else f"[red]{escape(outcome.error[:60])}[/red]"
            shown = (escape(str(values.get(name, ""))) for name in columns)
            table.add_row(*shown, result, f"{outcome.seconds:.1f}")
        return table

    def close(self) -> None:
        self._live.stop()


def display(total: int, *, done: int = 0, quiet: bool = False, console: Console | None = None) -> Display:
    """Return what suits the place the output goes to.

    Args:
        total: cells in all.
        done: cells done before.
        quiet: show nothing.
        console: where to; standard output by default.
    """
    if quiet:
        return Silent()
    console = console or Console()
    return Board(total, done, console) if console.is_terminal else Lines(total, done, console)
