"""Draw the README's picture from two run directories: python docs/figures/overview.py DFC_RUN READOUT_RUN.

Left: test accuracy of every chip, DFC against a read-out on random features. Right: one sample on one
chip, free and under control: output traces with their target, and the hidden layer's spikes.
"""

from __future__ import annotations

import sys
from pathlib import Path

import matplotlib as mpl
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd

from spiketrain.record.samples import Samples

BLUE, ORANGE, GREY = "#2a6f97", "#d1793b", "#8a8f98"


def curves(ax: plt.Axes, directory: Path, colour: str, label: str) -> None:
    """Draw one line per chip and the mean over them."""
    metrics = pd.read_csv(directory / "metrics.csv")
    table = metrics.pivot_table(index="epoch", columns="chip", values="test_accuracy") * 100
    ax.plot(table.index, table.values, color=colour, lw=0.8, alpha=0.6)
    ax.plot(table.index, table.mean(axis=1), color=colour, lw=2.2, label=label)


def sample(axes: list[plt.Axes], directory: Path, phase: str) -> None:
    """Draw the output traces and the hidden spikes of a phase."""
    samples = Samples.load(directory)
    assert samples is not None
    traces = samples.traces[phase]
    readout = traces["readout"][0].numpy()
    right = int(samples.target.argmax())
    time = np.arange(len(readout)) * samples.dt_ms
    for output in range(readout.shape[1]):
        is_right = output == right
        axes[0].plot(time, readout[:, output], color=ORANGE if is_right else GREY, lw=2 if is_right else 0.7)
    axes[0].axhline(float(samples.target[right]), color=ORANGE, ls=":", lw=1)
    axes[0].set_title({"free": "free", "controlled": "under control"}[phase], fontsize=10)
    steps, neurons = traces["spikes"][0].numpy().nonzero()
    axes[1].plot(steps * samples.dt_ms, neurons, "|", color=BLUE, ms=1.6, mew=0.6, rasterized=True)
    axes[1].set_xlabel("time (ms)")


def main() -> None:
    """Draw and save beside this file."""
    dfc, readout = (Path(name) for name in sys.argv[1:3])
    mpl.rcParams.update({"svg.hashsalt": "spiketrain", "font.size": 9, "savefig.dpi": 150})
    figure = plt.figure(figsize=(9, 3.2), layout="constrained")
    grid = figure.add_gridspec(2, 3, width_ratios=[1.3, 1, 1])
    left = figure.add_subplot(grid[:, 0])
    curves(left, dfc, BLUE, "Deep Feedback Control")
    curves(left, readout, GREY, "read-out only")
    left.set(xlabel="epoch", ylabel="test accuracy (%)", ylim=(60, 100))
    left.legend(frameon=False, loc="lower right")
    left.set_title("four chips, 20 % hidden mismatch", fontsize=10)
    for column, phase in enumerate(("free", "controlled"), start=1):
        axes = [figure.add_subplot(grid[row, column]) for row in range(2)]
        sample(axes, dfc, phase)
        axes[0].set_ylim(-0.05, 1.15)
        if column == 1:
            axes[0].set_ylabel("output trace")
            axes[1].set_ylabel("hidden neuron")
    for ax in figure.axes:
        ax.spines[["top", "right"]].set_visible(False)
    figure.savefig(Path(__file__).with_suffix(".svg"), metadata={"Date": None})


if __name__ == "__main__":
    main()
