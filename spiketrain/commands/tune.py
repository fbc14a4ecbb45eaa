"""``spiketrain tune``: search every rule's settings with the same budget, on chips that are not reported."""

from __future__ import annotations

import typer

from spiketrain.commands.guard import guarded
from spiketrain.commands.options import ConfigOption, DataOption, DebugOption, SetOption, required
from spiketrain.commands.sweep import (
    ClusterOption,
    OutputOption,
    QuickOption,
    QuietOption,
    ResumeOption,
    SchedulerOption,
    WorkersOption,
    folder_of,
)

__all__ = ["command"]


@guarded
def command(
    *,
    config: ConfigOption = None,
    overrides: SetOption = None,
    output: OutputOption = None,
    resume: ResumeOption = False,
    quick: QuickOption = False,
    scheduler: SchedulerOption = None,
    cluster: ClusterOption = "local",
    workers: WorkersOption = None,
    data_dir: DataOption = None,
    quiet: QuietOption = False,
    debug: DebugOption = False,
) -> None:
    """Search every rule's settings with the same budget, on chips that are not reported."""
    from spiketrain.studies.study import load_study  # noqa: PLC0415 (a usage error needs no libraries)

    study = load_study(required(config), overrides or [], quick=quick)
    root = folder_of(output, resume)
    from spiketrain.studies.sweep import Options, default_folder  # noqa: PLC0415

    options = Options(
        resume=resume,
        scheduler=scheduler,
        cluster=cluster,
        workers=workers,
        data_dir=data_dir,
        quiet=quiet,
    )
    from spiketrain.studies.tune import tune  # noqa: PLC0415

    page, _ = tune(study, root or default_folder(study), options)
    if not quiet:
        typer.echo(f"chosen: {page.parent / 'chosen'}")
        typer.echo(f"report: {page}")
