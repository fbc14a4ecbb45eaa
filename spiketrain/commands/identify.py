"""``spiketrain identify``: follow how the controller comes to know the chips."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import typer

from spiketrain.commands.guard import FAILED
from spiketrain.commands.studying import study_command

if TYPE_CHECKING:  # a usage error needs no libraries
    from spiketrain.studies.study import Study
    from spiketrain.studies.sweep import Options

__all__ = ["act", "command"]


def act(study: Study, root: Path, options: Options) -> None:
    """Follow how the controller comes to know the chips."""
    from spiketrain.studies.identified import identify  # noqa: PLC0415 (libraries)

    page, failed = identify(study, root, options)
    if not options.quiet:
        typer.echo(f"report: {page}")
    if failed:
        typer.echo(f"spiketrain: {failed} cells failed; the folder failed/ says why", err=True)
        raise typer.Exit(FAILED)


command = study_command(act)
