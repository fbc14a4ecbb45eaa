"""How right the chips are, the longer a sample is shown: people choose by it."""

from __future__ import annotations

from spiketrain.report.drawing import Drawing, Omitted
from spiketrain.report.run_files import RunFiles
from spiketrain.report.style import MUTED, blank, colour

__all__ = ["moments"]


def moments(run: RunFiles) -> Drawing | Omitted:
    """Accuracy against the time since a sample began, and the moments from which it stays at a level."""
    title = "Decisions at every moment"
    if run.moments is None:
        return Omitted(title, "analysis.moments: true lets the chips decide at every moment.")
    table = run.moments
    figure, axes = blank(1, 1, 3.2)
    ax = axes[0][0]
    wide = table.pivot_table(index="time_ms", columns="chip", values="accuracy")
    for chip in run.chips:
        ax.plot(wide.index, wide[chip], color=MUTED, linewidth=0.8, alpha=0.7)
    mean = wide.mean(axis=1)
    ax.plot(wide.index, mean, color=colour(0), linewidth=2.2, label="mean of the chips")
    if run.chance is not None:
        ax.axhline(run.chance, color=MUTED, linestyle=(0, (2, 2)), linewidth=1.0, label="chance")
    ax.set_xlim(0.0, float(wide.index[-1]))
    ax.set_ylim(0.0, 1.02)
    ax.set_xlabel("time since the sample began (ms)")
    ax.set_ylabel("test accuracy")
    ax.legend(loc="lower right")
    told = []
    for level, found in run.summary.get("latency_ms", {}).items():
        known = [value for value in found if value is not None]
        if known:
            few = "" if len(known) == len(found) else f" on {len(known)} of {len(found)} chips"
            told.append(f"{100 * float(level):g} % from {sum(known) / len(known):.0f} ms{few}")
    return Drawing(
        "moments",
        title,
        f"Test accuracy against the time since a sample began; at the end {100 * mean.iloc[-1]:.1f} %. "
        + (f"Mean latency: {', '.join(told)}." if told else "No level that is told is reached."),
        "The answer is what it would be if the sample ended then; one that is over keeps its last. "
        "Thin: single chips.",
        figure,
        table,
    )
