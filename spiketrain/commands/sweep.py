"""``spiketrain sweep``: many experiments, one table; or many studies, one after the other."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from root.errors import InputError
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

    What fails in one study does not keep the others from being computed. A study whose data cannot be read is
    said first and left out; `--resume` computes it where they can.
    """
    from spiketrain.studies.collection import SUMMARY, CollectionFolder  # noqa: PLC0415 (libraries)
    from spiketrain.studies.study import STORED  # noqa: PLC0415

    studies = dict(collection.loaded())  # whatever is wrong is said before anything is computed
    with CollectionFolder(root, collection, resume=options.resume) as folder:
        new = {label: study for label, study in studies.items() if not (folder.of(label) / STORED).is_file()}
        failed = _unreadable(new, options.data_dir)
        for label, study in studies.items():
            if label in failed:
                continue
            if not options.quiet:
                typer.echo(f"{label}:")
            try:
                _of(study)(study, folder.of(label), replace(options, resume=label not in new))
            except typer.Exit:
                failed.append(label)
            finally:
                folder.write_summary(list(studies))
    if not options.quiet:
        typer.echo(f"studies: {root / SUMMARY}")
    if failed:
        typer.echo(f"spiketrain: cells failed, or data were missing, in {', '.join(failed)}", err=True)
        raise typer.Exit(FAILED)


def _unreadable(studies: Mapping[str, Study], data_dir: Path | None) -> list[str]:
    """Return the labels of the studies whose data cannot be read, having said why."""
    from spiketrain.studies.data import check_readable  # noqa: PLC0415 (libraries)
    from spiketrain.studies.plan import Plan  # noqa: PLC0415

    found = []
    for label, study in studies.items():
        plan = Plan(study.searched() if study.is_search else study)
        try:
            check_readable(plan, data_dir)
        except InputError as error:
            typer.echo(f"spiketrain: {label} is left out: {error}", err=True)
            found.append(label)
    return found


command = study_command(_act, gather=_gather)
