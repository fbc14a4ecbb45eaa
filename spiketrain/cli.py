"""The command ``spiketrain``: parses, calls, prints.

Exit codes: 0 done; 1 the run failed; 2 the user's input is wrong; 130 interrupted; 143 terminated.
"""

from __future__ import annotations

import json
import sys
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Annotated, Any

import typer

from root.errors import InputError
from spiketrain.commands import (
    chips,
    compare,
    deploy,
    drift,
    export,
    figures,
    identify,
    importing,
    lava,
    sweep,
    tune,
)
from spiketrain.commands.guard import FAILED, end_on_sigterm, guarded, resumable
from spiketrain.commands.messages import show_messages
from spiketrain.commands.options import (
    ConfigOption,
    DataOption,
    DebugOption,
    DeviceOption,
    SetOption,
    refuse_options,
    required,
)

__all__ = ["app", "main"]

app = typer.Typer(
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _version(wanted: bool) -> None:
    if wanted:
        from importlib.metadata import version  # noqa: PLC0415

        typer.echo(f"spiketrain {version('spiketrain')}")
        raise typer.Exit


@app.callback(invoke_without_command=True)
@guarded
def train(
    context: typer.Context,
    *,
    config: ConfigOption = None,
    overrides: SetOption = None,
    output: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Folder of the run; by default runs/NAME-TIME.")
    ] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Go on with the run in --output.")] = False,
    data_dir: DataOption = None,
    device: DeviceOption = None,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Print nothing but errors.")] = False,
    debug: DebugOption = False,
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Show the version.")
    ] = False,
) -> None:
    """Train mismatched spiking and rate chips: spiketrain --config dfc_lif.yaml."""
    if context.invoked_subcommand is not None:
        refuse_options(context)
        return
    if resume and output is None:
        raise InputError("--resume", "no --output", "--output DIR, the folder of the run to go on with")
    if config is None and resume and output is not None:
        config = str(output / "config.yaml")
    named = required(config)
    with _moving(quiet=quiet):
        from spiketrain.config import load_experiment  # noqa: PLC0415 (a usage error needs no libraries)

        experiment = load_experiment(named, overrides or [], device)
        _check_folder(data_dir)
        from spiketrain.experiment import default_folder, run  # noqa: PLC0415

    show_messages(quiet=quiet)
    folder = output or default_folder(experiment)
    with resumable(folder):
        result = run(experiment, folder, resume=resume, data_dir=data_dir, quiet=quiet)
    if not quiet:
        from spiketrain.outcome import show  # noqa: PLC0415

        show(result.directory, result.summary)


def _moving(*, quiet: bool) -> AbstractContextManager[Any]:
    """Return what moves on a terminal while libraries are loaded."""
    from rich.console import Console  # noqa: PLC0415 (the help needs none)

    console = Console()
    return nullcontext() if quiet or not console.is_terminal else console.status("reading the config")


@app.command()
@guarded
def validate(
    name: Annotated[str | None, typer.Argument(metavar="[CONFIG]", help="The same as --config.")] = None,
    *,
    config: ConfigOption = None,
    overrides: SetOption = None,
    data_dir: DataOption = None,
    data: Annotated[bool, typer.Option("--data", help="Read the task's data too.")] = False,
    debug: DebugOption = False,
) -> None:
    """Check a config and print it with every default written out."""
    from spiketrain.config import dump_yaml, load_experiment  # noqa: PLC0415

    if name is not None and config is not None:
        raise InputError("--config", config, "one config", f"{name} was given too")
    experiment = load_experiment(required(config or name), overrides or [])
    _check_folder(data_dir)
    if data:
        experiment.load_data(data_dir)
    typer.echo(dump_yaml(experiment.resolved()), nl=False)


@app.command()
@guarded
def schema(debug: DebugOption = False) -> None:
    """Print the JSON schema of a config, with the keys of every installed part."""
    from spiketrain.config import json_schema  # noqa: PLC0415

    typer.echo(json.dumps(json_schema(), indent=2, ensure_ascii=False))


@app.command()
@guarded
def doctor(debug: DebugOption = False) -> None:
    """Say what is installed, which simulators work, and what to do where one does not."""
    from spiketrain.doctor import examine  # noqa: PLC0415

    findings = examine()
    width = max(len(finding.name) for finding in findings)
    for finding in findings:
        typer.echo(f"{'ok ' if finding.works else 'NO '} {finding.name:<{width}}  {finding.text}")


@app.command()
@guarded
def configs(debug: DebugOption = False) -> None:
    """List the configs that come with the package."""
    from spiketrain.config import shipped  # noqa: PLC0415

    known = shipped()
    width = max(len(name) for name in known)
    for name, path in known.items():
        first = path.read_text(encoding="utf-8").partition("\n")[0]
        typer.echo(
            f"{name:<{width}}  {first.removeprefix('#').strip() if first.startswith('#') else ''}".rstrip()
        )


def _check_folder(data_dir: Path | None) -> None:
    try:
        there = data_dir is None or data_dir.is_dir()
    except (OSError, ValueError):  # too long for a name, or no name at all
        there = False
    if not there:
        raise InputError("--data-dir", str(data_dir), "an existing folder")


app.command("sweep")(sweep.command)
app.command("tune")(tune.command)
app.command("compare")(compare.command)
app.command("identify")(identify.command)
app.command("drift")(drift.command)
app.command("deploy")(deploy.command)
app.command("export")(export.command)
app.command("figures")(figures.command)
app.add_typer(chips.app, name="chips")
app.command("import")(importing.command)
app.add_typer(lava.app, name="lava")


def main() -> None:
    """Run the command line; the console script."""
    end_on_sigterm()
    try:
        app()
    except BrokenPipeError:  # the reader of our output has had enough
        sys.stderr.close()
        sys.exit(FAILED)


if __name__ == "__main__":
    main()
