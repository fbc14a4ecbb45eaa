"""``spiketrain results``: tables and figures of a text, from a study's folder."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from root.errors import InputError
from spiketrain.commands.guard import FAILED, guarded
from spiketrain.commands.options import DebugOption

if TYPE_CHECKING:
    from spiketrain.studies.results import Built

__all__ = ["app"]

IntoOption = Annotated[
    Path | None, typer.Option(metavar="FILE", help="A Markdown file with a block of that name.")
]

CheckOption = Annotated[
    bool, typer.Option("--check", help="Write nothing; fail where the block in --into is another.")
]

app = typer.Typer(no_args_is_help=True, help="Tables and figures of a text, from studies' folders.")


@app.callback()
def _group() -> None:
    """Tables and figures of a text, from studies' folders."""


@app.command("build")
@guarded
def build_command(
    folder: Annotated[Path, typer.Argument(help="The folder of a study.")],
    *,
    into: IntoOption = None,
    name: Annotated[str | None, typer.Option(help="Name of the block; by default the study's.")] = None,
    check: CheckOption = False,
    debug: DebugOption = False,
) -> None:
    """Print a study's table as Markdown, or put it and its figures into a text."""
    _look(into, check=check)
    from spiketrain.studies.results import build  # noqa: PLC0415 (libraries)
    from spiketrain.studies.study import stored_study  # noqa: PLC0415

    called = name or stored_study(folder).name
    _shown(build(folder, called), called, into, check=check)


@app.command("join")
@guarded
def join_command(
    folders: Annotated[
        list[str],
        typer.Argument(metavar="LABEL=FOLDER...", help="Folders of studies, and what to call them."),
    ],
    *,
    name: Annotated[str, typer.Option(help="Name of the block and of the figure.")],
    keep: Annotated[
        list[str] | None, typer.Option(metavar="COLUMN=LEVEL", help="The one level of it that counts.")
    ] = None,
    into: IntoOption = None,
    check: CheckOption = False,
    debug: DebugOption = False,
) -> None:
    """One table over several studies that compare the same: a row per arm, a column per study."""
    _look(into, check=check)
    from spiketrain.studies.joined import join  # noqa: PLC0415 (libraries)

    called = {label: Path(folder) for label, folder in _pairs(folders, "folders", "digits=runs/budget")}
    built = join(called, name, dict(_pairs(keep or [], "--keep", "sigma=0.2")))
    _shown(built, name, into, check=check)


def _look(into: Path | None, *, check: bool) -> None:
    if check and into is None:
        raise InputError("--check", "no --into", "--into FILE, the text that is looked at")


def _pairs(given: Sequence[str], key: str, example: str) -> list[tuple[str, str]]:
    """Return what is on both sides of the equals signs.

    Raises:
        InputError: one has none, or a name is there twice.
    """
    pairs = [(left.strip(), right.strip()) for left, _, right in (text.partition("=") for text in given)]
    for text, (left, right) in zip(given, pairs, strict=True):
        if not left or not right:
            raise InputError(key, text, f"NAME=VALUE, such as {example}")
        if [name for name, _ in pairs].count(left) > 1:
            raise InputError(key, text, f"every name once; {left} is there twice")
    return pairs


def _shown(built: Built, called: str, into: Path | None, *, check: bool) -> None:
    """Print a block, put it into a text, or only look whether it is there."""
    from spiketrain.studies.results import put  # noqa: PLC0415 (libraries)

    if into is None:
        typer.echo(built.text, nl=False)
        return
    changed = put(built, called, into, check=check)
    if check and changed:
        typer.echo(f"spiketrain: {into}: the block {called} is not what the folder gives", err=True)
        raise typer.Exit(FAILED)
    typer.echo(f"{into}: {called} {'written' if changed and not check else 'as it was'}")
