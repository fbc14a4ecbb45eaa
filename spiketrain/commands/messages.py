"""What the rooms have to say while they work (``logging``, under ``spiketrain``), as lines on stderr."""

from __future__ import annotations

import logging
from typing import final

import typer

__all__ = ["show_messages"]


@final
class _Lines(logging.Handler):
    """Writes to whatever stderr is at the time: a progress bar puts itself in its place."""

    def emit(self, record: logging.LogRecord) -> None:
        typer.echo(record.getMessage(), err=True)


def show_messages(*, quiet: bool) -> None:
    """Show messages of level INFO and above, or WARNING and above where `quiet`."""
    logger = logging.getLogger("spiketrain")
    if not any(isinstance(handler, _Lines) for handler in logger.handlers):
        logger.addHandler(_Lines())
    logger.setLevel(logging.WARNING if quiet else logging.INFO)
