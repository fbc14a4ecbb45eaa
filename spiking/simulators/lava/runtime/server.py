"""The loop of the runtime: a bundle in, a bundle out, the compiled network kept for the next one."""

from __future__ import annotations

import json
import os
import platform
import signal
import sys
import time
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

from . import bundle
from .compatibility import prepare
from .supervisor import Supervisor

__all__ = ["main"]


def main(token: str) -> int:
    """Answer requests until standard input ends.

    Requests and answers are lines of JSON. A request ``{"run": IN, "to": OUT, "limit_s": S}`` is
    answered with any number of ``{"progress": [done, steps]}`` and then ``{"done": OUT}``, or with
    ``{"error": MESSAGE}``, after which the runtime ends. Meanwhile ``{"alive": true}`` comes every second.
    Between requests an error may come too.
    """
    for number in (signal.SIGINT, signal.SIGTERM):
        # Sent to everything of a job, they are for the client to act upon: it ends this process in order.
        signal.signal(number, signal.SIG_IGN)
    channel = os.dup(1)
    os.dup2(2, 1)  # whatever else prints goes where it cannot be taken for an answer

    def tell(answer: dict[str, Any]) -> None:
        try:
            os.write(channel, json.dumps(answer).encode() + b"\n")
        except OSError:
            return  # the client is gone; the supervisor sees that too

    supervisor = Supervisor(token, tell)
    try:
        prepare(token)
        import lava  # noqa: PLC0415

        from .network import Networks, total_steps  # noqa: PLC0415 (imports Lava, patched just now)

        del lava
        networks = Networks(supervisor)
        supervisor.busy = False
        tell({"ready": {"python": platform.python_version(), "bundle": bundle.VERSION}})
        while True:
            request = json.loads(supervisor.requests.get())
            _serve(request, networks, total_steps, tell)
            supervisor.busy = False
            tell({"done": request["to"]})
    except Exception as error:
        supervisor.fail_unless_lost(_words(error))
    return 1


def _serve(request: dict[str, Any], networks: Any, length: Callable[[Any], int], tell: Any) -> None:
    started = time.perf_counter()
    header, arrays = bundle.read(Path(request["run"]))
    steps = length(header)
    results = networks.run(
        header, arrays, float(request["limit_s"]), lambda done: tell({"progress": [done, steps]})
    )
    bundle.write(Path(request["to"]), {"seconds": time.perf_counter() - started}, results)


def _words(error: BaseException) -> str:
    """Return what happened: one line where the user can act, else the traceback."""
    if isinstance(error, (bundle.BundleError, OSError)):
        return f"{type(error).__name__}: {error}"
    sys.stderr.flush()
    return "".join(traceback.format_exception(type(error), error, error.__traceback__)).strip()
