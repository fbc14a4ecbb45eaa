"""Which labels are taken for which, on the mean of the chips and on the worst one."""

from __future__ import annotations

import numpy as np
from matplotlib.axes import Axes
from numpy.typing import NDArray

from spiketrain.report.drawing import Drawing, Omitted
from spiketrain.report.run_files import RunFiles
from spiketrain.report.style import blank

__all__ = ["confusion"]

READABLE = 10
"""Up to so many classes the shares stand in the cells."""


def confusion(run: RunFiles) -> Drawing | Omitted:
    """Shares of the test samples of every label (rows) by the chips' answers (columns)."""
    title = "Answers by label"
    if run.confusion is None:
        return Omitted(title, "The run does not classify, or is of a version that kept no answers.")
    table = run.confusion
    classes = int(table["label"].max()) + 1
    counts = table.pivot_table(index=["chip", "label"], columns="predicted", values="samples").to_numpy()
    shares = _shares(counts.reshape(-1, classes, classes))
    shown = [("mean of the chips", np.nanmean(shares, axis=0))]
    if len(run.chips) > 1:
        shown.append((f"worst: {run.called(run.worst)}", shares[run.worst]))
    figure, axes = blank(1, len(shown), 3.9, sharey=True)
    for ax, (name, values) in zip(axes[0], shown, strict=True):
        _draw(ax, values)
        ax.set_title(name)
    axes[0][0].set_ylabel("label")
    right = np.diagonal(shown[0][1])
    hardest = int(np.nanargmin(right))
    off = np.where(np.eye(classes, dtype=bool), -1.0, np.nan_to_num(shown[0][1]))
    label, answer = np.unravel_index(int(off.argmax()), off.shape)
    return Drawing(
        "confusion",
        title,
        f"Test samples by label and answer. Label {hardest} is recognised least often "
        f"({100 * right[hardest]:.0f} %); the most frequent mistake is {answer} for {label} "
        f"({100 * off[label, answer]:.0f} %).",
        "Per cent of the test samples of a label (row) that got an answer (column), at the end of the run.",
        figure,
        table,
    )


def _shares(counts: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return counts as shares of their label; NaN for a label without samples."""
    totals = counts.sum(-1, keepdims=True)
    shares = np.full(counts.shape, np.nan)
    np.divide(counts, totals, out=shares, where=totals > 0)
    return shares


def _draw(ax: Axes, shares: NDArray[np.float64]) -> None:
    classes = len(shares)
    ax.grid(False)
    ax.imshow(np.nan_to_num(shares), cmap="Blues", vmin=0.0, vmax=1.0)
    ax.set_xlabel("answer")
    places = list(range(classes)) if classes <= READABLE else list(range(0, classes, -(-classes // 10)))
    ax.set_xticks(places)
    ax.set_yticks(places)
    if classes > READABLE:
        return
    for (label, answer), share in np.ndenumerate(shares):
        if np.isfinite(share) and round(100 * share) > 0:
            ink = "#fdfdfd" if share > 0.5 else "#222222"
            ax.text(answer, label, f"{100 * share:.0f}", ha="center", va="center", color=ink, fontsize=9)
