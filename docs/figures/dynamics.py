"""Draw the picture of learned dynamics, from a run of spiking/follow_oscillator.yaml: python dynamics.py RUN.

Left: error against training time, under control and free. Middle: the outputs of the worst chip, feedback
off, over those of the system. Right: phase portraits.
"""

from __future__ import annotations

import sys
from pathlib import Path

import matplotlib as mpl
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd

from spiketrain.record.free_runs import FreeRuns

BLUE, ORANGE, GREY = "#2a6f97", "#d1793b", "#8a8f98"

EPOCH_S = 200.0
"""Twenty samples of ten seconds."""


def errors(ax: plt.Axes, metrics: pd.DataFrame) -> None:
    """Draw both errors of every chip and their means, a point per epoch."""
    for name, colour, label in (
        ("free_error", ORANGE, "feedback off"),
        ("control_error", GREY, "under control"),
    ):
        table = metrics[metrics["epoch"] > 0].pivot_table(index="epoch", columns="chip", values=name)
        time = table.index * EPOCH_S
        ax.plot(time, table.values, color=colour, lw=0.8, alpha=0.6)
        ax.plot(time, table.mean(axis=1), color=colour, lw=2.2, label=label)
    ax.set(yscale="log", xlabel="training time (s)", ylabel="error / that of an output of 0")
    ax.legend(frameon=False)
    ax.set_title(f"{metrics['chip'].nunique()} chips, 20 % hidden mismatch", fontsize=10)


def main() -> None:
    """Draw and save beside this file."""
    directory = Path(sys.argv[1])
    runs, metrics = FreeRuns.load(directory), pd.read_csv(directory / "metrics.csv")
    assert runs is not None
    worst = int(runs.errors().argmax())
    mpl.rcParams.update({"svg.hashsalt": "spiketrain", "font.size": 9, "savefig.dpi": 150})
    figure = plt.figure(figsize=(9, 3.2), layout="constrained")
    grid = figure.add_gridspec(2, 3, width_ratios=[1.1, 1.6, 1])
    errors(figure.add_subplot(grid[:, 0]), metrics)
    shown = slice(runs.skipped, None, 4)  # every fourth step: more cannot be seen
    wanted, seen = runs.wanted[0, shown].numpy(), runs.outputs[worst, 0, shown].numpy()
    time = np.arange(len(wanted)) * 4 * runs.dt_ms / 1000.0
    first = None
    for output in range(2):
        ax = first = figure.add_subplot(grid[output, 1], sharex=first)
        ax.plot(time, wanted[:, output], color=GREY, lw=2.6, alpha=0.7, label="system")
        ax.plot(time, seen[:, output], color=BLUE, lw=1.0, label="worst chip, feedback off")
        ax.set_ylabel(f"output {output}")
        if output == 0:
            ax.legend(frameon=False, ncols=2, loc="lower left", bbox_to_anchor=(0, 1.0))
    ax.set_xlabel("time without feedback (s)")
    portrait = figure.add_subplot(grid[:, 2])
    portrait.plot(*wanted.T, color=GREY, lw=2.0, alpha=0.6)
    portrait.plot(*seen.T, color=BLUE, lw=0.7)
    portrait.set(xlabel="output 0", ylabel="output 1")
    portrait.set_title("phase portrait", fontsize=10)
    for axis in figure.axes:
        axis.spines[["top", "right"]].set_visible(False)
    figure.savefig(Path(__file__).with_suffix(".svg"), metadata={"Date": None})


if __name__ == "__main__":
    main()
