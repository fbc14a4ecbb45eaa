"""``spiketrain results build``: tables and figures of a text, from a study's folder."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from root.errors import InputError
from spiketrain.commands.guard import FAILED, guarded
from spiketrain.commands.options import DebugOption

__all__ = ["app"]

app = typer.Typer(no_args_is_help=True, help="Tables and figures of a text, from studies' folders.")


@app.callback()
def _group() -> None:
    """Tables and figures of a text, from studies' folders."""


@app.command("build")
@guarded
def build_command(
    folder: Annotated[Path, typer.Argument(help="The folder of a study.")],
    *,
    into: Annotated[
        Path | None, typer.Option(metavar="FILE", help="A Markdown file with a block of that name.")
    ] = None,
    name: Annotated[str | None, typer.Option(help="Name of the block; by default the study's.")] = None,
    check: Annotated[
        bool, typer.Option("--check", help="Write nothing; fail where the block in --into is another.")
    ] = False,
    debug: DebugOption = False,
) -> None:
    """Print a study's table as Markdown, or put it and its figures into a text."""
    if check and into is None:
        raise InputError("--check", "no --into", "--into FILE, the text that is looked at")
    from spiketrain.studies.results import build, put  # noqa: PLC0415 (libraries)
    from spiketrain.studies.study import stored_study  # noqa: PLC0415

    called = name or stored_study(folder).name
    built = build(folder, called)
    if into is None:
        typer.echo(built.text, nl=False)
        return
    changed = put(built, called, into, check=check)
    if check and changed:
        typer.echo(f"spiketrain: {into}: the block {called} is not what {folder} gives", err=True)
        raise typer.Exit(FAILED)
    typer.echo(f"{into}: {called} {'written' if changed and not check else 'as it was'}")
