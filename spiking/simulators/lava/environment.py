"""Lava's own Python environment: made by one command, pinned by checksums, thrown away like a cache.

Lava is archived (its last release, 0.10.0, dates from August 2024) and needs an old NumPy, so it never
shares an environment with this project. Only wheels of the pinned versions are accepted, and nothing of
this project is copied: the runtime is read from where the project itself is installed.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from importlib import resources
from pathlib import Path

from filelock import FileLock

from root.caches import cache_folder
from root.errors import InputError, SimulationError

__all__ = ["PYTHONS", "Environment", "default_folder", "find", "install"]

PYTHONS = ((3, 10), (3, 11), (3, 12))
"""Python versions that Lava runs on; all but the first with the patches of `runtime.compatibility`."""

VARIABLE = "SPIKETRAIN_LAVA"
"""Environment variable that names the folder of the environment."""

MARK = "spiketrain-lava.txt"
"""File that is written last and says which requirements were installed."""

HINT = "Make it with: spiketrain lava install"


@dataclass(frozen=True)
class Environment:
    """An environment that holds Lava.

    Args:
        folder: where it lies.
    """

    folder: Path

    @property
    def python(self) -> Path:
        """The interpreter to start."""
        return self.folder / "bin" / "python"

    @property
    def complete(self) -> bool:
        """Whether the installation ran to its end, with today's requirements."""
        mark = self.folder / MARK
        return mark.is_file() and mark.read_text() == _fingerprint() and self.python.exists()


def _requirements() -> str:
    return resources.files(__package__).joinpath("requirements.txt").read_text()


def _fingerprint() -> str:
    return hashlib.sha256(_requirements().encode()).hexdigest()


def default_folder() -> Path:
    """Return the folder of the environment: ``$SPIKETRAIN_LAVA``, or one in the user's cache."""
    given = os.environ.get(VARIABLE)
    return Path(given).expanduser() if given else cache_folder(f"lava-{_fingerprint()[:12]}")


def find(folder: Path | None = None) -> Environment:
    """Return the environment in `folder`.

    Raises:
        InputError: there is none, or it is not complete.
    """
    environment = Environment(folder or default_folder())
    if not environment.complete:
        raise InputError("lava", str(environment.folder), "a folder with Lava's environment", HINT)
    return environment


def install(
    folder: Path | None = None,
    python: str | None = None,
    say: Callable[[str], None] = lambda line: None,
) -> Environment:
    """Make the environment, or return it if it is complete; a half-made one is never left behind.

    Args:
        folder: where; `default_folder` if None.
        python: the interpreter to build on; the running one if None.
        say: told what is being done.

    Raises:
        InputError: `python` is not one of `PYTHONS`, or `folder` holds something else.
        SimulationError: the packages could not be installed; the message carries pip's last words.
    """
    environment = Environment(folder or default_folder())
    environment.folder.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(environment.folder.with_name(environment.folder.name + ".lock")):
        if environment.complete:
            return environment
        _refuse_foreign(environment.folder)
        base = _interpreter(python)
        staging = Path(tempfile.mkdtemp(prefix=environment.folder.name + ".", dir=environment.folder.parent))
        try:
            _fill(staging, base, say)
            shutil.rmtree(environment.folder, ignore_errors=True)
            staging.rename(environment.folder)
        finally:
            shutil.rmtree(staging, ignore_errors=True)
    return environment


def _refuse_foreign(folder: Path) -> None:
    """A folder that is not an old environment of ours is not overwritten."""
    if folder.exists() and not (folder / MARK).is_file() and any(folder.iterdir()):
        raise InputError("lava.folder", str(folder), "a new folder, an empty one or an older environment")


def _interpreter(python: str | None) -> str:
    base = python or str(getattr(sys, "_base_executable", sys.executable))
    question = "import sys; print(*sys.version_info[:2])"
    try:
        answer = subprocess.run(
            [base, "-c", question], capture_output=True, text=True, timeout=60, check=True
        )
        major, minor = (int(part) for part in answer.stdout.split())
    except (OSError, ValueError, subprocess.SubprocessError):
        raise InputError("python", base, "an interpreter that starts") from None
    if (major, minor) not in PYTHONS:
        allowed = ", ".join(f"Python {a}.{b}" for a, b in PYTHONS)
        raise InputError("python", f"{base} (Python {major}.{minor})", allowed)
    return base


def _fill(folder: Path, base: str, say: Callable[[str], None]) -> None:
    say(f"making an environment with {base}")
    _run([base, "-m", "venv", str(folder)])
    (folder / "requirements.txt").write_text(_requirements())
    say("installing Lava and its pinned packages (about 80 MB)")
    pip = [str(folder / "bin" / "python"), "-m", "pip", "--disable-pip-version-check", "install"]
    only = ["--only-binary=:all:", "--no-deps", "--require-hashes", "--ignore-requires-python", "--quiet"]
    _run([*pip, *only, "-r", str(folder / "requirements.txt")])
    (folder / MARK).write_text(_fingerprint())


def _run(command: list[str]) -> None:
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)
    if done.returncode:
        tail = "\n".join(done.stdout.splitlines()[-8:])
        raise SimulationError(
            f"Lava's environment could not be made: {' '.join(command[:4])} ... said\n{tail}"
        )
