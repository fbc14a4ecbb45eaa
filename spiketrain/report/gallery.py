"""Single figures of a run by name, for those who do not want the whole page."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from rate_bridge.errors import InputError
from spiketrain.record.samples import Samples
from spiketrain.record.store import Store
from spiketrain.report import activity, curves, dynamics
from spiketrain.report.confusions import confusion
from spiketrain.report.drawing import Drawing, Omitted
from spiketrain.report.run_files import RunFiles
from spiketrain.report.style import drawn
from spiketrain.report.weights import weights

__all__ = ["FIGURES", "draw"]

FIGURES: dict[str, Callable[[RunFiles], Drawing | Omitted]] = {
    "learning": curves.learning,
    "free_output": dynamics.free_output,
    "portrait": dynamics.portrait,
    "free_error": dynamics.free_error,
    "confusion": confusion,
    "effort": curves.effort,
    "raster": activity.raster,
    "outputs": activity.outputs,
    "control": activity.control,
    "rates": activity.rate_histogram,
    "training_rates": curves.rates,
    "weights": weights,
    "measures": curves.measures,
}
"""What can be drawn, in the order of the page."""


def draw(place: Store | Path, name: str, samples: Samples | None = None) -> Drawing:
    """Return a figure.

    Args:
        place: the files of a finished run.
        name: one of `FIGURES`.
        samples: recordings to show instead of those that the run kept.

    Raises:
        InputError: there is no such figure, or it does not apply to this run.
    """
    if name not in FIGURES:
        raise InputError("what", name, ", ".join(FIGURES))
    run = RunFiles.load(place)
    with drawn():
        found = FIGURES[name](run if samples is None else replace(run, samples=samples))
    if isinstance(found, Omitted):
        raise InputError("what", name, "a figure that applies to this run", found.reason)
    return found
