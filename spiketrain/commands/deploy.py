"""``spiketrain deploy``: a trained run on Lava or Loihi 2."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from spiketrain.commands.guard import guarded
from spiketrain.commands.messages import show_messages
from spiketrain.commands.options import DataOption, DebugOption

__all__ = ["command"]


@guarded
def command(
    run: Annotated[Path, typer.Argument(metavar="RUN", help="The folder of a finished run.")],
    *,
    target: Annotated[str, typer.Option(help="lava-float or loihi2.")] = "loihi2",
    chips: Annotated[
        str | None, typer.Option(metavar="A-B", help="Only these chips of the run, counted from 0.")
    ] = None,
    fine_tune: Annotated[
        int | None,
        typer.Option(
            min=0, help="At most so many epochs on the target, where a chip lost a point; 1 if it can train."
        ),
    ] = None,
    message_threshold: Annotated[
        float | None,
        typer.Option(metavar="CHANGE", help="Of rate networks: the largest change that is not sent."),
    ] = None,
    output: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Where to; by default RUN/deploy-TARGET.")
    ] = None,
    data_dir: DataOption = None,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Print nothing but errors.")] = False,
    debug: DebugOption = False,
) -> None:
    """Quantise a run, test it on Lava and on the emulator, and write a deployment report."""
    from spiketrain.deployment.deploy import deploy  # noqa: PLC0415

    show_messages(quiet=quiet)  # Lava's progress among them
    folder, summary = deploy(
        run,
        target,
        output,
        chips=chips,
        fine_tune=fine_tune,
        message_threshold=message_threshold,
        data_dir=data_dir,
        say=(lambda line: None) if quiet else lambda line: typer.echo(line, err=True),
    )
    if not quiet:
        for chip, before, after in zip(
            summary["chips"], summary["test_accuracy_before"], summary["test_accuracy"], strict=True
        ):
            typer.echo(f"chip {chip}: test accuracy {before:.4f} in floating point, {after:.4f} deployed")
        same = "the same" if summary["emulator_equals_lava"] else "NOT the same"
        typer.echo(f"Lava and the emulator give {same} {summary['cost'].get('unit', 'spikes')}")
        typer.echo(f"report: {folder / 'deployment.html'}")
