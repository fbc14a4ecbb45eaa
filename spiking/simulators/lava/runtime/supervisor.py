"""The thread that never waits for Lava: it hears the client leave and sees processes die or stand still.

Lava itself waits for ever in most of these cases, in places that no other part of it can reach. So
whatever goes wrong ends the whole runtime, after one message and after everything it made is removed.
"""

from __future__ import annotations

import os
import queue
import select
import shutil
import signal
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

__all__ = ["Supervisor"]

SCRATCH = "spiketrain-lava-"
"""How the names of the folders begin that a client makes for its runtime to work in."""

LOOK_S = 0.1
"""How often the processes are looked at."""


class Supervisor:
    """Watches over the runtime from a thread of its own.

    Args:
        token: begins the names of this runtime's shared-memory segments.
        tell: sends an answer to the client.
    """

    def __init__(self, token: str, tell: Callable[[dict[str, Any]], None]) -> None:
        self.token, self.tell = token, tell
        self.requests: queue.Queue[bytes] = queue.Queue()
        self._watched: tuple[list[Any], tuple[str, ...], NDArray[Any], float] | None = None
        self._moved = (0.0, -1)
        threading.Thread(target=self._loop, daemon=True).start()

    def watch(
        self, actors: list[Any], names: tuple[str, ...], progress: NDArray[Any], limit_s: float
    ) -> None:
        """Guard a network that is about to be made or to run.

        Args:
            actors: its operating-system processes; the list may grow.
            names: the Lava processes' names, in the order of `progress`.
            progress: steps each has finished.
            limit_s: the longest time in which none of them may finish a step.
        """
        self._moved = (time.monotonic(), -1)
        self._watched = (actors, names, progress, limit_s)

    def relax(self) -> None:
        """Expect nothing of the network: it is at rest, or being stopped by its own means."""
        self._watched = None

    def fail(self, message: str) -> None:
        """Tell the client, remove everything, and end this process."""
        self.tell({"error": message})
        self.end(1)

    def end(self, code: int) -> None:
        """End this process and all that it started."""
        own = os.getpid()
        for process in _group(os.getpgrp()):
            if process != own:
                _kill(process)
        folder = Path.cwd()
        if folder.name.startswith(SCRATCH):
            shutil.rmtree(folder, ignore_errors=True)
        for segment in Path("/dev/shm").glob(f"*{self.token}*"):
            segment.unlink(missing_ok=True)
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
                    self.requests.put(line)
            self._look()

    def _look(self) -> None:
        watched = self._watched
        if watched is None:
            return
        actors, names, progress, limit_s = watched
        for actor in list(actors):
            if _ended(actor.pid):
                self._report_death(actor)
        total = int(progress.sum())
        since, before = self._moved
        if total != before:
            self._moved = (time.monotonic(), total)
        elif time.monotonic() - since > limit_s:
            last = int(progress.max())
            behind = [f"{name} at {step}" for name, step in zip(names, progress, strict=True) if step < last]
            where = f"step {last}; behind: {', '.join(behind)}" if behind else f"step {last}, all of them"
            self.fail(f"no process finished a step within {limit_s:g} s (deadlock or endless loop; {where})")

    def _report_death(self, actor: Any) -> None:
        time.sleep(LOOK_S)  # what it said before it ended may still be under way
        told = actor.exception
        if self._watched is None:
            return
        if told:
            self.fail(f"a Lava process raised an exception\n{told[1].strip()}")
        code = actor.exitcode
        how = f"signal {-code}" if code is not None and code < 0 else f"exit code {code}"
        self.fail(f"a Lava process died ({how})")


def _ended(process: int) -> bool:
    """Whether a child has ended; it is not reaped here, as `multiprocessing` wants to do that itself."""
    try:
        return os.waitid(os.P_PID, process, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None
    except ChildProcessError:
        return True  # reaped already, when another process was started


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
