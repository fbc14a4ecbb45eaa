"""``spiketrain sweep``: many experiments, one table."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from rate_bridge.errors import InputError
from spiketrain.commands.guard import FAILED, guarded
from spiketrain.commands.options import ConfigOption, DataOption, DebugOption, SetOption, required

if TYPE_CHECKING:  # a usage error needs no libraries
    from spiketrain.studies.study import Study
    from spiketrain.studies.sweep import Swept

__all__ = [
    "ClusterOption",
    "OutputOption",
    "QuickOption",
    "QuietOption",
    "ResumeOption",
    "RetryOption",
    "SchedulerOption",
    "WorkersOption",
    "command",
    "conclude",
    "load",
]

OutputOption = Annotated[
    Path | None, typer.Option(metavar="DIR", help="Folder of the study; by default runs/NAME-TIME.")
]
ResumeOption = Annotated[bool, typer.Option("--resume", help="Go on with the study in --output.")]
RetryOption = Annotated[bool, typer.Option("--retry-failed", help="Compute cells that failed again.")]
QuickOption = Annotated[bool, typer.Option("--quick", help="The study's quick variant.")]
SchedulerOption = Annotated[
    str | None, typer.Option(metavar="ADDRESS", help="A running Dask scheduler, tcp://HOST:PORT.")
]
ClusterOption = Annotated[str, typer.Option(help="local, or slurm (through dask-jobqueue).")]
WorkersOption = Annotated[int | None, typer.Option(min=1, help="Worker processes; by default one per core.")]
QuietOption = Annotated[bool, typer.Option("--quiet", "-q", help="Print nothing but errors.")]


@guarded
def command(
    *,
    config: ConfigOption = None,
    overrides: SetOption = None,
    output: OutputOption = None,
    resume: ResumeOption = False,
    retry_failed: RetryOption = False,
    quick: QuickOption = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Plan and count the cells, no more.")] = False,
    scheduler: SchedulerOption = None,
    cluster: ClusterOption = "local",
    workers: WorkersOption = None,
    data_dir: DataOption = None,
    quiet: QuietOption = False,
    debug: DebugOption = False,
) -> None:
    """Train every cell of a study and write one tidy table."""
    study = load(config, overrides, output, quick=quick, resume=resume)
    if dry_run:
        from spiketrain.studies.plan import Plan  # noqa: PLC0415

        plan = Plan(study)
        typer.echo(f"{len(plan)} cells; varied: {', '.join(plan.columns) or 'nothing'}")
        for error in list(dict.fromkeys(map(str, plan.errors.values())))[:10]:
            typer.echo(f"impossible: {error}")
        return
    from spiketrain.studies.sweep import Options, default_folder, sweep  # noqa: PLC0415

    root = output or default_folder(study)
    options = Options(
        resume=resume,
        retry_failed=retry_failed,
        scheduler=scheduler,
        cluster=cluster,
        workers=workers,
        data_dir=data_dir,
        quiet=quiet,
    )
    swept = sweep(study, root, options)
    conclude(study, swept, quiet=quiet)


def load(
    config: str | None, overrides: list[str] | None, output: Path | None, *, quick: bool, resume: bool
) -> Study:
    """Return the study that a command is about: a config's, or the one that a folder was made for.

    Raises:
        InputError: there is none, or it is wrong.
    """
    if resume and output is None:
        raise InputError("--resume", "no --output", "--output DIR, the folder of the study to go on with")
    from spiketrain.studies.study import load_study, stored_study  # noqa: PLC0415 (a usage error needs none)

    if config is None and resume and output is not None:
        if overrides or quick:
            raise InputError(
                "--resume", overrides or "--quick", "nothing that changes the study it goes on with"
            )
        return stored_study(output)
    return load_study(required(config), overrides or [], quick=quick)


def conclude(study: Study, swept: Swept, *, quiet: bool) -> None:
    """Write the report, say where it is, and end with an error where cells failed."""
    from spiketrain.studies.report import write_report  # noqa: PLC0415 (matplotlib, at the end)

    page = write_report(study, swept.root, swept.table)
    if not quiet:
        typer.echo(f"table: {swept.root / 'table.csv'}")
        typer.echo(f"report: {page}")
    if swept.failed:
        typer.echo(f"spiketrain: {swept.failed} of {swept.cells} cells failed; cells.csv says why", err=True)
        raise typer.Exit(FAILED)
