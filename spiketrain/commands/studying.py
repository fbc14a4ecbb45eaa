"""What the commands about studies have in common: their options, and what is done before and after."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from root.errors import InputError
from spiketrain.commands.guard import FAILED, guarded, resumable
from spiketrain.commands.options import (
    ConfigOption,
    DataOption,
    DebugOption,
    DeviceOption,
    SetOption,
    required,
)

if TYPE_CHECKING:  # a usage error needs no libraries
    from spiketrain.studies.collection import Collection
    from spiketrain.studies.study import Study
    from spiketrain.studies.sweep import Options

__all__ = ["study_command", "train_and_report"]

OutputOption = Annotated[
    Path | None, typer.Option(metavar="DIR", help="Folder of the study; by default runs/NAME-TIME.")
]
ResumeOption = Annotated[bool, typer.Option("--resume", help="Go on with the study in --output.")]
RetryOption = Annotated[bool, typer.Option("--retry-failed", help="Compute cells that failed again.")]
QuickOption = Annotated[bool, typer.Option("--quick", help="The study's quick variant.")]
DryOption = Annotated[bool, typer.Option("--dry-run", help="Plan and count the cells, no more.")]
SchedulerOption = Annotated[
    str | None, typer.Option(metavar="ADDRESS", help="A running Dask scheduler, tcp://HOST:PORT.")
]
ClusterOption = Annotated[str, typer.Option(help="local, or slurm (through dask-jobqueue).")]
WorkersOption = Annotated[
    int | None, typer.Option(min=1, help="Worker processes; by default one per core, or one per card.")
]
QuietOption = Annotated[bool, typer.Option("--quiet", "-q", help="Print nothing but errors.")]


def study_command(
    act: Callable[[Study, Path, Options], None],
    *,
    without: tuple[str, ...] = (),
    gather: Callable[[Collection, Path, Options], None] | None = None,
    viewed: Callable[[Study], Study] = lambda study: study,
) -> Callable[..., None]:
    """Return the command that does `act` with a study, its folder, and how to compute it.

    Args:
        act: what the command does; its docstring is the command's help.
        without: options that would do nothing in this command.
        gather: what it does with several studies under one name; None refuses them, as it does every config
            that is no study.
        viewed: the cells that it computes, as a study.
    """

    def command(
        *,
        config: ConfigOption = None,
        overrides: SetOption = None,
        output: OutputOption = None,
        resume: ResumeOption = False,
        retry_failed: RetryOption = False,
        quick: QuickOption = False,
        dry_run: DryOption = False,
        scheduler: SchedulerOption = None,
        cluster: ClusterOption = "local",
        workers: WorkersOption = None,
        device: DeviceOption = None,
        data_dir: DataOption = None,
        quiet: QuietOption = False,
        debug: DebugOption = False,
    ) -> None:
        asked = _asked(config, overrides, output, quick=quick, resume=resume, several=gather is not None)
        if device is not None:
            asked = asked.model_copy(update={"device": device})
        if dry_run:
            _count(asked, viewed)
            return
        from spiketrain.studies.collection import Collection  # noqa: PLC0415 (libraries)
        from spiketrain.studies.sweep import Options, default_folder  # noqa: PLC0415

        options = Options(resume, retry_failed, scheduler, cluster, workers, data_dir, quiet)
        root = output or default_folder(asked.name)
        with resumable(root):
            if not isinstance(asked, Collection):
                act(asked, root, options)
            elif gather is not None:
                gather(asked, root, options)

    command.__doc__ = act.__doc__
    signature = inspect.signature(command, eval_str=True)
    kept = [option for name, option in signature.parameters.items() if name not in without]
    found: Any = guarded(command)
    found.__signature__ = signature.replace(parameters=kept)
    return found  # type: ignore[no-any-return]


def train_and_report(study: Study, root: Path, options: Options) -> None:
    """Compute a study's cells, write its report, say where it is; end with an error where cells failed."""
    from spiketrain.studies.sweep import sweep  # noqa: PLC0415 (libraries)

    swept = sweep(study, root, options)
    from spiketrain.studies.report import write_report  # noqa: PLC0415 (matplotlib, at the end)

    page = write_report(study, swept.root, swept.table)
    if not options.quiet:
        typer.echo(f"table: {swept.root / 'table.csv'}")
        typer.echo(f"report: {page}")
    if swept.failed:
        typer.echo(f"spiketrain: {swept.failed} of {swept.cells} cells failed; cells.csv says why", err=True)
        raise typer.Exit(FAILED)


def _asked(
    config: str | None,
    overrides: list[str] | None,
    output: Path | None,
    *,
    quick: bool,
    resume: bool,
    several: bool,
) -> Study | Collection:
    """Return what a command is about: a config's study, or what a folder was made for; several, if it may be.

    Raises:
        InputError: there is none, or it is wrong.
    """
    if resume and output is None:
        raise InputError("--resume", "no --output", "--output DIR, the folder of the study to go on with")
    from spiketrain.studies.collection import load_collection, stored_collection  # noqa: PLC0415 (a usage
    from spiketrain.studies.study import load_study, stored_study  # noqa: PLC0415     error needs none)

    if config is None and resume and output is not None:
        if overrides or quick:
            raise InputError(
                "--resume", overrides or "--quick", "nothing that changes the study it goes on with"
            )
        return (stored_collection(output) if several else None) or stored_study(output)
    name, changes = required(config), overrides or []
    found = load_collection(name, changes, quick=quick) if several else None
    return found or load_study(name, changes, quick=quick)


def _count(asked: Study | Collection, viewed: Callable[[Study], Study]) -> None:
    from spiketrain.studies.collection import Collection  # noqa: PLC0415 (libraries)
    from spiketrain.studies.plan import Plan  # noqa: PLC0415

    total, several = 0, isinstance(asked, Collection)
    for label, study in asked.loaded() if isinstance(asked, Collection) else [("", asked)]:
        plan = Plan(study.searched() if several and study.is_search else viewed(study))
        total += len(plan)
        about = f"{label}: " if label else ""
        typer.echo(f"{about}{len(plan)} cells; varied: {', '.join(plan.columns) or 'nothing'}")
        for error in list(dict.fromkeys(map(str, plan.errors.values())))[:10]:
            typer.echo(f"{about}impossible: {error}")
    if isinstance(asked, Collection):
        typer.echo(f"{total} cells in {len(asked.studies)} studies")
