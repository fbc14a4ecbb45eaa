"""Figures of networks that run a dynamical system: error, free runs over the system's, phase portrait."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from spiketrain.record.free_runs import FreeRuns
from spiketrain.report.drawing import Drawing, Omitted
from spiketrain.report.playing import Playing
from spiketrain.report.run_files import RunFiles
from spiketrain.report.style import CYCLE, INK, MUTED, blank, colour

__all__ = ["free_error", "free_output", "portrait"]

NO_SYSTEM = "The run's task is no dynamical system."

SHOWN_MS = 4000.0
"""Longest stretch that is drawn over time."""

POINTS = 400
"""Of a path in a phase portrait: a page with more of them is large, and looks the same."""


def free_error(run: RunFiles) -> Drawing | Omitted:
    """Error without control, and under control, against epochs."""
    title = "Error without control"
    if "free_error" not in run.measured():
        return Omitted(title, NO_SYSTEM)
    names = {"free_error": "without control", "control_error": "under control, in training"}
    kept = [name for name in names if name in run.measured()]
    figure, axes = blank(1, len(kept), 3.3, sharey=True)
    few = len(run.chips) <= len(CYCLE)
    for ax, name in zip(axes[0], kept, strict=True):
        table = run.metrics.pivot_table(index="epoch", columns="chip", values=name)
        for chip in run.chips:
            ax.plot(table.index, table[chip], color=colour(chip) if few else MUTED, lw=1.0, alpha=0.8)
        ax.plot(table.index, table.mean(axis=1), color=INK, lw=2.2, label="mean")
        ax.set(yscale="log", xlabel="epoch", title=names[name])
    axes[0][0].set_ylabel("mean square error / that of the system")
    axes[0][-1].legend()
    last = run.metrics[run.metrics["epoch"] == run.metrics["epoch"].max()]["free_error"]
    said = (
        f"{last.mean():.4f} in the mean of {len(run.chips)} chips at the end, {last.max():.4f} on the worst"
    )
    return Drawing(
        "free_error",
        title,
        f"Error of the output without control against epochs: {said}.",
        "One line per chip. Without control the network runs by itself; an output of 0 has an error of 1.",
        figure,
        run.metrics[["epoch", "chip", *kept]],
    )


def free_output(run: RunFiles) -> Drawing | Omitted:
    """Outputs of the worst chip without control over what the system does."""
    title = "A free run over the system"
    if run.free is None:
        return Omitted(title, NO_SYSTEM)
    runs, steps = run.free, _steps(run.free)
    time = np.arange(steps) * runs.dt_ms / 1000.0
    outputs = runs.outputs.shape[-1]
    figure, axes = blank(outputs, 1, 0.8 + 1.4 * outputs, sharex=True)
    wanted, seen = runs.wanted[0, :steps].numpy(), runs.outputs[run.worst, 0, :steps].numpy()
    for k in range(outputs):
        ax = axes[k][0]
        ax.plot(time, wanted[:, k], color=MUTED, lw=3.0, alpha=0.6, label="system")
        ax.plot(time, seen[:, k], color=colour(k), lw=1.2, label="chip, feedback off")
        ax.set_ylabel(f"output {k}")
        ax.set_xlim(0.0, float(time[-1]))
    axes[0][0].legend(loc="center left", bbox_to_anchor=(1.0, 0.5))
    axes[-1][0].set_xlabel("time without control (s)")
    error = float(runs.errors()[run.worst])
    columns = {f"system_{k}": wanted[:, k] for k in range(outputs)}
    columns |= {f"chip_{k}": seen[:, k] for k in range(outputs)}
    return Drawing(
        "free_output",
        title,
        f"Outputs of chip {run.worst}, the worst, over {time[-1]:.3g} s without control; error {error:.4f}.",
        f"Chip {run.worst}, the first test sample; the controller is off all the time.",
        figure,
        pd.DataFrame({"time_s": time, **columns}),
        Playing([row[0] for row in axes]),
    )


def portrait(run: RunFiles) -> Drawing | Omitted:
    """The system's and a chip's paths through the first and the last state."""
    title = "Phase portrait"
    if run.free is None:
        return Omitted(title, NO_SYSTEM)
    runs, last = run.free, run.free.outputs.shape[-1] - 1
    paths = {
        "system": runs.wanted[:, runs.skipped :],
        f"chip {run.worst}, feedback off": runs.outputs[run.worst][:, runs.skipped :],
    }
    figure, axes = blank(1, 2, 3.6, sharex=True, sharey=True)
    tables = []
    for ax, (name, path) in zip(axes[0], paths.items(), strict=True):
        for number, one in enumerate(path.numpy()):
            drawn = one[:: max(1, len(one) // POINTS)]
            ax.plot(drawn[:, 0], drawn[:, last], color=colour(number), lw=0.9)
            table = pd.DataFrame({"who": name, "sample": number, "x": one[:, 0], "y": one[:, last]})
            tables.append(table)
        ax.set(title=name, xlabel="output 0")
    axes[0][0].set_ylabel(f"output {last}")
    _limit(axes[0], runs)
    return Drawing(
        "phase_portrait",
        title,
        f"Paths of the system and of chip {run.worst}, the worst, for {len(runs.wanted)} test samples.",
        "One line per test sample, all of them without control.",
        figure,
        pd.concat(tables),
    )


def _limit(axes: Iterator[Axes] | list[Axes], runs: FreeRuns) -> None:
    """Let the axes be about the system's: a chip that leaves does not hide it."""
    x = runs.wanted[..., 0].numpy()
    y = runs.wanted[..., -1].numpy()
    for ax in axes:
        ax.set_xlim(1.4 * x.min(), 1.4 * x.max())
        ax.set_ylim(1.4 * y.min(), 1.4 * y.max())


def _steps(runs: FreeRuns) -> int:
    return min(runs.wanted.shape[1], round(SHOWN_MS / runs.dt_ms))
