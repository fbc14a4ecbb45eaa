"""Options that several commands have."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from root.errors import InputError

__all__ = [
    "ConfigOption",
    "DataOption",
    "DebugOption",
    "DeviceOption",
    "SetOption",
    "refuse_options",
    "required",
]

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
DeviceOption = Annotated[
    str | None,
    typer.Option(help="Where to compute: cpu, cuda, cuda:1; with the simulator that goes there."),
]
DebugOption = Annotated[bool, typer.Option("--debug", help="Show the traceback of a failure.")]


def required(config: str | None) -> str:
    """Return the config that was named.

    Raises:
        InputError: none was.
    """
    if not config:
        fix = "spiketrain configs lists the shipped ones"
        raise InputError(
            "--config", "nothing" if config is None else config, "a file or a shipped config", fix
        )
    return config


def refuse_options(context: typer.Context) -> None:
    """Refuse options before a command's name: they would do nothing."""
    for parameter in context.command.params:
        name = parameter.name or ""
        source = context.get_parameter_source(name)
        if source is not None and source.name == "COMMANDLINE" and name != "debug":
            command = f"{context.command_path} {context.invoked_subcommand}"
            raise InputError(
                parameter.opts[0],
                context.params[name],
                f"options after the command: {command} {parameter.opts[0]} ...",
            )
