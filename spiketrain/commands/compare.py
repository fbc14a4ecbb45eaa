"""``spiketrain compare``: the same task, chips and rules in several forms of the network."""

from __future__ import annotations

from rate_bridge.errors import InputError
from spiketrain.commands.guard import guarded
from spiketrain.commands.options import ConfigOption, DataOption, DebugOption, SetOption
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
    load,
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
    study = load(config, overrides, output, quick=quick, resume=resume)
    if study.compare is None:
        raise InputError("compare", "nothing", "a study with a section compare; sweep is for the others")
    from spiketrain.studies.sweep import Options, default_folder, sweep  # noqa: PLC0415 (libraries)

    options = Options(
        resume=resume,
        retry_failed=retry_failed,
        scheduler=scheduler,
        cluster=cluster,
        workers=workers,
        data_dir=data_dir,
        quiet=quiet,
    )
    conclude(study, sweep(study, output or default_folder(study), options), quiet=quiet)
