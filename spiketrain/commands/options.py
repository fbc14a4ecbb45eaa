"""Options that several commands have."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

__all__ = ["ConfigOption", "DataOption", "DebugOption", "SetOption"]

ConfigOption = Annotated[
    str | None,
    typer.Option("--config", "-c", metavar="FILE", help="A YAML file, or the name of a shipped config."),
]
SetOption = Annotated[
    list[str] | None,
    typer.Option("--set", "-s", metavar="KEY=VALUE", help="Override section.key=value; may be repeated."),
]
DataOption = Annotated[
    Path | None,
    typer.Option(metavar="DIR", envvar="SPIKETRAIN_DATA", help="Folder that data files are looked for in."),
]
DebugOption = Annotated[bool, typer.Option("--debug", help="Show the traceback of a failure.")]
