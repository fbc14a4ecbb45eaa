"""What goes wrong in a command becomes one message and an exit code."""

from __future__ import annotations

import functools
import traceback
from collections.abc import Callable
from typing import Any

import typer

from rate_bridge.errors import InputError, SpiketrainError, printable

__all__ = ["FAILED", "INTERRUPTED", "WRONG_INPUT", "guarded"]

FAILED, WRONG_INPUT, INTERRUPTED = 1, 2, 130


def guarded(command: Callable[..., None]) -> Callable[..., None]:
    """Turn what goes wrong into one message on stderr and an exit code."""

    @functools.wraps(command)
    def run(*args: Any, debug: bool = False, **options: Any) -> None:
        try:
            command(*args, debug=debug, **options)
        except (typer.Exit, BrokenPipeError):
            raise
        except InputError as error:
            _fail(f"{error}", WRONG_INPUT, debug)
        except KeyboardInterrupt:
            _fail("interrupted; go on with --resume", INTERRUPTED, debug)
        except SpiketrainError as error:
            _fail(f"{error}", FAILED, debug)
        except MemoryError as error:
            fix = "limits.memory_gb bounds what a run may take; a smaller batch or network takes less"
            _fail(f"there is not enough memory ({str(error) or 'no more said'}). {fix}", FAILED, debug)
        except Exception as error:
            _fail(printable(f"{type(error).__name__}: {error} (--debug shows where)"), FAILED, debug)

    return run


def _fail(message: str, code: int, debug: bool) -> None:
    if debug:
        traceback.print_exc()
    typer.echo(f"spiketrain: {message}", err=True)
    raise typer.Exit(code)
