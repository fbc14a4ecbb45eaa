"""``spiketrain lava``: Lava's own environment."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from root.errors import SimulationError
from spiketrain.commands.guard import guarded
from spiketrain.commands.options import DebugOption

__all__ = ["app"]

app = typer.Typer(help="Lava's own environment, which the simulator 'lava' needs.", no_args_is_help=True)

FolderOption = Annotated[
    Path | None,
    typer.Option("--folder", metavar="DIR", help="Where it lies; by default in the user's cache."),
]


@app.command()
@guarded
def install(
    *,
    python: Annotated[
        str | None, typer.Option(metavar="PATH", help="Python 3.10, 3.11 or 3.12; by default this one.")
    ] = None,
    folder: FolderOption = None,
    debug: DebugOption = False,
) -> None:
    """Make the environment from pinned, checksummed packages, and try it."""
    from spiking.simulators.lava.environment import install as make  # noqa: PLC0415
    from spiking.simulators.lava.probe import try_out  # noqa: PLC0415

    environment = make(folder, python, lambda line: typer.echo(line, err=True))
    works, text = try_out(environment)
    if not works:
        raise SimulationError(f"Lava was installed, but does not work: {text}")
    typer.echo(f"Lava {text}")


@app.command()
@guarded
def where(*, folder: FolderOption = None, debug: DebugOption = False) -> None:
    """Say where the environment lies."""
    from spiking.simulators.lava.environment import find  # noqa: PLC0415

    typer.echo(str(find(folder).folder))
