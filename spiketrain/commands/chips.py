"""``spiketrain chips``: the population of a config."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from spiketrain.commands.guard import guarded
from spiketrain.commands.options import ConfigOption, DebugOption, SetOption, required

__all__ = ["command"]


@guarded
def command(
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
    """Draw the population of chips of a config and describe it."""
    from rich.console import Console  # noqa: PLC0415 (a usage error needs no libraries)

    from mismatch.population import Population, draw  # noqa: PLC0415
    from spiketrain import population as show  # noqa: PLC0415
    from spiketrain.config import load_experiment  # noqa: PLC0415

    experiment = load_experiment(required(config), overrides or [])
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
