"""What a runtime that ended should not have left."""

import os
from pathlib import Path


def traces_of(token: str) -> list[str]:
    """Return what is left of a runtime: processes that know its token, segments, its folder."""
    left = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit() and int(entry.name) != os.getpid():
            try:
                if token.encode() in (entry / "cmdline").read_bytes():
                    left.append(f"process {entry.name}")
            except OSError:
                continue
    return left + [str(path) for path in Path("/dev/shm").glob(f"*{token}*")]
