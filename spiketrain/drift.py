"""Chips that drift after they were trained: what becomes of their accuracy, with and without learning on.

The same trained chips are followed twice over decades of time: once with the weights they were trained to,
once learning from a few batches at every stop, by what is observed on the drifted chips.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, final

import pandas as pd
from matplotlib import style
from matplotlib.figure import Figure

from learning.stimulus import Batch
from root.errors import InputError
from root.ranges import COUNT, DECADES, GAIN, STOPS, check_ranges
from spiketrain.config import Experiment
from spiketrain.evaluation import evaluate
from spiketrain.experiment import learn, run, trained
from spiketrain.parts import Parts
from spiketrain.report.style import RC, blank, colour

__all__ = ["DriftPlan", "drift", "figure"]

FIXED, LEARNING = "as trained", "learning on"


@final
@dataclass(frozen=True)
class DriftPlan:
    """When the chips are looked at, and how much is learnt then.

    Args:
        decades: how many powers of ten the chips age by, counted from the end of training.
        per_decade: stops per decade.
        batches: batches learnt from at every stop.
        learning_rate: step size then, as a factor of the first epoch's.
    """

    decades: Annotated[int, DECADES] = 4
    per_decade: Annotated[int, STOPS] = 2
    batches: Annotated[int, COUNT] = 44
    learning_rate: Annotated[float, GAIN] = 0.3

    def __post_init__(self) -> None:
        try:
            check_ranges(self)
        except InputError as error:
            raise InputError(f"--{error.key.replace('_', '-')}", error.given, error.allowed) from None

    def factors(self) -> list[float]:
        """Return the stops as factors of the age at the end of training."""
        return [10 ** (stop / self.per_decade) for stop in range(self.decades * self.per_decade + 1)]


def drift(
    experiment: Experiment,
    directory: Path,
    plan: DriftPlan,
    data_dir: Path | None = None,
    *,
    quiet: bool = True,
) -> pd.DataFrame:
    """Train chips, let them age, and test them on the way.

    Args:
        experiment: how they are trained; something in its ``mismatch`` must change with time.
        directory: where the trained run goes (or is, to be followed again).
        plan: the stops.
        data_dir: where data files lie.
        quiet: print nothing while training.

    Returns:
        one row per stop, chip and way: ``age_ms``, ``factor``, ``chip``, ``weights``, ``test_accuracy``.

    Raises:
        InputError: nothing about the chips changes with time.
    """
    if not experiment.build_mismatch().drifts:
        given = sorted(experiment.mismatch.entries) or "nothing"
        allowed = "an imperfection that changes with time, such as conductance_drift or random_walk"
        raise InputError("mismatch", given, allowed, "Without one all ages are the same.")
    if not (directory / "summary.json").is_file():
        run(experiment, directory, data_dir=data_dir, quiet=quiet, report=False)
    rows = []
    for way in (FIXED, LEARNING):
        parts = trained(experiment, directory, data_dir)
        parts.chips.program(parts.deployed())
        start = parts.chips.now_ms
        for stop, factor in enumerate(plan.factors()):
            parts.chips.advance(max(0.0, factor * start - parts.chips.now_ms))
            if way == LEARNING and stop:
                for batch in _batches(parts, stop, plan.batches):
                    learn(parts, batch, plan.learning_rate * experiment.training.learning_rate)
            for chip, accuracy in enumerate(evaluate(parts, "test").tolist()):
                rows.append(
                    {
                        "age_ms": factor * start,
                        "factor": factor,
                        "chip": experiment.mismatch.first_chip + chip,
                        "weights": way,
                        "test_accuracy": accuracy,
                    }
                )
    return pd.DataFrame(rows)


def _batches(parts: Parts, stop: int, count: int) -> Iterator[Batch]:
    """Return training batches that were not shown before, under keys of their own."""
    epochs = itertools.count(parts.epoch + 1000 * stop)
    batches = (batch for epoch in epochs for batch in parts.batches(epoch))
    for number, batch in enumerate(itertools.islice(batches, count)):
        yield replace(batch, key=("drift", stop, number))


def figure(rows: pd.DataFrame) -> Figure:
    """Return accuracy against age: mean over the chips, and the range from the worst to the best."""
    with style.context(RC):
        drawing, axes = blank(1, 1, 3.4)
        for number, way in enumerate((FIXED, LEARNING)):
            of = rows[rows["weights"] == way].groupby("factor")["test_accuracy"]
            mean = of.mean()
            axes[0][0].plot(mean.index, mean, marker="o", color=colour(number), label=way)
            axes[0][0].fill_between(mean.index, of.min(), of.max(), color=colour(number), alpha=0.15, lw=0)
        axes[0][0].set(xscale="log", xlabel="age / age at the end of training", ylabel="test accuracy")
        axes[0][0].legend()
    return drawing
