"""Measured devices as tables, figures and presets."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from pathlib import Path

import numpy as np
from matplotlib import style
from matplotlib.figure import Figure
from numpy.typing import NDArray
from rich.table import Table

from mismatch.measurement.fitting import Fit, fit
from mismatch.measurement.reading import BROKEN, Measurement, Quantity
from root.errors import InputError
from spiketrain.record.files import write_bytes, yaml_bytes
from spiketrain.report.style import RC, blank, colour

__all__ = ["correlations", "figure", "fits", "preset", "table"]

COLUMNS = 3


def fits(known: Measurement) -> list[Fit]:
    """Return the nearest distribution to every quantity."""
    return [fit(quantity) for quantity in known.quantities]


def table(known: Measurement, found: Sequence[Fit]) -> Table:
    """Return what a file holds, a line per quantity: how many values, what was left out, what fits."""
    made = Table(box=None)
    headings = (
        "quantity",
        "dies",
        "values",
        "failed",
        "outliers",
        "mean",
        "cv",
        "nearest",
        "distance (noise)",
    )
    for place, text in enumerate(headings):
        made.add_column(text, justify="left" if place in (0, 7) else "right")
    for quantity, one in zip(known.quantities, found, strict=True):
        good = quantity.good
        numbers = (len(quantity.values), len(good), quantity.failed, quantity.outliers)
        spread = float(np.nanstd(quantity.factors))
        near = f"{one.distance:.3f} ({one.noise:.3f})"
        texts = (f"{good.mean():.4g}", f"{spread:.3g}", one.entry["distribution"], near)
        made.add_row(_called(quantity), *map(str, numbers), *texts)
    for name, maps in zip(BROKEN, (known.dead, known.unusable), strict=True):
        for layer, listed in maps.items():
            made.add_row(name if layer is None else f"{name}.{layer}", "", str(len(listed)))
    return made


def correlations(known: Measurement) -> list[tuple[str, str, float]]:
    """Return how quantities of the same neurons go together: two names and their correlation."""
    found = []
    columns = {_called(q): _row(q) for q in known.quantities if q.name != "weight"}
    names = list(columns)
    for place, one in enumerate(names):
        for other in names[place + 1 :]:
            a, b = columns[one], columns[other]
            both = np.isfinite(a) & np.isfinite(b) if a.shape == b.shape else np.zeros(1, bool)
            if both.sum() > 2 and a[both].std() > 0 < b[both].std():
                found.append((one, other, float(np.corrcoef(a[both], b[both])[0, 1])))
    return found


def figure(known: Measurement, found: Sequence[Fit]) -> Figure:
    """Return histograms of every quantity over its mean, a line per operating point or die (first eight)."""
    if not known.quantities:
        raise InputError("--figure", "a file of faults alone", "a file with measured values")
    lines = -(-len(known.quantities) // COLUMNS)
    with style.context(RC):
        drawing, axes = blank(lines, COLUMNS, 2.2 * lines)
        flat = [axis for line in axes for axis in line]
        for axis, quantity, one in zip(flat, known.quantities, found, strict=False):
            factors = quantity.factors
            rows = factors.reshape(-1, factors.shape[-1]).T if quantity.points is not None else factors
            edges = np.linspace(np.nanmin(factors), np.nanmax(factors), 31)
            for number, row in enumerate(list(rows)[:8]):
                good = row[np.isfinite(row)]
                counts = np.histogram(good, edges)[0] / max(len(good), 1)
                axis.stairs(counts, edges, color=colour(number), lw=1.0)
            left = quantity.failed + quantity.outliers
            axis.set_title(f"{_called(quantity)}: {one.entry['distribution']}, {left} left out")
            axis.set_xlabel("value / mean")
        for axis in flat[len(known.quantities) :]:
            axis.set_visible(False)
    return drawing


def preset(known: Measurement, found: Sequence[Fit], file: Path, source: str, path: Path) -> None:
    """Write a preset of the nearest distributions.

    Args:
        known: what was measured.
        found: what fits it.
        file: where it was read from.
        source: who measured it, in words.
        path: of the preset; ``mismatch.preset`` takes it where it ends in ``.yaml``.

    Raises:
        InputError: a quantity of single layers has more than one fit, or the file cannot be written.
    """
    if path.suffix != ".yaml":
        raise InputError("--preset", str(path), "a file that ends in .yaml")
    names = [quantity.name for quantity in known.quantities]
    if double := sorted({name for name in names if names.count(name) > 1}):
        fix = "A preset has one distribution for all layers; mismatch.measured takes the file as it is."
        raise InputError("--preset", f"{', '.join(double)} of several layers", "one of each", fix)
    entries = {name: one.entry for name, one in zip(names, found, strict=True)}
    lengths = ", ".join(
        f"{_called(q)}: {len(q.good)} values, {q.failed + q.outliers} left out" for q in known.quantities
    )
    checked = f"{file.name} (sha256 {known.sha256}), {date.today()}"
    ours = f"The nearest shipped distributions to {checked}. {lengths}."
    try:
        write_bytes(path, yaml_bytes({"source": source, "ours": ours, "mismatch": entries}))
    except OSError as error:
        raise InputError("--preset", str(path), "a file that can be written", str(error)) from None


def _called(quantity: Quantity) -> str:
    return quantity.name if quantity.layer is None else f"{quantity.name}.{quantity.layer}"


def _row(quantity: Quantity) -> NDArray[np.float64]:
    """Return one value per neuron: the mean over operating points."""
    values = quantity.values if quantity.points is None else np.nanmean(quantity.values, axis=-1)
    return np.asarray(values.reshape(-1))
