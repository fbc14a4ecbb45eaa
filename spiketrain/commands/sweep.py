"""``spiketrain sweep``: many experiments, one table; or many studies, one after the other."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from spiketrain.commands import identify, tune
from spiketrain.commands.guard import FAILED
from spiketrain.commands.studying import study_command, train_and_report

if TYPE_CHECKING:  # a usage error needs no libraries
    from spiketrain.studies.collection import Collection
    from spiketrain.studies.study import Study
    from spiketrain.studies.sweep import Options

__all__ = ["command"]


def _of(study: Study) -> Callable[[Study, Path, Options], None]:
    """Return what is done with a study of a collection: one that says what it compares is computed."""
    if study.identify is not None:
        return identify.act
    return tune.act if study.is_search else _act


def _act(study: Study, root: Path, options: Options) -> None:
    """Train every cell of a study and write one tidy table; or do so with every study of a collection."""
    train_and_report(study, root, options)


def _gather(collection: Collection, root: Path, options: Options) -> None:
    """Compute every study of a collection in a folder of its own, and say what it took.

    What fails in one study does not keep the others from being computed.
    """
    from spiketrain.studies.collection import SUMMARY, CollectionFolder  # noqa: PLC0415 (libraries)
    from spiketrain.studies.study import STORED  # noqa: PLC0415

    studies = dict(collection.loaded())  # whatever is wrong is said before anything is computed
    failed = []
    with CollectionFolder(root, collection, resume=options.resume) as folder:
        for label, study in studies.items():
            begun = (folder.of(label) / STORED).is_file()
            if not options.quiet:
                typer.echo(f"{label}:")
            try:
                _of(study)(study, folder.of(label), replace(options, resume=begun))
            except typer.Exit:
                failed.append(label)
            finally:
                folder.write_summary(list(studies))
    if not options.quiet:
        typer.echo(f"studies: {root / SUMMARY}")
    if failed:
        typer.echo(f"spiketrain: cells failed in {', '.join(failed)}", err=True)
        raise typer.Exit(FAILED)


command = study_command(_act, gather=_gather)
