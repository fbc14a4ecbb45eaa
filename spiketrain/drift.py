"""Chips that drift after they were trained: what becomes of them, with and without learning on.

The same trained chips are followed twice: once with the weights they were trained to, once learning from a
few batches at every stop, by what is observed on the drifted chips. A rival rule on the same chips can be
followed beside them, learning from as many batches.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Any, final

import numpy as np
import pandas as pd
from matplotlib import style
from matplotlib.figure import Figure
from torch import Tensor

from learning.stimulus import Batch
from root.errors import InputError
from root.ranges import COUNT, DECADES, GAIN, HOURS, STOPS, check_ranges
from spiketrain.config import Experiment
from spiketrain.evaluation import evaluate
from spiketrain.experiment import run
from spiketrain.observing import shown
from spiketrain.parts import Parts
from spiketrain.report.style import RC, blank, colour
from spiketrain.restoring import trained
from spiketrain.teaching import learn

__all__ = ["DriftPlan", "drift", "figure"]

FIXED, LEARNING = "as trained", "learning on"


COMPARED = ("task", "network", "mismatch", "bridge.encoding", "training.seed")
"""What a rival must have in common, so that its chips and what they are shown are the same."""


@final
@dataclass(frozen=True)
class DriftPlan:
    """When the chips are looked at, and how much is learnt then.

    Args:
        decades: how many powers of ten the chips age by, counted from the end of training.
        per_decade: stops per decade.
        batches: batches learnt from at every stop.
        learning_rate: step size then, as a factor of the first epoch's.
        hours: instead of decades, how long the chips are followed, with as many stops at equal intervals.
    """

    decades: Annotated[int, DECADES] = 4
    per_decade: Annotated[int, STOPS] = 2
    batches: Annotated[int, COUNT] = 44
    learning_rate: Annotated[float, GAIN] = 0.3
    hours: Annotated[float | None, HOURS] = None

    def __post_init__(self) -> None:
        try:
            check_ranges(self)
        except InputError as error:
            raise InputError(f"--{error.key.replace('_', '-')}", error.given, error.allowed) from None

    def ages(self, start_ms: float) -> list[float]:
        """Return the ages in ms at the stops, the first one that at the end of training."""
        stops = range(self.decades * self.per_decade + 1)
        if self.hours is None:
            return [start_ms * 10 ** (stop / self.per_decade) for stop in stops]
        return [start_ms + 3.6e6 * self.hours * stop / stops[-1] for stop in stops]


def drift(
    experiment: Experiment,
    directory: Path,
    plan: DriftPlan,
    data_dir: Path | None = None,
    *,
    rival: Experiment | None = None,
    quiet: bool = True,
) -> pd.DataFrame:
    """Train chips, let them age, and test them on the way.

    Args:
        experiment: how they are trained; something in its ``mismatch`` must change with time.
        directory: where the trained run goes (or is, to be followed again); that of a rival goes beside it,
            with ``-rival`` behind its name.
        plan: the stops.
        data_dir: where data files lie.
        rival: another rule on the same chips.
        quiet: print nothing while training.

    Returns:
        one row per rule, stop, chip and way: ``rule``, ``age_ms``, ``factor``, ``chip``, ``weights``,
        ``presentations`` shown to the chip for learning on so far, ``test_accuracy``, and what the rule
        measures of itself while it is shown a batch and does not learn, such as ``control_error``.

    Raises:
        InputError: nothing about the chips changes with time, or a rival's chips are others.
    """
    if not experiment.build_mismatch().drifts:
        given = sorted(experiment.mismatch.entries) or "nothing"
        allowed = "an imperfection that changes with time, such as conductance_drift or random_walk"
        raise InputError("mismatch", given, allowed, "Without one all ages are the same.")
    followed = {directory: experiment}
    if rival is not None:
        _check_rival(experiment, rival)
        followed[directory.with_name(f"{directory.name}-rival")] = rival
    rows: list[dict[str, Any]] = []
    for folder, one in followed.items():
        if not (folder / "summary.json").is_file():
            run(one, folder, data_dir=data_dir, quiet=quiet, report=False)
        for way in (FIXED, LEARNING):
            rows += _followed(trained(one, folder, data_dir), plan, way)
    return pd.DataFrame(rows)


def _check_rival(experiment: Experiment, rival: Experiment) -> None:
    ours, theirs = (_comparable(one.resolved()) for one in (experiment, rival))
    for key in COMPARED:
        if ours[key] != theirs[key]:
            allowed = f"a config whose {key} is that of --config"
            raise InputError("--rival", f"{rival.name}, whose {key} is another", allowed)


def _comparable(resolved: Mapping[str, Any]) -> dict[str, Any]:
    """Return what is compared; how feedback reaches the layers, and deviates, is the rule's own affair."""
    sections = {**resolved, "bridge.encoding": resolved["bridge"]["encoding"]}
    sections["training.seed"] = resolved["training"]["seed"]
    for section in ("network", "mismatch"):
        sections[section] = {k: v for k, v in resolved[section].items() if k != "feedback"}
    return sections


def _followed(parts: Parts, plan: DriftPlan, way: str) -> Iterator[dict[str, Any]]:
    """Yield the rows of one way."""
    experiment, before = parts.experiment, parts.presented
    parts.chips.program(parts.deployed())
    start = parts.chips.now_ms
    for stop, age in enumerate(plan.ages(start)):
        parts.chips.advance(max(0.0, age - parts.chips.now_ms))
        if way == LEARNING and stop:
            for batch in _batches(parts, stop, plan.batches):
                learn(parts, batch, plan.learning_rate * experiment.training.learning_rate)
        measured = _measured(parts, stop)
        for chip, accuracy in enumerate(evaluate(parts, "test").tolist()):
            yield {
                "rule": experiment.rule.name,
                "age_ms": age,
                "factor": age / start,
                "chip": experiment.mismatch.first_chip + chip,
                "weights": way,
                "presentations": parts.presented - before,
                "test_accuracy": accuracy,
                **{name: float(values[chip]) for name, values in measured.items()},
            }


def _measured(parts: Parts, stop: int) -> Mapping[str, Tensor]:
    """Return what a rule measures of itself while it is shown a batch that leaves no trace."""
    batch = replace(next(parts.batches(parts.epoch)), key=("drift", "measure", stop))
    parts.rule.prepare(parts.model)
    parts.model.on_chip = None
    seen = shown(parts.rule, parts.chips.trial(), batch, parts.model).observation
    return parts.rule.update(batch, seen, parts.model).measures


def _batches(parts: Parts, stop: int, count: int) -> Iterator[Batch]:
    """Return training batches that were not shown before, under keys of their own."""
    epochs = itertools.count(parts.epoch + 1000 * stop)
    size = parts.experiment.training.batch  # where synapses learn by themselves, a reading is many of these
    batches = (batch for epoch in epochs for batch in parts.batches(epoch, size))
    for number, batch in enumerate(itertools.islice(batches, count)):
        yield replace(batch, key=("drift", stop, number))


def figure(rows: pd.DataFrame) -> Figure:
    """Return accuracy or errors against age: mean over the chips, and from the worst to the best."""
    start = rows.groupby("rule")["age_ms"].transform("min")  # rules that show more end training later
    hours = (rows["age_ms"] - start) / 3.6e6
    gaps = np.diff(rows.loc[rows["rule"] == rows["rule"].iloc[0], "age_ms"].unique())
    even = bool(np.allclose(gaps, gaps[0]))
    table = rows.assign(error=1.0 - rows["test_accuracy"], hours=hours)
    dynamic = "control_error" in rows
    panels = {"error": "error, controller off", "control_error": "error under control"}
    panels = panels if dynamic else {"test_accuracy": "test accuracy"}
    with style.context(RC):
        drawing, axes = blank(1, len(panels), 3.4)
        for ax, (column, label) in zip(axes[0], panels.items(), strict=True):
            for number, (rule, way) in enumerate(itertools.product(rows["rule"].unique(), (FIXED, LEARNING))):
                chosen = table[(table["rule"] == rule) & (table["weights"] == way)]
                of = chosen.groupby("hours" if even else "factor")[column]
                mean = of.mean()
                name = way if rows["rule"].nunique() == 1 else f"{rule}, {way}"
                ax.plot(mean.index, mean, marker="o", color=colour(number), label=name)
                ax.fill_between(mean.index, of.min(), of.max(), color=colour(number), alpha=0.15, lw=0)
            ax.set(
                ylabel=label, xlabel="hours after training" if even else "age / age at the end of training"
            )
            if not even:
                ax.set_xscale("log")
            if dynamic:
                ax.set_yscale("log")
        axes[0][-1].legend()
    return drawing
