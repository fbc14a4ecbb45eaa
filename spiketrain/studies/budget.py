"""What runs cost and whether they are over: accuracy against presentations to the chip, and flat curves."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from spiketrain.record.tables import read_rows
from spiketrain.report.drawing import Drawing
from spiketrain.report.style import CYCLE, blank, colour, stroke
from spiketrain.studies.figures import legend, words, wrapped
from spiketrain.studies.folder import Cells
from spiketrain.studies.plan import Plan
from spiketrain.studies.statistics import mean_interval

__all__ = ["FEWEST", "FLAT", "against_presentations", "converged", "histories", "spent"]

FLAT = 0.003
"""Change of the mean over chips, from the beginning to the end of the last quarter, that counts as none."""

FEWEST = 12
"""Epochs below which a curve is too short to have a last quarter."""

LEAST = 0.001
"""The smallest error that is drawn: a logarithm has no zero."""

OUTCOMES = ("validation_accuracy", "test_accuracy")
"""What is followed, the first that there is: the validation set's score, which chooses nothing here."""


def histories(plan: Plan, cells: Cells) -> pd.DataFrame:
    """Return what happened in every finished cell: a row per epoch and chip.

    Columns are ``cell``, what varies, ``epoch``, ``chip``, ``presentations`` and the accuracies.
    """
    rows = []
    for cell in plan.rows():
        path = cells.finished(cell.key) / "metrics.csv"
        if not path.is_file():
            continue
        for row in read_rows(path):
            kept = {name: float(row[name]) for name in ("presentations", *OUTCOMES) if row.get(name)}
            rows.append(
                {
                    "cell": cell.key,
                    **cell.columns,
                    "epoch": int(row["epoch"]),
                    "chip": int(row["chip"]),
                    **kept,
                }
            )
    return pd.DataFrame(rows)


def converged(curve: Sequence[float]) -> bool:
    r"""Return whether a learning curve is flat over its last quarter.

    A straight line is fitted to the quarter's n epochs; it is flat where the line moves by less than `FLAT`,
    :math:`|s|\,(n - 1) < .003`, and the curve has `FEWEST` epochs or more.

    Args:
        curve: one value per epoch, the mean over the chips, without that before training.
    """
    values = np.asarray(curve, dtype=float)
    if len(values) < FEWEST or not np.isfinite(values).all():
        return False
    last = values[-max(3, len(values) // 4) :]
    slope = np.polyfit(np.arange(len(last)), last, 1)[0]
    return bool(abs(slope) * (len(last) - 1) < FLAT)


def spent(history: pd.DataFrame) -> pd.DataFrame:
    """Return for every cell the presentations to each chip, and whether it converged.

    Args:
        history: from `histories`.

    Returns:
        a row per cell: ``cell``, ``presentations``, ``converged``.
    """
    rows = []
    for cell, group in history.groupby("cell", sort=False) if len(history) else ():
        outcome = next((name for name in OUTCOMES if name in group and group[name].notna().any()), None)
        trained = group[group["epoch"] > 0]
        curve = [] if outcome is None else trained.groupby("epoch")[outcome].mean().tolist()
        most = group["presentations"].max() if "presentations" in group else float("nan")
        rows.append({"cell": cell, "presentations": most, "converged": converged(curve)})
    return pd.DataFrame(rows, columns=["cell", "presentations", "converged"])


def against_presentations(
    history: pd.DataFrame, *, series: Sequence[str], panels: Sequence[str], apart: str | None = None
) -> Drawing | None:
    """Draw test error against presentations to the chip, a line a series; None where not all were counted.

    A mean over chips and training seeds, with the bootstrap interval over chips. What is trained elsewhere
    shows the chips nothing, and is a level line at its last value.

    Args:
        history: from `histories`.
        series: columns whose combinations are lines.
        panels: columns whose combinations are panels.
        apart: one of the series that gets panels of its own where there are more lines than colours.
    """
    if "presentations" not in history or history["presentations"].isna().any():
        return None
    many = len(history[list(series)].drop_duplicates()) > len(CYCLE)
    if apart is not None and apart in series and len(series) > 1 and many:
        series, panels = [name for name in series if name != apart], [*panels, apart]
    table = _points(history, series, panels)
    levels = list(dict.fromkeys(table["panel"]))
    columns = min(3, len(levels))
    rows = -(-len(levels) // columns)
    figure, axes = blank(rows, columns, 0.6 + 2.9 * rows, sharey=True)
    places = [ax for row in axes for ax in row]
    lines = list(dict.fromkeys(table["line"]))
    for ax, level in zip(places, levels, strict=False):
        part = table[table["panel"] == level]
        reach = max(float(part["presentations"].max()), 1.0)
        for line, own in part.groupby("line", sort=False):
            _draw_line(ax, own, lines.index(line), reach)
        ax.set_xscale("log")
        ax.set_yscale("log")  # where all are good, they differ by what they still get wrong
        ax.set_xlim(right=reach)
        ax.set_xlabel("presentations to each chip")
        ax.set_title(wrapped(level, columns))
    for ax in places[len(levels) :]:
        ax.set_axis_off()
    for row in axes:
        row[0].set_ylabel("test error (1 − accuracy)")
    legend(figure)
    last = table.groupby(["panel", "line"], sort=False).tail(1)
    ends = "; ".join(
        f"{row['line']} {row['mean']:.3f} after {row['presentations']:.0f}" for _, row in last.iterrows()
    )
    caption = "Means over the chips with 95 % bootstrap intervals; dashed: what was shown no more than that."
    title = "Test error against presentations to the chip"
    return Drawing("budget", title, f"At the end: {ends}.", caption, figure, table)


def _draw_line(ax: Axes, own: pd.DataFrame, number: int, reach: float) -> None:
    """Draw a curve; as a level from where it stands where further epochs show the chips nothing."""
    style = {"color": colour(number), "label": str(own["line"].iloc[0])}
    x = own["presentations"].clip(lower=1.0)
    trained = own["presentations"].iloc[1:]
    if not len(trained) or trained.nunique() == 1:
        ends, level = [float(x.iloc[-1]), reach], float(_error(own["mean"]).iloc[-1])
        ax.plot(ends, [level] * 2, linestyle="--", linewidth=1.2, marker="o", markevery=[0], **style)  # type: ignore[arg-type]
        return
    ax.plot(x, _error(own["mean"]), linestyle=stroke(number), **style)  # type: ignore[arg-type]
    ax.fill_between(x, _error(own["high"]), _error(own["low"]), color=style["color"], alpha=0.18, linewidth=0)


def _error(accuracy: pd.Series) -> pd.Series:
    """Return what is wrong, at least `LEAST`, so that it has a logarithm."""
    return (1.0 - accuracy).clip(lower=LEAST)


def _points(history: pd.DataFrame, series: Sequence[str], panels: Sequence[str]) -> pd.DataFrame:
    """Return mean and interval over the chips, per panel, line and epoch."""
    keys = [*panels, *series, "epoch"]
    rows = []
    for names, group in history.groupby(keys, sort=False, dropna=False):
        named = dict(zip(keys, names, strict=True))
        chips = group.groupby("chip")["test_accuracy"].mean()
        found = mean_interval(chips, resamples=500)
        rows.append(
            {
                "panel": ", ".join(f"{words(name)} {named[name]}" for name in panels),
                "line": ", ".join(str(named[name]) for name in series) or "all",
                "presentations": group["presentations"].mean(),
                "mean": found.mean,
                "low": found.low,
                "high": found.high,
            }
        )
    return pd.DataFrame(rows)
