"""``spiketrain sweep``: many experiments, one table."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from spiketrain.commands.studying import study_command, train_and_report

if TYPE_CHECKING:  # a usage error needs no libraries
    from spiketrain.studies.study import Study
    from spiketrain.studies.sweep import Options

__all__ = ["command"]


def _act(study: Study, root: Path, options: Options) -> None:
    """Train every cell of a study and write one tidy table."""
    train_and_report(study, root, options)


command = study_command(_act)
