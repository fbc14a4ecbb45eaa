"""``spiketrain tune``: search every rule's settings with the same budget, on chips that are not reported."""

from __future__ import annotations

import typer

from spiketrain.commands.guard import guarded
from spiketrain.commands.options import ConfigOption, DataOption, DebugOption, SetOption
from spiketrain.commands.sweep import (
    ClusterOption,
    OutputOption,
    QuickOption,
    QuietOption,
    ResumeOption,
    SchedulerOption,
    WorkersOption,
    load,
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
    study = load(config, overrides, output, quick=quick, resume=resume)
    from spiketrain.studies.sweep import Options, default_folder  # noqa: PLC0415 (libraries)

    options = Options(
        resume=resume,
        scheduler=scheduler,
        cluster=cluster,
        workers=workers,
        data_dir=data_dir,
        quiet=quiet,
    )
    from spiketrain.studies.tune import tune  # noqa: PLC0415

    page, _ = tune(study, output or default_folder(study), options)
    if not quiet:
        typer.echo(f"chosen: {page.parent / 'chosen'}")
        typer.echo(f"report: {page}")
