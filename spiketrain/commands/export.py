"""``spiketrain export``: the chips of a run as files that other programs read."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from root.errors import InputError
from spiketrain.commands.guard import guarded
from spiketrain.commands.options import DebugOption

__all__ = ["command"]

FORMATS = ("nir",)


@guarded
def command(
    run: Annotated[Path, typer.Argument(metavar="RUN", help="The folder of a finished run.")],
    *,
    form: Annotated[str, typer.Option("--format", help="nir.")] = "nir",
    effective: Annotated[
        bool,
        typer.Option("--effective", help="What the chips compute with, instead of what was programmed."),
    ] = False,
    reader: Annotated[
        str,
        typer.Option(
            "--for",
            metavar="READER",
            help="portable, norse, snntorch, spikingjelly, or exact: as NIR's equations have it.",
        ),
    ] = "portable",
    output: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Where to; by default RUN/export.")
    ] = None,
    debug: DebugOption = False,
) -> None:
    """Write every chip of a run as a NIR file: programmed weights and nominal neurons, or the truth."""
    if form not in FORMATS:
        raise InputError("--format", form, ", ".join(FORMATS))
    from spiketrain.export import export_nir  # noqa: PLC0415

    done = export_nir(run, output or run / "export", effective=effective, reader=reader)
    for path in done.paths:
        typer.echo(str(path))
    for note in done.lost:
        typer.echo(f"lost: {note}")
    for name, (how, *notes) in done.readers.items():
        typer.echo(f"{name}: {how}")
        for note in notes:
            typer.echo(f"  but {note}")
