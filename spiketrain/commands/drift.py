"""``spiketrain drift``: trained chips over decades of time."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from spiketrain.commands.guard import guarded
from spiketrain.commands.options import ConfigOption, DataOption, DebugOption, SetOption

__all__ = ["command"]


@guarded
def command(
    *,
    config: ConfigOption = "spiking/drift_digits.yaml",
    overrides: SetOption = None,
    output: Annotated[Path, typer.Option(metavar="DIR", help="Folder of the results.")] = Path("runs/drift"),
    decades: Annotated[int, typer.Option(help="Powers of ten the chips age by.")] = 4,
    per_decade: Annotated[int, typer.Option(help="Stops per decade.")] = 2,
    batches: Annotated[int, typer.Option(help="Batches learnt from at every stop.")] = 44,
    learning_rate: Annotated[float, typer.Option(help="Step size then, over the first epoch's.")] = 0.3,
    hours: Annotated[
        float | None,
        typer.Option(help="How long the chips are followed, with equal intervals, instead of decades."),
    ] = None,
    rival: Annotated[
        str | None,
        typer.Option(metavar="FILE", help="A config of another rule for the same chips, followed beside it."),
    ] = None,
    data_dir: DataOption = None,
    debug: DebugOption = False,
) -> None:
    """Train chips, let them drift, and compare weights left alone with learning on."""
    from rich.console import Console  # noqa: PLC0415 (a usage error needs no libraries)
    from rich.table import Table  # noqa: PLC0415

    from spiketrain import drift as study  # noqa: PLC0415
    from spiketrain.config import load_experiment  # noqa: PLC0415
    from spiketrain.record.files import write_bytes, write_text  # noqa: PLC0415
    from spiketrain.record.tables import table_text  # noqa: PLC0415
    from spiketrain.report.drawing import Drawing  # noqa: PLC0415

    plan = study.DriftPlan(decades, per_decade, batches, learning_rate, hours)
    experiment = load_experiment(config or "", overrides or [])
    other = load_experiment(rival, _shared(overrides)) if rival else None
    rows = study.drift(experiment, output / "trained", plan, data_dir, rival=other, quiet=False)
    write_text(output / "drift.csv", table_text(rows))
    drawing = Drawing("drift", "Drift", "test accuracy against age", "", study.figure(rows), rows)
    write_bytes(output / "drift.svg", drawing.svg().encode())
    table = Table(box=None)
    words = ("rule", "weights")
    for heading in ("age", *words, "mean", "min"):
        table.add_column(heading, justify="left" if heading in words else "right")
    for (factor, rule, way), accuracy in rows.groupby(["factor", *words], sort=False)["test_accuracy"]:
        table.add_row(f"{factor:.3g}", str(rule), str(way), f"{accuracy.mean():.4f}", f"{accuracy.min():.4f}")
    Console().print(table)


def _shared(overrides: list[str] | None) -> list[str]:
    """Return the overrides that hold for a rival too: all but those of the rule and of its feedback."""
    own = ("rule.", "rule=", "network.feedback", "mismatch.feedback")
    return [text for text in overrides or [] if not text.startswith(own)]
