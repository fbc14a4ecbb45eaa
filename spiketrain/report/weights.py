"""The figure of the programmed weights, before and after."""

from __future__ import annotations

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from numpy.typing import NDArray
from torch import Tensor

from spiketrain.report.drawing import Drawing, Omitted
from spiketrain.report.run_files import RunFiles
from spiketrain.report.style import CYCLE, INK, MUTED, blank, colour

__all__ = ["weights"]

BINS = 60


def weights(run: RunFiles) -> Drawing | Omitted:
    """Histograms of the programmed forward weights: initial, and final per chip."""
    title = "Programmed weights"
    known = [f"forward.{name}" for name in run.connections]
    names = [name for name in known if name in run.weights and run.weights[name].numel()]
    if not names:
        return Omitted(title, "No forward weights were stored.")
    figure, axes = blank(1, len(names), 3.2)
    data = pd.concat([_connection(ax, run, name) for ax, name in zip(axes[0], names, strict=True)])
    axes[0][0].set_ylabel("number of synapses")
    axes[0][-1].legend(loc="center left", bbox_to_anchor=(1.0, 0.5))
    spread = "; ".join(_spread(run, name) for name in names)
    return Drawing(
        "weights",
        title,
        f"Histograms of the forward weights, before and after training. Standard deviations: {spread}.",
        "What was written to the chips, not what they compute with; all chips start from the same program.",
        figure,
        data,
    )


def _connection(ax: Axes, run: RunFiles, name: str) -> pd.DataFrame:
    final, initial = run.weights[name], run.initial.get(name)
    edges = _edges(final if initial is None else [*final, initial[0]])
    few = len(run.chips) <= len(CYCLE)
    tables = []
    for chip, values in enumerate(final):
        label = run.called(chip) if few else ("each chip" if chip == 0 else "_")
        ink = colour(chip) if few else MUTED
        counts = _draw(ax, values, edges, color=ink, linewidth=1.2, label=label)
        tables.append(counts.assign(chip=chip, state="final"))
    if initial is not None:
        counts = _draw(ax, initial[0], edges, color=INK, linewidth=1.8, label="initial")
        tables.append(counts.assign(chip=0, state="initial"))
    ax.set_title(_called(name).replace("->", " → "))
    ax.set_xlabel("weight")
    ax.set_yscale("log")
    return pd.concat(tables).assign(connection=_called(name))


def _called(name: str) -> str:
    return name.removeprefix("forward.")


def _draw(
    ax: Axes, values: Tensor, edges: NDArray[np.float64], *, color: str, linewidth: float, label: str
) -> pd.DataFrame:
    counts, _ = np.histogram(values[values.isfinite()].numpy(), bins=edges)
    ax.stairs(counts, edges, color=color, linewidth=linewidth, label=label)
    return pd.DataFrame({"from": edges[:-1], "to": edges[1:], "synapses": counts})


def _edges(parts: Tensor | list[Tensor]) -> NDArray[np.float64]:
    values = np.concatenate([part[part.isfinite()].numpy().ravel() for part in parts])
    return np.histogram_bin_edges(values, bins=BINS)


def _spread(run: RunFiles, name: str) -> str:
    after = float(run.weights[name].std(correction=0))
    if name not in run.initial:
        return f"{_called(name)} {after:.3g} after training"
    before = float(run.initial[name].std(correction=0))
    return f"{_called(name)} {before:.3g} before, {after:.3g} after"
