"""What a runtime makes outside its own memory, under names that say whose it is, and how it is removed.

A name is ``spiketrain-HERE-OWNER-RANDOM``: OWNER is the process id of the client, and HERE stands for this
boot of this machine and its table of processes, within which that id means something. So whoever finds
something can tell whether its owner is gone, and leaves alone what containers and other machines have beside.
"""

from __future__ import annotations

import hashlib
import os
import platform
import secrets
import shutil
import tempfile
from contextlib import suppress
from functools import cache
from pathlib import Path

__all__ = ["new_token", "remove", "sweep"]

PREFIX = "spiketrain"

SHARED = Path("/dev/shm")
"""Where shared-memory segments, and semaphores for a moment, have names."""


@cache
def _here() -> str:
    found = [platform.node()]
    with suppress(OSError):
        found.append(Path("/proc/sys/kernel/random/boot_id").read_text().strip())
        found.append(os.readlink("/proc/self/ns/pid"))
    return hashlib.sha256(" ".join(found).encode()).hexdigest()[:8]


def new_token() -> str:
    """Return a name that nothing has yet, owned by this process."""
    return f"{PREFIX}-{_here()}-{os.getpid()}-{secrets.token_hex(6)}"


def remove(token: str, folder: Path | None = None) -> None:
    """Remove all shared memory with `token` in its name, and the folder."""
    for segment in SHARED.glob(f"*{token}*"):
        with suppress(OSError):
            segment.unlink()
    if folder is not None:
        shutil.rmtree(folder, ignore_errors=True)


def sweep() -> None:
    """Remove what is left of runtimes whose owners are gone: killed together with them, at once."""
    start = f"{PREFIX}-{_here()}-"
    for path in [*SHARED.glob(f"*{start}*"), *Path(tempfile.gettempdir()).glob(f"{start}*")]:
        owner = path.name.partition(start)[2].partition("-")[0]
        if owner.isdigit() and _gone(int(owner)):
            if path.is_dir():
                shutil.rmtree(path, ignore_errors=True)
            else:
                with suppress(OSError):
                    path.unlink()


def _gone(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return True
    except PermissionError:
        return False  # somebody else's
    return False
