"""``spiketrain identify``: follow how the controller comes to know the chips."""

from __future__ import annotations

import typer

from spiketrain.commands.guard import FAILED, guarded
from spiketrain.commands.options import ConfigOption, DataOption, DebugOption, SetOption, required
from spiketrain.commands.sweep import (
    ClusterOption,
    OutputOption,
    QuickOption,
    QuietOption,
    ResumeOption,
    RetryOption,
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
    from spiketrain.studies.study import load_study  # noqa: PLC0415 (a usage error needs no libraries)

    study = load_study(required(config), overrides or [], quick=quick)
    if study.compare is not None:
        from spiketrain.studies.compare import expanded  # noqa: PLC0415

        study = expanded(study)
    root = folder_of(output, resume)
    from spiketrain.studies.sweep import Options, default_folder  # noqa: PLC0415

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

    page, failed = identify(study, root or default_folder(study), options)
    if not quiet:
        typer.echo(f"report: {page}")
    if failed:
        typer.echo(f"spiketrain: {failed} cells failed; the folder failed/ says why", err=True)
        raise typer.Exit(FAILED)
