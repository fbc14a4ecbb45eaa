"""``spiketrain import``: a network of another program as a config."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from root.errors import InputError, nearest
from spiketrain.commands.guard import guarded
from spiketrain.commands.options import DebugOption

__all__ = ["command"]

SOLVERS = ("exponential", "euler")
RESETS = ("value", "subtract", "subtract_late")


@guarded
def command(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="A NIR file, or lava-dl's .net.")],
    *,
    solver: Annotated[
        str | None,
        typer.Option(help="How its program solves: exponential, or euler (snnTorch, Norse, SpikingJelly)."),
    ] = None,
    reset: Annotated[
        str | None, typer.Option(help="What its spikes do: value, subtract or subtract_late (snnTorch).")
    ] = None,
    dt_ms: Annotated[float | None, typer.Option("--dt-ms", help="Its time step in ms; else a guess.")] = None,
    output: Annotated[
        Path | None, typer.Option(metavar="FILE", help="The config to write; by default beside the file.")
    ] = None,
    debug: DebugOption = False,
) -> None:
    """Say what a network of another program is, what cannot be kept of it, and write a config for it."""
    given: dict[str, Any] = {}
    for key, value, known in (("solver", solver, SOLVERS), ("reset", reset, RESETS)):
        if value is not None and value not in known:
            raise InputError(f"--{key}", value, ", ".join(known), nearest(value, known))
        if value is not None:
            given[key] = value
    from spiketrain.imported import import_nir  # noqa: PLC0415
    from spiking.nir import Reading  # noqa: PLC0415

    done = import_nir(file, output, reading=Reading(**given) if given else None, dt_ms=dt_ms)
    for line in done.found:
        typer.echo(f"found: {line}")
    for note in done.lost:
        typer.echo(f"lost or guessed: {note}")
    typer.echo(f"written: {done.path}")
    then = f"{done.needs}, then " if done.needs else ""
    typer.echo(f"{then}spiketrain --config {done.path}")
