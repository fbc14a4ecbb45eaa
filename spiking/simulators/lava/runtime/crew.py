"""The operating-system processes of one Lava network: who they are, and which of them is lost."""

from __future__ import annotations

import os
from typing import Any, NamedTuple

__all__ = ["Crew", "Loss"]

SERVICE = "the service that synchronises them"

SERVER = "the server of Lava's shared memory"


class Loss(NamedTuple):
    """A process that ended though nobody told it to, or otherwise than told.

    Args:
        text: what was lost and how it ended.
        actor: the process, if it can have passed on an exception.
    """

    text: str
    actor: Any = None


class Crew:
    """The processes of the network that is compiled next: its models, their service, the memory server."""

    def __init__(self) -> None:
        from lava.magma.runtime.message_infrastructure.multiprocessing import (  # noqa: PLC0415 (patched Lava)
            MultiProcessing,
        )

        self._members: list[tuple[str, Any, Any]] = []
        self._infrastructure: Any = None
        self._server: Any = None
        original = MultiProcessing.__init__

        def begin(infrastructure: Any) -> None:
            original(infrastructure)
            self._follow(infrastructure)
            MultiProcessing.__init__ = original

        MultiProcessing.__init__ = begin

    def _follow(self, infrastructure: Any) -> None:
        build = infrastructure.build_actor

        def build_actor(target: Any, builder: Any, *rest: Any) -> Any:
            parameters = getattr(builder, "proc_params", None)
            name = SERVICE if parameters is None else parameters.get("name")
            actor = build(target, builder, *rest)
            self._members.append((name, actor._popen, actor))  # which knows its end when Lava has closed it
            return actor

        infrastructure.build_actor = build_actor
        self._infrastructure = infrastructure

    @property
    def begun(self) -> bool:
        """Whether the network is compiled, and its processes are being made."""
        return self._infrastructure is not None

    @property
    def made(self) -> int:
        """How many processes and pieces of shared memory there are: this grows while a network starts."""
        memory = self._infrastructure and self._infrastructure._smm
        return len(self._members) + (len(memory._shared_memory_handles) if memory else 0)

    def loss(self, *, stopping: bool) -> Loss | None:
        """Return a process that is lost, or None.

        Args:
            stopping: processes were told to end; only those that end otherwise are lost.
        """
        for name, process, actor in [*self._members, (SERVER, self._find_server(), None)]:
            how = _ending(process) if process is not None else None
            if how is not None and not (stopping and how == "exit code 0"):
                return Loss(f"a Lava process died ({how}): {name}", None if stopping else actor)
        return None

    def _find_server(self) -> Any:
        """Return the server's process once it is started, and as long as anything is asked about it."""
        memory = self._infrastructure and self._infrastructure._smm
        server = getattr(memory and memory._manager, "_process", None)
        self._server = self._server or getattr(server, "_popen", None)
        return self._server


def _ending(process: Any) -> str | None:
    """Return how a child ended, or None; it is not reaped: `multiprocessing` wants to do that itself."""
    try:
        found = os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT)
    except ChildProcessError:  # reaped already, when another process was started or when it was joined
        code = process.returncode
        return None if code is None else f"signal {-code}" if code < 0 else f"exit code {code}"
    if found is None:
        return None
    return f"exit code {found.si_status}" if found.si_code == os.CLD_EXITED else f"signal {found.si_status}"
