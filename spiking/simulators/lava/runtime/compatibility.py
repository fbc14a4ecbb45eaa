"""Lava made to import and to die: one patch for Python 3.11 and later, and three for its processes.

Applied to the running interpreter only; the installed packages stay as they are.
"""

from __future__ import annotations

import ctypes
import dataclasses
import multiprocessing
import os
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing import shared_memory
from typing import Any

__all__ = ["die_with_parent", "mutable_defaults", "prepare"]

PR_SET_PDEATHSIG = 1


def prepare(token: str) -> None:
    """Import Lava, patched.

    Args:
        token: begins the name of every shared-memory segment, so that none can be left unfound.
    """
    _name_segments(token)
    with mutable_defaults():
        import lava.magma.compiler.var_model  # noqa: F401, PLC0415
    _children_die_with_parent()
    _models_beside_processes()


@contextmanager
def mutable_defaults() -> Iterator[None]:
    """Accept, while Lava is imported, a dataclass field whose default is a mutable instance.

    `lava.magma.compiler.var_model` has one; since Python 3.11 any unhashable default is refused.
    """
    if sys.version_info[:2] == (3, 10):
        yield
        return
    module: Any = dataclasses
    original = module._get_field

    def get_field(cls: Any, name: str, kind: Any, keyword_only: Any) -> Any:
        default = getattr(cls, name, dataclasses.MISSING)
        instance = not isinstance(default, (dataclasses.Field, list, dict, set))
        if default is not dataclasses.MISSING and instance and type(default).__hash__ is None:
            setattr(cls, name, dataclasses.field(default_factory=lambda: default))
        return original(cls, name, kind, keyword_only)

    module._get_field = get_field
    try:
        yield
    finally:
        module._get_field = original


def _name_segments(token: str) -> None:
    module: Any = shared_memory
    module._SHM_NAME_PREFIX = f"/{token}_"
    module._SHM_SAFE_NAME_LENGTH = len(token) + 14
    process: Any = multiprocessing.current_process()
    process._config["semprefix"] = f"/{token}"  # semaphores have a name for a moment, in the same folder
    process._config["tempdir"] = "."  # sockets lie in the runtime's own folder, and are removed with it


def die_with_parent(parent: int) -> None:
    """Ask the kernel to kill this process when its parent ends, whatever ends it."""
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:
        os._exit(1)  # it had ended before the kernel was asked


def _children_die_with_parent() -> None:
    from lava.magma.runtime.message_infrastructure import multiprocessing as lava  # noqa: PLC0415
    from lava.magma.runtime.message_infrastructure import shared_memory_manager  # noqa: PLC0415

    run = lava.SystemProcess.run

    def run_child(self: Any) -> None:
        die_with_parent(self._parent_pid)
        run(self)

    def start(self: Any) -> None:
        self._manager._shutdown_timeout = 3600.0  # not killed for being slow: the supervisor sees to that
        self._manager.start(initializer=die_with_parent, initargs=(os.getpid(),))

    lava.SystemProcess.run = run_child
    shared_memory_manager.SharedMemoryManager.start = start


def _models_beside_processes() -> None:
    """Look for process models only in the module of their process.

    Lava would execute every file in its folder, once for every process of a network.
    """
    from lava.magma.compiler.compiler_graphs import ProcGroupDiGraphs as Graphs  # noqa: PLC0415

    def find(proc: Any) -> Any:
        return Graphs._find_proc_models_in_module(proc, sys.modules[type(proc).__module__])

    Graphs._find_proc_models = staticmethod(find)
