"""The exception tree of the whole project.

It lives in the lowest room so that every other room may raise from it::

    SpiketrainError
    ├── InputError (ValueError)            the user's input is wrong: exit code 2
    │   ├── UnsupportedError               what was asked for cannot be expressed there: exit code 2
    │   └── DamagedError                   a file of a run or a study is not what was written: exit code 2
    └── SimulationError (RuntimeError)     a simulator failed: exit code 1
"""

from __future__ import annotations

import difflib
import errno
from collections.abc import Iterable

__all__ = [
    "DamagedError",
    "InputError",
    "SimulationError",
    "SpiketrainError",
    "UnsupportedError",
    "disk_full",
    "nearest",
    "printable",
]

FULL = (errno.ENOSPC, errno.EDQUOT)


class SpiketrainError(Exception):
    """Base of every error this project raises on purpose."""


class InputError(SpiketrainError, ValueError):
    """The user's input is wrong.

    Args:
        key: the dotted name of the parameter, or the path of the file.
        given: what was found there.
        allowed: what is allowed, in words.
        fix: what to do about it, when that does not follow from ``allowed``.
    """

    def __init__(self, key: str, given: object, allowed: str, fix: str = "") -> None:
        self.key, self.given, self.allowed, self.fix = key, given, allowed, fix
        shown = repr(given)
        if len(shown) > 120:
            shown = shown[:117] + "..."
        message = f"{key}: got {shown}; allowed: {allowed}"
        super().__init__(printable(f"{message}. {fix}" if fix else message))


class UnsupportedError(InputError):
    """What was asked for is meaningful, but not for the chosen part (simulator, neuron, rule)."""


class DamagedError(InputError):
    """A file of a run or a study is not what was written there: damaged, or somebody else's."""


class SimulationError(SpiketrainError, RuntimeError):
    """A simulator failed; the message says which one, doing what, and what it printed."""


def nearest(name: str, known: Iterable[str]) -> str:
    """Return ``"did you mean 'x'?"`` for the known name closest to `name`, or an empty string."""
    match = difflib.get_close_matches(name[:100], list(known), n=1, cutoff=0.6)
    return f"did you mean {match[0]!r}?" if match else ""


def printable(text: str) -> str:
    """Return `text` on one line, with everything escaped that a terminal would act on."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode("ascii") for c in text)


def disk_full(error: BaseException | None) -> OSError | None:
    """Return what says that a disk is full: an error, or one that it came from; None if none does."""
    while error is not None:
        if isinstance(error, OSError) and error.errno in FULL:
            return error
        error = error.__cause__ or error.__context__
    return None
