"""``spiketrain figures``: the figures of a run for a paper and a talk."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from root.errors import InputError, UnsupportedError
from spiketrain.commands.guard import guarded
from spiketrain.commands.options import DataOption, DebugOption

if TYPE_CHECKING:  # the help needs no libraries
    from spiketrain.record.samples import Samples

__all__ = ["command"]

WORST = "worst"


@guarded
def command(
    run: Annotated[Path, typer.Argument(metavar="RUN", help="The folder of a finished run.")],
    *,
    only: Annotated[
        list[str] | None,
        typer.Option(
            "--only", metavar="NAME", help="learning, raster, weights, confusion, ...; may be repeated."
        ),
    ] = None,
    chip: Annotated[
        str, typer.Option(metavar="N", help="Whose sample is shown: a chip from 0, or worst.")
    ] = "0",
    output: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Where to; by default RUN/figures.")
    ] = None,
    data_dir: DataOption = None,
    debug: DebugOption = False,
) -> None:
    """Write the figures of a run, light and dark, as SVG and PDF, with their data as CSV."""
    from spiketrain.report.gallery import FIGURES, write_pictures  # noqa: PLC0415 (matplotlib)
    from spiketrain.report.run_files import RunFiles  # noqa: PLC0415 (pandas)

    for name in only or ():
        if name not in FIGURES:
            raise InputError("--only", name, ", ".join(FIGURES))
    if chip != WORST and not chip.isdecimal():
        raise InputError("--chip", chip, f"a chip from 0, or {WORST}")
    files = RunFiles.load(run)
    index = files.worst if chip == WORST else int(chip)
    if index not in files.chips:
        raise InputError("--chip", index, f"a chip from 0 to {len(files.chips) - 1}")
    sample = _sample(run, index, data_dir) if index else None  # that of the first is in the run's folder
    done = write_pictures(run, output or run / "figures", only or (), sample)
    for path in done.paths:
        typer.echo(str(path))
    for item in done.omitted:
        typer.echo(f"not drawn: {item.title}: {item.reason}")


def _sample(run: Path, chip: int, data_dir: Path | None) -> Samples:
    """Show a sample to a chip of a run, as it was at the end."""
    from spiketrain.config import Experiment  # noqa: PLC0415 (torch)
    from spiketrain.config.experiment import named_mapping  # noqa: PLC0415
    from spiketrain.evaluation import look_at_a_sample  # noqa: PLC0415
    from spiketrain.record import Folder  # noqa: PLC0415
    from spiketrain.restoring import restored  # noqa: PLC0415

    experiment = Experiment.from_mapping(named_mapping(run / "config.yaml"))
    found = look_at_a_sample(restored(experiment, Folder(run), data_dir), chip)
    if found is None:
        raise UnsupportedError("--chip", chip, "0: not every trace may be recorded (chips.observe)")
    return found
