"""``spiketrain compare``: the same tasks, chips and rules in several forms of the network."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from root.errors import InputError
from spiketrain.commands.studying import study_command, train_and_report

if TYPE_CHECKING:  # a usage error needs no libraries
    from spiketrain.studies.study import Study
    from spiketrain.studies.sweep import Options

__all__ = ["command"]


def _act(study: Study, root: Path, options: Options) -> None:
    """Compare forms of a network (rate, spiking, ...) against mismatch, chip by chip."""
    if study.compare is None:
        raise InputError("compare", "nothing", "a study with a section compare; sweep is for the others")
    train_and_report(study, root, options)


command = study_command(_act)
