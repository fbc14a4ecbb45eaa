"""The thread that never waits for Lava: it hears the client leave and sees processes die or stand still.

Lava itself waits for ever in most of these cases, in places that no other part of it can reach, or goes on
with what is left. So whatever goes wrong, at any time, ends the whole runtime, after one message and after
everything it made is removed.
"""

from __future__ import annotations

import os
import queue
import select
import signal
import threading
import time
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from numpy.typing import NDArray

from .crew import Crew, Loss
from .leftovers import remove

__all__ = ["Phase", "Supervisor"]

LOOK_S = 0.1
"""How often the processes are looked at."""

ALIVE_S = 1.0
"""How often the client is told that this process is not standing still."""

COMPILE_S = 60.0
"""Time that compiling a network may take at least; nothing is seen of it until its processes are made."""

FORK_S = 10.0
"""Time that making one of its processes may take at least."""

Phase = Literal["starting", "running", "resting", "stopping"]


@dataclass(frozen=True)
class _Watched:
    """What is being watched.

    Args:
        phase: what is being done.
        crew: the network's operating-system processes; their number may grow.
        names: the Lava processes' names, in the order of `progress`.
        progress: steps each has finished; -1 before it was made.
        limit_s: the longest time in which nothing may be seen to happen.
    """

    phase: Phase
    crew: Crew
    names: tuple[str, ...]
    progress: NDArray[Any]
    limit_s: float

    @property
    def signs(self) -> int:
        """A number that changes whenever something happened."""
        return self.crew.made + int(self.progress.sum())

    @property
    def patience_s(self) -> float:
        if self.phase == "starting":
            return max(self.limit_s, FORK_S if self.crew.begun else COMPILE_S)
        return self.limit_s

    def standstill(self) -> str:
        """Say what did not happen in time."""
        within = f"within {self.patience_s:g} s"
        if self.phase == "starting":
            late = [name for name, step in zip(self.names, self.progress, strict=True) if step < 0]
            return f"the network did not start {within} (waiting for: {', '.join(late) or 'Lava'})"
        if self.phase == "stopping":
            return f"the network did not stop {within} (a process that stands still)"
        last = int(self.progress.max())
        behind = [
            f"{name} at {step}" for name, step in zip(self.names, self.progress, strict=True) if step < last
        ]
        where = f"step {last}; behind: {', '.join(behind)}" if behind else f"step {last}, all of them"
        return f"no process finished a step {within} (deadlock or endless loop; {where})"


class Supervisor:
    """Watches over the runtime from a thread of its own.

    Args:
        token: is in the names of this runtime's shared-memory segments, and is its folder's.
        tell: sends an answer to the client.
    """

    def __init__(self, token: str, tell: Callable[[dict[str, Any]], None]) -> None:
        self.token, self.tell = token, tell
        self.requests: queue.Queue[bytes] = queue.Queue()
        self.busy = True
        """Whether the client waits for an answer."""
        self._watched: _Watched | None = None
        self._moved = (0.0, -1)
        self._told = time.monotonic()
        threading.Thread(target=self._loop, daemon=True).start()

    def watch(
        self, phase: Phase, crew: Crew, names: tuple[str, ...], progress: NDArray[Any], limit_s: float
    ) -> None:
        """Guard a network that is about to start, run, rest or stop; see `_Watched`."""
        self._moved = (time.monotonic(), -1)
        self._watched = _Watched(phase, crew, names, progress, limit_s)

    def relax(self) -> None:
        """There is no network any more, unless one of its processes did not end as it should."""
        self._report_loss()
        self._watched = None
        remove(self.token)

    def fail(self, message: str) -> None:
        """Tell the client, remove everything, and end this process."""
        self.tell({"error": message})
        self.end(1)

    def fail_unless_lost(self, message: str) -> None:
        """Fail for an error in the main thread, unless its cause, a lost process, is found meanwhile."""
        time.sleep(5 * LOOK_S)
        self.fail(message)

    def end(self, code: int) -> None:
        """End this process and all that it started."""
        own = os.getpid()
        for process in _group(os.getpgrp()):
            if process != own:
                _kill(process)
        folder = Path.cwd()
        remove(self.token, folder if folder.name == self.token else None)
        os._exit(code)

    def _loop(self) -> None:
        pending = b""
        while True:
            ready, _, _ = select.select([0], [], [], LOOK_S)
            if ready:
                # not sys.stdin: a lock of its would be held in every process that is forked now
                data = os.read(0, 65536)
                if not data:
                    self.end(0)
                *lines, pending = (pending + data).split(b"\n")
                for line in lines:
                    self.busy = True
                    self.requests.put(line)
            if self.busy and time.monotonic() - self._told > ALIVE_S:
                self.tell({"alive": True})
                self._told = time.monotonic()
            try:
                self._look()
            except Exception:
                self.fail(f"the supervisor failed\n{traceback.format_exc().strip()}")

    def _look(self) -> None:
        watched = self._watched
        if watched is None:
            return
        if _loss(watched) is not None:
            time.sleep(
                LOOK_S
            )  # what it said before it ended may still be under way, and the phase may change
            self._report_loss()
            return
        signs = watched.signs
        since, before = self._moved
        if signs != before:
            self._moved = (time.monotonic(), signs)
        elif watched.phase != "resting" and time.monotonic() - since > watched.patience_s:
            self.fail(watched.standstill())

    def _report_loss(self) -> None:
        watched = self._watched
        loss = _loss(watched)
        if loss is None or watched is None:
            return
        told = loss.actor.exception if loss.actor is not None else None
        if told:
            self.fail(f"a Lava process raised an exception\n{told[1].strip()}")
        self.fail(f"{loss.text}, while the network was {watched.phase}")


def _loss(watched: _Watched | None) -> Loss | None:
    return watched.crew.loss(stopping=watched.phase == "stopping") if watched is not None else None


def _group(group: int) -> list[int]:
    """Return the processes of a process group."""
    members = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                process = int(entry.name)
                if os.getpgid(process) == group:
                    members.append(process)
            except ProcessLookupError:
                continue
    return members


def _kill(process: int) -> None:
    try:
        os.kill(process, signal.SIGKILL)
    except ProcessLookupError:
        return
