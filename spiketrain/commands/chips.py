"""``spiketrain chips``: the population of a config, looked at or served to others."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Annotated

import typer

from root.errors import InputError
from spiketrain.commands.guard import FAILED, guarded
from spiketrain.commands.options import ConfigOption, DebugOption, SetOption, refuse_options, required

__all__ = ["app"]

app = typer.Typer(context_settings={"help_option_names": ["-h", "--help"]})

KeyOption = Annotated[
    str | None, typer.Option("--key", metavar="FILE", help="File with the key that TCP asks for.")
]


@app.callback(invoke_without_command=True)
@guarded
def command(
    context: typer.Context,
    *,
    config: ConfigOption = None,
    overrides: SetOption = None,
    figure: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Draw what was drawn, as SVG, PDF or PNG.")
    ] = None,
    curves: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Measure every neuron's f-I curve, and draw them.")
    ] = None,
    save: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Store the population, as safetensors.")
    ] = None,
    compare: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Compare with a stored population.")
    ] = None,
    debug: DebugOption = False,
) -> None:
    """Draw the population of chips of a config and describe it; or serve it, or check what is served."""
    if context.invoked_subcommand is not None:
        refuse_options(context)
        return
    from rich.console import Console  # noqa: PLC0415 (a usage error needs no libraries)

    from mismatch.population import Population, draw  # noqa: PLC0415
    from spiketrain import population as show  # noqa: PLC0415
    from spiketrain.config import load_experiment  # noqa: PLC0415

    experiment = load_experiment(required(config), overrides or [])
    if experiment.chips.elsewhere:
        raise InputError("mismatch.seed", None, "a seed: chips that are elsewhere cannot be drawn here")
    network, spec = experiment.build_network(), experiment.build_mismatch()
    drawn, console = draw(network, spec), Console()
    console.print(show.heading(spec), highlight=False)
    console.print(show.table(drawn.describe()))
    if compare is not None:
        console.print(show.differences(drawn.compare(Population.load(compare))))
    if figure is not None:
        show.write(show.histograms(drawn), figure)
    if curves is not None:
        show.write(show.curves(experiment), curves)
    if save is not None:
        drawn.save(save)


@app.command()
@guarded
def serve(
    *,
    at: Annotated[
        str | None, typer.Option(metavar="ADDRESS", help="ipc://PATH or tcp://127.0.0.1:PORT.")
    ] = None,
    config: ConfigOption = None,
    overrides: SetOption = None,
    key: KeyOption = None,
    keep: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Folder for what synapses hold, to go on from later.")
    ] = None,
    debug: DebugOption = False,
) -> None:
    """Serve the simulated chips of a config to runs with chips.at=ADDRESS, until interrupted."""
    if at is None:
        raise InputError("--at", None, "ipc://PATH or tcp://127.0.0.1:PORT")
    from chips.wire.links import read_key  # noqa: PLC0415
    from chips.wire.server import serve as answer  # noqa: PLC0415
    from spiketrain.config import load_experiment  # noqa: PLC0415
    from spiketrain.housing import served  # noqa: PLC0415

    experiment = load_experiment(required(config), overrides or [])
    secret = None if key is None else read_key(key, "--key")
    population = served(experiment)
    said = f"{population.chips} {population.card.name} at {at}"
    observe = None if experiment.chips.observe is None else frozenset(experiment.chips.observe)
    answer(
        population,
        at,
        key=secret,
        keep=keep,
        observe=observe,
        ready=lambda: typer.echo(f"{said}; Ctrl-C ends it"),
    )


@app.command()
@guarded
def check(
    address: Annotated[str, typer.Argument(metavar="ADDRESS", help="Where chips are served.")],
    *,
    key: KeyOption = None,
    debug: DebugOption = False,
) -> None:
    """Check whether chips at an address do what training expects of them; they are programmed meanwhile."""
    if checked(address, key, typer.echo):
        raise typer.Exit(FAILED)


def checked(address: str, key: str | None, say: Callable[[str], None]) -> int:
    """Say what comes of every check of chips at an address, and return how many found something wrong.

    Raises:
        InputError: no chips are served there.
    """
    from chips.conformance import examine  # noqa: PLC0415
    from spiketrain.housing import visited  # noqa: PLC0415

    chips = visited(address, key)
    able = ", ".join(sorted(chips.card.abilities))
    say(f"{chips.card.name}: {chips.chips} of {'-'.join(map(str, chips.card.sizes))}; {able}")
    wrong = 0
    for finding in examine(chips):
        wrong += bool(finding.wrong)
        mark = "NO " if finding.wrong else "ok " if finding.asked else "-- "
        text = finding.wrong or ("" if finding.asked else "not an ability of theirs")
        say(f"{mark} {finding.name:<20} {text}".rstrip())
    chips.close()
    return wrong


@app.command()
@guarded
def measured(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="Measured devices, as .npz, .csv or .npy.")],
    *,
    parameter: Annotated[
        str | None, typer.Option(metavar="NAME", help="What the array of a .npy file is, such as threshold.")
    ] = None,
    outliers: Annotated[
        float,
        typer.Option(metavar="K", help="Leave out what is farther from the median than K robust deviations."),
    ] = 6.0,
    figure: Annotated[Path | None, typer.Option(metavar="FILE", help="Draw histograms.")] = None,
    preset: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Write the nearest distributions as a preset (.yaml).")
    ] = None,
    source: Annotated[
        str | None, typer.Option(metavar="TEXT", help="Who measured it; a preset names its source.")
    ] = None,
    debug: DebugOption = False,
) -> None:
    """Show what a file of measured devices holds, what was left out, and which distribution is nearest."""
    from rich.console import Console  # noqa: PLC0415

    from mismatch.measurement import read_measurement  # noqa: PLC0415
    from spiketrain import measured as show  # noqa: PLC0415
    from spiketrain.population import write  # noqa: PLC0415

    if (preset is None) != (source is None):
        raise InputError("--source", source, "who measured it, beside --preset FILE")
    if not outliers > 0:
        raise InputError("--outliers", outliers, "a number > 0")
    known = read_measurement(file, parameter, outliers)
    found, console = show.fits(known), Console()
    console.print(show.table(known, found))
    for one, other, r in show.correlations(known):
        console.print(f"correlation of {one} and {other}: {r:.2f}", highlight=False)
    if figure is not None:
        write(show.figure(known, found), figure)
    if preset is not None and source is not None:
        show.preset(known, found, file, source, preset)
