"""Figures over epochs: accuracy, error and control effort, rates, further measures."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from spiketrain.report.drawing import Drawing, Omitted
from spiketrain.report.run_files import RunFiles
from spiketrain.report.style import CYCLE, INK, MUTED, blank, colour

__all__ = ["alignment", "effort", "learning", "measures", "rates"]

IDEAL: dict[str, Any] = {"color": INK, "linestyle": (0, (4, 2)), "linewidth": 1.3}
"""How the line of the reference looks."""

_BOOKKEEPING = {"epoch", "chip", "seconds", "learning_rate", "output_error", "control_effort"}


def learning(run: RunFiles) -> Drawing | Omitted:
    """Accuracy against epochs, a line per chip."""
    title = "Learning curves"
    names = run.accuracies()
    if not names:
        return Omitted(title, "No accuracy was measured during training.")
    figure, axes = blank(1, len(names), 3.3, sharey=True)
    for ax, name in zip(axes[0], names, strict=True):
        _lines(ax, run, name, 100.0)
        _shade(ax, run, name)
        _ideal(ax, run, name)
        ax.set_title(_words(name))
    low, high = _accuracy_range(run, names)
    axes[0][0].set_ylim(low, high)
    axes[0][0].set_ylabel("accuracy (%)")
    _legend(axes[0][-1], run, reference=run.reference is not None)
    last = run.metrics[run.metrics["epoch"] == run.metrics["epoch"].max()]
    ends = "; ".join(f"{_words(n)} ends between {_range(last[n] * 100)} %" for n in names)
    return Drawing(
        "learning_curves",
        title,
        f"Accuracy of {len(run.chips)} chips against {run.metrics['epoch'].max()} epochs: {ends}.",
        f"One line per chip; the broad one is the mean over the chips{_shaded(run)}. {_compared(run)}"
        f"The axis begins at {low:.0f} %: what is below are the first epochs"
        + (f", {100 * run.chance:.0f} % is chance." if run.chance else "."),
        figure,
        run.metrics[["epoch", "chip", *names]],
    )


def effort(run: RunFiles) -> Drawing | Omitted:
    """Output error and control effort against epochs."""
    title = "Error and control effort"
    labels = {"output_error": "mean |error| (rate)", "control_effort": "control effort, rms u"}
    names = [name for name in labels if name in run.measured()]
    if not names:
        return Omitted(title, "Neither an output error nor a control signal was recorded.")
    figure, axes = blank(1, len(names), 3.0)
    for ax, name in zip(axes[0], names, strict=True):
        _lines(ax, run, name)
        ax.set_title(_words(name))
        ax.set_ylabel(labels[name])
        ax.set_ylim(bottom=0)
    _legend(axes[0][-1], run)
    missing = (
        "" if "control_effort" in names else " This rule uses no controller, so there is no control effort."
    )
    falls = "; ".join(f"{_words(name)} {_trend(run, name)}" for name in names)
    return Drawing(
        "effort",
        title,
        f"Means over the training batches of each epoch, per chip: {falls}.",
        f"What is left to learn, and how hard the controller pushes; 1 is the maximal rate.{missing}",
        figure,
        run.metrics[["epoch", "chip", *names]],
    )


def rates(run: RunFiles) -> Drawing | Omitted:
    """Mean rate per layer and phase against epochs, mean over the chips."""
    title = "Mean rates during training"
    columns = [name for name in run.measured() if name.startswith("rate_") and name.endswith("_hz")]
    if not columns:
        return Omitted(title, "No rates were recorded during training.")
    keys = [tuple(name.removeprefix("rate_").removesuffix("_hz").rsplit("_", 1)) for name in columns]
    phases = list(dict.fromkeys(phase for phase, _ in keys))
    figure, axes = blank(1, len(phases), 3.0, sharey=True)
    means = run.metrics.groupby("epoch")[columns].mean()
    for name, (phase, layer) in zip(columns, keys, strict=True):
        ax = axes[0][phases.index(phase)]
        _line(ax, means[name], color=colour(int(layer)), label=run.layers[int(layer)])
        ax.set_title(f"{phase} phase")
        _epochs(ax)
    axes[0][0].set_ylabel("mean rate (Hz)")
    axes[0][0].set_ylim(bottom=0)
    axes[0][-1].legend(loc="center left", bbox_to_anchor=(1.0, 0.5))
    last = ", ".join(
        f"{p} {run.layers[int(n)]} {means[c].iloc[-1]:.3g} Hz"
        for c, (p, n) in zip(columns, keys, strict=True)
    )
    return Drawing(
        "rates_over_training",
        title,
        f"Mean rate of each layer against epochs; at the end: {last}.",
        "Mean over the neurons, the samples of an epoch, and the chips.",
        figure,
        run.metrics[["epoch", "chip", *columns]],
    )


def measures(run: RunFiles) -> Drawing | Omitted:
    """Whatever else the rule recorded, against epochs."""
    title = "Further measures"
    known = _BOOKKEEPING | set(run.accuracies()) | set(_angles(run))
    names = [name for name in run.measured() if name not in known and not name.startswith("rate_")]
    if not names:
        return Omitted(title, "The rule recorded no further measures.")
    return Drawing(
        "measures",
        title,
        f"What the rule measured, against epochs, per chip: {_trends(run, names)}.",
        "Means over the training batches of each epoch; one line per chip, the broad one is their mean.",
        _panels(run, names),
        run.metrics[["epoch", "chip", *names]],
    )


def alignment(run: RunFiles) -> Drawing | Omitted:
    """Angles between what is used and what would be right, against epochs."""
    title = "Alignment"
    names = _angles(run)
    if not names:
        reason = "No angle was measured: analysis.measures does, for chains of rate neurons."
        return Omitted(title, reason)
    return Drawing(
        "alignment",
        title,
        f"Angles in degrees against epochs, per chip: {_trends(run, names)}.",
        "Degrees between what is used and what would be right: 0 is aligned, 90 (dotted) is chance. "
        "One line per chip, the broad one is their mean.",
        _panels(run, names, level=90.0),
        run.metrics[["epoch", "chip", *names]],
    )


def _angles(run: RunFiles) -> list[str]:
    """Return the columns of angles: those of `spiketrain.measures`, and what a rule calls degrees."""
    return [n for n in run.measured() if n.startswith(("angle_", "alignment")) or n.endswith("_degrees")]


def _trends(run: RunFiles, names: Sequence[str]) -> str:
    return "; ".join(f"{_words(name)} {_trend(run, name)}" for name in names)


def _panels(run: RunFiles, names: Sequence[str], *, level: float | None = None) -> Figure:
    """Draw columns of the metrics against epochs, a panel each; `level` is a line to compare with."""
    columns = min(3, len(names))
    rows = -(-len(names) // columns)
    figure, axes = blank(rows, columns, 0.4 + 2.5 * rows)
    places = [ax for row in axes for ax in row]
    for ax, name in zip(places, names, strict=False):
        _lines(ax, run, name)
        ax.set_title(_words(name))
        if level is not None:
            ax.axhline(level, color=MUTED, linestyle=":", linewidth=1.2)
    for ax in places[len(names) :]:
        ax.set_axis_off()
    _legend(axes[0][-1], run)
    return figure


def _accuracy_range(run: RunFiles, names: list[str]) -> tuple[float, float]:
    """Return an axis in percent on which chips are apart: that of all epochs but the first third."""
    last = int(run.metrics["epoch"].max())
    late = run.metrics[run.metrics["epoch"] >= -(-last // 3)][names].to_numpy(float) * 100.0
    finite = late[np.isfinite(late)]
    if finite.size == 0:
        return 0.0, 100.0
    low, high = float(finite.min()), float(finite.max())
    if run.reference is not None:
        high = max([high, *(100.0 * run.reference[n].iloc[-1] for n in names if n in run.reference)])
    margin = max(1.0, 0.08 * (high - low))
    return max(0.0, low - margin) if low >= 0.0 else low - margin, high + margin


def _lines(ax: Axes, run: RunFiles, name: str, scale: float = 1.0) -> None:
    """Draw a line per chip and their mean; many chips share one colour."""
    few = len(run.chips) <= len(CYCLE)
    table = run.metrics.pivot_table(index="epoch", columns="chip", values=name, dropna=False) * scale
    for chip in run.chips:
        thin = {"linewidth": 1.0} if len(run.chips) > 1 else {}
        _line(ax, table[chip], color=colour(chip) if few else MUTED, alpha=1.0 if few else 0.5, **thin)
    if len(run.chips) > 1:
        _line(ax, table.mean(axis=1), **_mean_style(run))
    _epochs(ax)


def _shade(ax: Axes, run: RunFiles, name: str) -> None:
    """Shade what is between the mean and the chip that ends worst: what a bad chip costs."""
    if len(run.chips) == 1:
        return
    table = run.metrics.pivot_table(index="epoch", columns="chip", values=name, dropna=False) * 100.0
    mean, worst = table.mean(axis=1), table[run.worst]
    tint = colour(run.worst) if len(run.chips) <= len(CYCLE) else MUTED
    ax.fill_between(table.index, worst, mean, color=tint, alpha=0.12, linewidth=0)


def _shaded(run: RunFiles) -> str:
    if len(run.chips) == 1:
        return ""
    return f", shaded down to {run.called(run.worst)}, the worst at the end"


def _ideal(ax: Axes, run: RunFiles, name: str) -> None:
    """Draw what the same network reaches without mismatch."""
    if run.reference is not None and name in run.reference:
        _line(ax, run.reference.set_index("epoch")[name] * 100.0, **IDEAL)


def _compared(run: RunFiles) -> str:
    return "" if run.reference is None else "Dashed: the same network without mismatch. "


def _line(ax: Axes, values: pd.Series[float], **style: object) -> None:
    values = values.dropna()
    marker = "o" if len(values) < 3 else None
    ax.plot(values.index, values, marker=marker, markersize=4, **style)  # type: ignore[arg-type]


def _epochs(ax: Axes) -> None:
    ax.set_xlabel("epoch")
    ax.xaxis.set_major_locator(MaxNLocator(6, integer=True))


def _legend(ax: Axes, run: RunFiles, *, reference: bool = False) -> None:
    if len(run.chips) == 1 and not reference:
        return
    few = len(run.chips) <= len(CYCLE)
    chips = [(colour(c), 1.0, run.called(c)) for c in run.chips] if few else [(MUTED, 1.0, "each chip")]
    handles = [ax.plot([], [], color=c, linewidth=w, label=label)[0] for c, w, label in chips]
    if len(run.chips) > 1:
        handles += ax.plot([], [], label="mean", **_mean_style(run))
    if reference:
        handles += ax.plot([], [], label="no mismatch", **IDEAL)
    ax.legend(handles=handles, loc="center left", bbox_to_anchor=(1.0, 0.5))


def _mean_style(run: RunFiles) -> dict[str, Any]:
    """Return a broad band under a few lines, or a line on top of many."""
    few = len(run.chips) <= len(CYCLE)
    return (
        {"color": INK, "linewidth": 6.0, "alpha": 0.2, "zorder": 1}
        if few
        else {"color": INK, "linewidth": 2.2}
    )


def _range(values: Sequence[float] | pd.Series[float]) -> str:
    return f"{min(values):.1f} and {max(values):.1f}"


def _trend(run: RunFiles, name: str) -> str:
    means = run.metrics.groupby("epoch")[name].mean().dropna()
    return f"goes from {means.iloc[0]:.3g} to {means.iloc[-1]:.3g}"


def _words(name: str) -> str:
    return name.replace("_", " ")
