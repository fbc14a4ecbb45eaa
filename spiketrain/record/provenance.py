"""Where numbers come from: versions of what computed them, and the commit of the source."""

from __future__ import annotations

import platform
import shlex
import subprocess
import sys
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

__all__ = ["provenance"]

PACKAGES = ("spiketrain", "torch", "numpy", "scipy", "scikit-learn", "brian2", "safetensors")
_SOURCE = Path(__file__).resolve()


def provenance() -> dict[str, Any]:
    """Return ``versions`` (of Python and the packages that matter), ``git``, ``date``, ``host``, ``command``.

    ``date`` is now, in UTC; ``command`` is how this process was called. ``git`` is the commit this code was
    checked out at, followed by ``-dirty`` where files were changed since; None for an installed package.
    """
    versions = {"python": platform.python_version(), "platform": platform.platform()}
    return {
        "versions": versions | {name: _version(name) for name in PACKAGES},
        "git": _commit(),
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "host": platform.node(),
        "command": shlex.join([Path(sys.argv[0]).name, *sys.argv[1:]]),
    }


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def _commit() -> str | None:
    # An installed copy may lie inside somebody else's repository: ask whether git tracks this very file.
    if _git("ls-files", "--error-unmatch", _SOURCE.name) is None:
        return None
    return _git("describe", "--always", "--dirty", "--abbrev=40", "--exclude=*")


def _git(*arguments: str) -> str | None:
    command = ["git", "-C", str(_SOURCE.parent), *arguments]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=10, check=True)
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.strip() or None
