"""Populations of chips as tables and figures."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import torch
from matplotlib import style
from matplotlib.figure import Figure
from rich.table import Table

from mismatch.chip import ChipPopulation
from mismatch.population import Difference, Population, Summary
from mismatch.spec import MismatchSpec
from root.errors import InputError
from root.seeds import SeedTree
from spiketrain.config import Experiment
from spiketrain.curves import measure_curves
from spiketrain.report.style import RC, blank, colour

__all__ = ["curves", "differences", "heading", "histograms", "table", "write"]

COLUMNS = 3
SHOWN = 200
"""Curves that are drawn per layer: more are ink, not information."""


def heading(spec: MismatchSpec) -> str:
    """Return one line: which chips, and what kinds act on them beyond what is drawn."""
    numbers = f"{spec.numbers.start} to {spec.numbers.stop - 1}" if spec.chips > 1 else str(spec.first_chip)
    kinds = ", ".join(name for name, _ in spec.kinds) or "none"
    return f"chips {numbers} of seed {spec.seed}; other imperfections: {kinds}"


def table(rows: Sequence[Summary]) -> Table:
    """Return what was drawn, a line per quantity and layer."""
    made = Table(box=None)
    headings = ("quantity", "mean", "std", "smallest", "largest", "zero", "chips' std")
    for place, text in enumerate(headings):
        made.add_column(text, justify="right" if place else "left", no_wrap=True)
    for row in rows:
        numbers = (row.mean, row.std, row.low, row.high)
        made.add_row(row.name, *(f"{n:.4g}" for n in numbers), f"{row.zero:.1%}", f"{row.between:.3g}")
    return made


def differences(rows: Sequence[Difference]) -> Table:
    """Return how two populations differ, a line per quantity that does or varies."""
    made = Table(box=None)
    for place, text in enumerate(("quantity", "largest difference", "correlation")):
        made.add_column(text, justify="right" if place else "left")
    for row in rows:
        if row.largest > 0 or row.correlation == row.correlation:
            made.add_row(row.name, f"{row.largest:.4g}", f"{row.correlation:.3f}")
    return made


def histograms(drawn: Population) -> Figure:
    """Return the distribution of every quantity that varies, a line per chip (eight at most)."""
    rows = drawn.describe()
    if not rows:
        raise InputError(
            "--figure", "chips that are all the design itself", "a config in which something deviates"
        )
    lines = -(-len(rows) // COLUMNS)
    with style.context(RC):
        figure, axes = blank(lines, COLUMNS, 2.0 * lines)
        flat = [axis for line in axes for axis in line]
        for axis, row in zip(flat, rows, strict=False):
            value = drawn.values[row.name].double()
            edges = torch.linspace(row.low, row.high, 31, dtype=torch.float64)
            for chip, numbers in enumerate(value[:8].flatten(1)):
                counts = torch.histogram(numbers, edges).hist / numbers.numel()
                axis.stairs(counts.tolist(), edges.tolist(), color=colour(chip), lw=1.0)
            axis.set_title(row.name)
        for axis in flat[len(rows) :]:
            axis.set_visible(False)
    return figure


def curves(experiment: Experiment) -> Figure:
    """Return the f-I curves of chip 0 beside the design's, as they would be measured on a bench."""
    network = experiment.build_network()
    seeds = SeedTree(experiment.training.seed).child("chips")
    machine = experiment.build_simulator()
    measured = measure_curves(ChipPopulation(network, experiment.build_mismatch(), machine, seeds))
    with style.context(RC):
        figure, axes = blank(1, network.depth, 3.0, sharey=True)
        for axis, layer, curve in zip(axes[0], network.layers, measured, strict=True):
            for rate in curve.rates[0, :SHOWN]:
                axis.plot(curve.currents, rate, color=colour(0), lw=0.5, alpha=0.4)
            nominal = layer.neuron.transfer(network.max_rate_hz, network.dt_ms)
            axis.plot(curve.currents, nominal.rate(curve.currents), color=colour(1), label="design")
            axis.set(xlabel="current", ylabel="rate / max_rate_hz")
            axis.legend()
    return figure


def write(figure: Figure, path: Path) -> None:
    """Write a figure in the format its file's ending says.

    Raises:
        InputError: matplotlib does not write such files, or not there.
    """
    try:
        figure.savefig(path)
    except (ValueError, OSError) as error:
        raise InputError(str(path), str(error), "a file ending in .svg, .pdf or .png") from None
