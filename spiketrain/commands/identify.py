"""``spiketrain identify``: follow how the controller comes to know the chips."""

from __future__ import annotations

import typer

from spiketrain.commands.guard import FAILED, guarded
from spiketrain.commands.options import ConfigOption, DataOption, DebugOption, SetOption
from spiketrain.commands.sweep import (
    ClusterOption,
    OutputOption,
    QuickOption,
    QuietOption,
    ResumeOption,
    RetryOption,
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
    retry_failed: RetryOption = False,
    quick: QuickOption = False,
    scheduler: SchedulerOption = None,
    cluster: ClusterOption = "local",
    workers: WorkersOption = None,
    data_dir: DataOption = None,
    quiet: QuietOption = False,
    debug: DebugOption = False,
) -> None:
    """Follow how the controller comes to know the chips."""
    study = load(config, overrides, output, quick=quick, resume=resume)
    from spiketrain.studies.sweep import Options, default_folder  # noqa: PLC0415 (libraries)

    options = Options(
        resume=resume,
        retry_failed=retry_failed,
        scheduler=scheduler,
        cluster=cluster,
        workers=workers,
        data_dir=data_dir,
        quiet=quiet,
    )
    from spiketrain.studies.identified import identify  # noqa: PLC0415

    page, failed = identify(study, output or default_folder(study), options)
    if not quiet:
        typer.echo(f"report: {page}")
    if failed:
        typer.echo(f"spiketrain: {failed} cells failed; the folder failed/ says why", err=True)
        raise typer.Exit(FAILED)
