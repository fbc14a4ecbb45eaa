"""``spiketrain compare``: the same task, chips and rules in several forms of the network."""

from __future__ import annotations

from spiketrain.commands.guard import guarded
from spiketrain.commands.options import ConfigOption, DataOption, DebugOption, SetOption, required
from spiketrain.commands.sweep import (
    ClusterOption,
    OutputOption,
    QuickOption,
    QuietOption,
    ResumeOption,
    RetryOption,
    SchedulerOption,
    WorkersOption,
    conclude,
    folder_of,
)

__all__ = ["command"]


@guarded
def command(
    *,
    config: ConfigOption = None,
    overrides: SetOption = None,
    output: OutputOption = None,
    resume: ResumeOption = False,
    retry_failed: RetryOption = False,
    quick: QuickOption = False,
    scheduler: SchedulerOption = None,
    cluster: ClusterOption = "local",
    workers: WorkersOption = None,
    data_dir: DataOption = None,
    quiet: QuietOption = False,
    debug: DebugOption = False,
) -> None:
    """Compare forms of a network (rate, spiking, ...) against mismatch, chip by chip."""
    from spiketrain.studies.compare import expanded  # noqa: PLC0415 (a usage error needs no libraries)
    from spiketrain.studies.study import load_study  # noqa: PLC0415

    study = expanded(load_study(required(config), overrides or [], quick=quick))
    root = folder_of(output, resume)
    from spiketrain.studies.sweep import Options, default_folder, sweep  # noqa: PLC0415

    options = Options(
        resume=resume,
        retry_failed=retry_failed,
        scheduler=scheduler,
        cluster=cluster,
        workers=workers,
        data_dir=data_dir,
        quiet=quiet,
    )
    conclude(study, sweep(study, root or default_folder(study), options), quiet=quiet)
