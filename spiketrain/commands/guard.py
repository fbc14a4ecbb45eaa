"""What goes wrong in a command becomes one message and an exit code."""

from __future__ import annotations

import functools
import shlex
import signal
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, final

import typer

from root.errors import InputError, SpiketrainError, disk_full, printable

__all__ = ["FAILED", "INTERRUPTED", "TERMINATED", "WRONG_INPUT", "end_on_sigterm", "guarded", "resumable"]

FAILED, WRONG_INPUT, INTERRUPTED, TERMINATED = 1, 2, 130, 143

CONFIGS = ("config.yaml", "study.yaml", "collection.yaml")
"""A folder with one of these is that of a run, a study or several, and can be gone on with."""


@final
class Terminated(KeyboardInterrupt):
    """SIGTERM came; to everything that cleans up after Ctrl-C it is the same."""


def end_on_sigterm() -> None:
    """Let SIGTERM, which SLURM, systemd and ``timeout`` send, end a command in order, as Ctrl-C does."""

    def end(*_: object) -> None:
        # Some send it twice, to the process and to its group: the second must not end the cleaning up.
        signal.signal(signal.SIGTERM, lambda *_: None)
        raise Terminated

    signal.signal(signal.SIGTERM, end)


def guarded(command: Callable[..., None]) -> Callable[..., None]:
    """Turn what goes wrong into one message on stderr and an exit code."""

    @functools.wraps(command)
    def run(*args: Any, debug: bool = False, **options: Any) -> None:
        try:
            command(*args, debug=debug, **options)
        except (typer.Exit, BrokenPipeError):
            raise
        except InputError as error:
            _fail(error, f"{error}", WRONG_INPUT, debug)
        except Terminated as error:
            _fail(error, "terminated", TERMINATED, debug)
        except KeyboardInterrupt as error:
            _fail(error, "interrupted", INTERRUPTED, debug)
        except SpiketrainError as error:
            _fail(error, f"{error}", FAILED, debug)
        except MemoryError as error:
            fix = "limits.memory_gb bounds what a run may take; a smaller batch or network takes less"
            _fail(error, f"there is not enough memory ({str(error) or 'no more said'}). {fix}", FAILED, debug)
        except Exception as error:
            full = disk_full(error)
            words = f"the disk is full: {full.filename or 'a file'} could not be written" if full else None
            words = words or f"{type(error).__name__}: {error} (--debug shows where)"
            _fail(error, printable(words), FAILED, debug)

    return run


@contextmanager
def resumable(folder: Path) -> Iterator[None]:
    """Add to what ends the block early how to go on with what is in `folder` by then."""
    try:
        yield
    except InputError:
        raise
    except (KeyboardInterrupt, SpiketrainError, OSError) as error:
        full = disk_full(error)
        if full is not None and full.filename is None:
            full.filename = str(folder)
        if "--resume" not in str(error) and any((folder / name).is_file() for name in CONFIGS):
            error.add_note(f"go on with --resume --output {shlex.quote(str(folder))}")
        raise


def _fail(error: BaseException, message: str, code: int, debug: bool) -> None:
    if debug:
        traceback.print_exc()
    typer.echo(f"spiketrain: {'; '.join([message, *getattr(error, '__notes__', [])])}", err=True)
    raise typer.Exit(code)
