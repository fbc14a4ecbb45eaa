"""Single figures of a run by name, for those who do not want the whole page."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import final

from root.errors import InputError
from spiketrain.record.samples import Samples
from spiketrain.record.store import Store
from spiketrain.report import activity, curves, dynamics
from spiketrain.report.confusions import confusion
from spiketrain.report.drawing import Drawing, Omitted
from spiketrain.report.moments import moments
from spiketrain.report.playback import playback
from spiketrain.report.run_files import RunFiles
from spiketrain.report.style import drawn
from spiketrain.report.weights import weights

__all__ = ["FIGURES", "KINDS", "Pictures", "draw", "write_pictures"]

FIGURES: dict[str, Callable[[RunFiles], Drawing | Omitted]] = {
    "learning": curves.learning,
    "free_output": dynamics.free_output,
    "portrait": dynamics.portrait,
    "free_error": dynamics.free_error,
    "confusion": confusion,
    "moments": moments,
    "playback": playback,
    "effort": curves.effort,
    "raster": activity.raster,
    "outputs": activity.outputs,
    "control": activity.control,
    "rates": activity.rate_histogram,
    "training_rates": curves.rates,
    "weights": weights,
    "alignment": curves.alignment,
    "measures": curves.measures,
}
"""What can be drawn, in the order of the page."""


KINDS = ("svg", "pdf")
"""What pictures are written as, in light and in dark; their numbers are a CSV beside them."""


@final
@dataclass(frozen=True)
class Pictures:
    """What was written for a paper or a talk.

    Args:
        paths: the files.
        omitted: figures that do not apply to the run, and why.
    """

    paths: Sequence[Path]
    omitted: Sequence[Omitted]


def write_pictures(
    place: Store | Path, folder: Path, names: Sequence[str] = (), samples: Samples | None = None
) -> Pictures:
    """Write figures for light and dark backgrounds, as SVG and PDF, with their data as CSV.

    Args:
        place: the files of a finished run.
        folder: where ``NAME.svg``, ``NAME-dark.svg``, ``NAME.pdf``, ``NAME-dark.pdf`` and ``NAME.csv`` go.
        names: some of `FIGURES`; none: all that apply to the run.
        samples: recordings to show instead of those that the run kept.

    Raises:
        InputError: there is no such figure, or one that was named does not apply to this run.
    """
    run = _run(place, samples)
    found: list[Drawing] = []
    omitted: list[Omitted] = []
    with drawn():
        for name in names or FIGURES:
            drawing = _figure(run, name) if names else FIGURES[name](run)
            if isinstance(drawing, Omitted):
                omitted.append(drawing)
            else:
                found.append(drawing)
    folder.mkdir(parents=True, exist_ok=True)
    paths = []
    for drawing in found:
        for kind in KINDS:
            paths.append(drawing.write(folder / f"{drawing.name}.{kind}"))
            paths.append(drawing.write(folder / f"{drawing.name}-dark.{kind}", dark=True))
        paths.append(drawing.write(folder / f"{drawing.name}.csv"))
    return Pictures(paths, omitted)


def draw(place: Store | Path, name: str, samples: Samples | None = None) -> Drawing:
    """Return a figure.

    Args:
        place: the files of a finished run.
        name: one of `FIGURES`.
        samples: recordings to show instead of those that the run kept.

    Raises:
        InputError: there is no such figure, or it does not apply to this run.
    """
    with drawn():
        return _figure(_run(place, samples), name)


def _run(place: Store | Path, samples: Samples | None) -> RunFiles:
    run = RunFiles.load(place)
    return run if samples is None else replace(run, samples=samples)


def _figure(run: RunFiles, name: str) -> Drawing:
    if name not in FIGURES:
        raise InputError("what", name, ", ".join(FIGURES))
    found = FIGURES[name](run)
    if isinstance(found, Omitted):
        raise InputError("what", name, "a figure that applies to this run", found.reason)
    return found
