"""``spiketrain tune``: search every rule's settings with the same budget, on chips that are not reported."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import typer

from spiketrain.commands.studying import study_command

if TYPE_CHECKING:  # a usage error needs no libraries
    from spiketrain.studies.study import Study
    from spiketrain.studies.sweep import Options

__all__ = ["act", "command"]


def act(study: Study, root: Path, options: Options) -> None:
    """Search every rule's settings with the same budget, on chips that are not reported."""
    from spiketrain.studies.tune import tune  # noqa: PLC0415 (libraries)

    page, _ = tune(study, root, options)
    if not options.quiet:
        typer.echo(f"chosen: {page.parent / 'chosen'}")
        typer.echo(f"settings, for a study's key tuned: {page.parent / 'settings.yaml'}")
        typer.echo(f"report: {page}")


command = study_command(act, without=("retry_failed",), viewed=lambda study: study.searched())
