"""The client: Lava's runtime as a child process that can always be ended.

The child has a process group of its own and a token that is in the names of its folder and of all its
shared-memory segments, so that whatever happens to it, everything it made can be found and removed from here.
It in turn notices at once when the client is gone, for whatever reason, and removes everything itself. Where
both were killed together, the next client on the machine removes it.
"""

from __future__ import annotations

import json
import logging
import os
import select
import signal
import subprocess
import tempfile
import time
import weakref
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import IO, Any

from numpy.typing import NDArray

from root.errors import SimulationError
from spiking.simulators.lava.environment import Environment
from spiking.simulators.lava.runtime import bundle
from spiking.simulators.lava.runtime.leftovers import new_token, remove, sweep

__all__ = ["Client"]

START_S = 120.0
"""Longest time for the child to import Lava."""

GRACE_S = 70.0
"""How much later than the runtime's own limit the client gives up: compiling comes on top."""

SILENT_S = 10.0
"""Longest time, unless the runtime's own limit is longer, in which it may not even say that it is alive."""

CLOSE_S = 5.0
"""Longest time for the child to end by itself."""

LOG_S = 10.0
"""How often a long run says how far it is."""

TAIL_LINES = 15

logger = logging.getLogger("spiketrain.lava")


class Client:
    """A runtime, started when it is first needed and ended with this object or this process.

    Args:
        environment: where Lava is installed.
        limit_s: longest time in which no process of the simulated network may finish a step.
        command: what to start instead of the runtime, in the environment's interpreter; it is given the
            token as its last argument.
    """

    def __init__(
        self,
        environment: Environment,
        limit_s: float = 60.0,
        command: Sequence[str] = ("-m", "runtime"),
    ) -> None:
        self.environment, self.limit_s, self.command = environment, limit_s, tuple(command)
        self.token, self.folder = "", Path()
        """Of the runtime started last: what its segments' names begin with, and where it works."""
        self._child: _Child | None = None

    def run(
        self,
        header: Mapping[str, Any],
        arrays: Mapping[str, NDArray[Any]],
        report: Callable[[int, int], None] | None = None,
    ) -> dict[str, NDArray[Any]]:
        """Run one bundle.

        Args:
            header: what the network is; see `runtime.network`.
            arrays: its numbers.
            report: told now and then how many of how many steps are done.

        Raises:
            SimulationError: the runtime failed, did not answer in time, or was lost since it ran last;
                nothing of it is left, and the next call starts another.
        """
        child = self._child
        if child is None:
            child = self._child = _Child(self.environment, self.command, self.limit_s)
            self.token, self.folder = child.token, child.folder
        try:
            return child.run(header, arrays, self.limit_s, report or _Log())
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """End the runtime."""
        if self._child is not None:
            self._child.end()
            self._child = None


class _Log:
    """Passes progress on to the log, where a run is long enough to be waited for."""

    def __init__(self) -> None:
        self.next = time.monotonic() + LOG_S

    def __call__(self, done: int, steps: int) -> None:
        if time.monotonic() > self.next:
            logger.info("Lava: step %d of %d", done, steps)
            self.next = time.monotonic() + LOG_S


class _Child:
    """The child process, its folder and its pipes."""

    def __init__(self, environment: Environment, command: Sequence[str], limit_s: float) -> None:
        sweep()
        self.silent_s = max(limit_s, SILENT_S)
        self.token = new_token()
        self.folder = Path(tempfile.gettempdir()) / self.token
        self.folder.mkdir(mode=0o700)
        self.errors: IO[bytes] = (self.folder / "stderr.txt").open("wb")
        self.process = subprocess.Popen(
            [str(environment.python), *command, self.token],
            cwd=self.folder,
            env=_variables(),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self.errors,
            start_new_session=True,
        )
        self.pending = b""
        self.end = weakref.finalize(
            self, _end, os.getpid(), self.process, self.folder, self.token, self.errors
        )
        try:
            self._answer("ready", START_S, lambda done, steps: None)
        except BaseException:
            self.end()
            raise

    @property
    def alive(self) -> bool:
        return self.process.poll() is None

    def run(
        self,
        header: Mapping[str, Any],
        arrays: Mapping[str, NDArray[Any]],
        limit_s: float,
        report: Callable[[int, int], None],
    ) -> dict[str, NDArray[Any]]:
        given, result = self.folder / "in.npz", self.folder / "out.npz"
        try:
            bundle.write(given, header, arrays)
        except OSError as error:
            if not self.alive:
                raise self._last_words() from None
            raise SimulationError(
                f"lava: the bundle could not be written to {self.folder}: {error}"
            ) from None
        self._ask({"run": given.name, "to": result.name, "limit_s": limit_s})
        self._answer("done", limit_s + GRACE_S, report)
        try:
            return bundle.read(result)[1]
        except bundle.BundleError as error:
            raise SimulationError(f"lava: the runtime's answer cannot be read: {error}") from None

    def _ask(self, request: Mapping[str, Any]) -> None:
        assert self.process.stdin is not None
        try:
            self.process.stdin.write(json.dumps(request).encode() + b"\n")
            self.process.stdin.flush()
        except OSError:
            raise self._last_words() from None

    def _answer(self, wanted: str, limit_s: float, report: Callable[[int, int], None]) -> Any:
        """Wait for the answer called `wanted`; progress makes the limit begin again."""
        deadline, before = time.monotonic() + limit_s, -1
        while True:
            answer = self._line(min(self.silent_s, deadline - time.monotonic()))
            if answer is None:
                late = time.monotonic() >= deadline
                what = f"gave no answer within {limit_s:g}" if late else f"stood still for {self.silent_s:g}"
                raise SimulationError(f"lava: the runtime (process {self.process.pid}) {what} s")
            if wanted in answer:
                return answer[wanted]
            if "error" in answer:
                raise SimulationError(f"lava: {answer['error']}")
            if "progress" in answer:
                done, steps = answer["progress"]
                report(done, steps)
                if done > before:
                    deadline, before = time.monotonic() + limit_s, done

    def _line(self, within_s: float) -> Any:
        """Return the runtime's next answer, or None if there is none in time."""
        assert self.process.stdout is not None
        end = time.monotonic() + within_s
        while b"\n" not in self.pending:
            # What is there is read however late it is: this process may have been stopped meanwhile.
            if not select.select([self.process.stdout], [], [], max(0.0, end - time.monotonic()))[0]:
                return None
            data = os.read(self.process.stdout.fileno(), 65536)
            if not data:
                raise self._death()
            self.pending += data
        line, self.pending = self.pending.split(b"\n", 1)
        return json.loads(line)

    def _last_words(self) -> SimulationError:
        """Return what the runtime said before it ended between two requests."""
        try:
            while (answer := self._line(CLOSE_S)) is not None:
                if "error" in answer:
                    return SimulationError(f"lava: {answer['error']}")
        except SimulationError as death:
            return death
        return self._death()

    def _death(self) -> SimulationError:
        try:
            code = self.process.wait(CLOSE_S)
        except subprocess.TimeoutExpired:
            code = None
        try:
            lines = (self.folder / "stderr.txt").read_text(errors="replace").splitlines()[-TAIL_LINES:]
        except OSError:
            lines = []
        how = (
            f"by signal {signal.Signals(-code).name}"
            if code is not None and code < 0
            else f"with code {code}"
        )
        said = "\n" + "\n".join(lines) if lines else ""
        return SimulationError(f"lava: the runtime ended {how}{said}")


def _variables() -> dict[str, str]:
    """Return the child's environment: its own packages only, and one thread for each process."""
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("PYTHON", "VIRTUAL_ENV"))}
    single = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")
    here = str(Path(__file__).parent)
    return {**kept, **single, "PYTHONPATH": here, "PYTHONNOUSERSITE": "1", "PYTHONDONTWRITEBYTECODE": "1"}


def _end(owner: int, process: subprocess.Popen[bytes], folder: Path, token: str, errors: IO[bytes]) -> None:
    """End the child and everything it started, remove its folder and its shared memory."""
    if os.getpid() != owner:
        return  # a fork of the client: the child is not its own
    errors.close()
    for pipe in (process.stdin, process.stdout):
        if pipe is not None:
            with suppress(OSError):
                pipe.close()
    with suppress(subprocess.TimeoutExpired):
        process.wait(CLOSE_S)
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    remove(token, folder)
