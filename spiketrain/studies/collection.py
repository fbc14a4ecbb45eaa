"""Several studies under one name: what they are, and the folder that holds a folder for each."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Self, final

import pandas as pd
from pydantic import Field, ValidationError

from root.errors import InputError
from root.texts import check_texts
from spiketrain.config.finding import find_config
from spiketrain.config.problems import input_error
from spiketrain.config.sections import Section
from spiketrain.reading import read
from spiketrain.record.files import plain, read_yaml, write_text, write_yaml
from spiketrain.record.tables import table_text
from spiketrain.studies.folder import claim
from spiketrain.studies.study import Study, load_study

__all__ = [
    "STORED",
    "SUMMARY",
    "Collection",
    "CollectionFolder",
    "Member",
    "load_collection",
    "stored_collection",
]

STORED = "collection.yaml"

SUMMARY = "studies.csv"

Label = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,99}$")]


@final
class Member(Section):
    """One study of a collection.

    Args:
        study: its file, or the name of a shipped config.
        set: dotted keys and their values, for all of its cells; ``study.key`` changes the study itself.
    """

    study: str
    changes: dict[str, Any] = Field(default={}, alias="set")

    @property
    def overrides(self) -> list[str]:
        """The changes as ``--set`` takes them."""
        return [f"{key}={json.dumps(value)}" for key, value in self.changes.items()]


@final
class Collection(Section):
    """Studies that are computed one after the other; `load_collection` makes one.

    Args:
        name: what its folder is called after.
        studies: label to study, in the order in which they are computed; the label is the study's folder.
        quick: take the quick variant of every study.
        overrides: ``section.key=value``, for the cells of every study, over what the members say.
        device: where all cells compute, as in a study.
    """

    name: Label
    studies: Annotated[dict[Label, Member], Field(min_length=1)]
    quick: bool = False
    overrides: tuple[str, ...] = ()
    device: str | None = None

    @classmethod
    def from_mapping(cls, data: Mapping[str, Any]) -> Self:
        """Return the collection that plain `data` describe.

        Raises:
            InputError: the first thing that is wrong with it.
        """
        check_texts(data)
        try:
            return cls.model_validate_json(json.dumps(dict(data)))
        except ValidationError as error:
            raise input_error(error, dict(data), model=cls) from None

    def loaded(self) -> Iterator[tuple[str, Study]]:
        """Yield the studies with their labels, in order.

        Raises:
            InputError: one of them is wrong; its label comes first.
        """
        for label, member in self.studies.items():
            try:
                study = load_study(member.study, [*member.overrides, *self.overrides], quick=self.quick)
            except InputError as error:
                raise InputError(
                    f"studies.{label}: {error.key}", error.given, error.allowed, error.fix
                ) from None
            yield label, study if self.device is None else study.model_copy(update={"device": self.device})

    def resolved(self) -> dict[str, Any]:
        """Return the collection as plain data."""
        found: dict[str, Any] = json.loads(self.model_dump_json(by_alias=True))
        return found


def load_collection(name: str, overrides: Sequence[str] = (), *, quick: bool = False) -> Collection | None:
    """Return the collection in a file or shipped config; None where it is something else.

    Args:
        name: a path, or the name of a shipped config.
        overrides: ``section.key=value``, for all cells.
        quick: take the quick variants.

    Raises:
        InputError: there is no such file, or the first thing that is wrong with it.
    """
    path = find_config(name)
    data = read(path)
    if "studies" not in data:
        return None
    return Collection.from_mapping({"name": path.stem, **data, "quick": quick, "overrides": list(overrides)})


@final
class CollectionFolder:
    """The folder of a collection, held by one driver; a context manager.

    ::

        collection.yaml   which studies, and how they are changed
        <label>/          the folder of a study
        studies.csv       a row per study: finished and failed cells, hours of training

    Args:
        root: the folder.
        collection: what it is for.
        resume: go on with what is there.

    Raises:
        InputError: it cannot be written to, is in use, holds something else, or another collection.
    """

    def __init__(self, root: Path, collection: Collection, *, resume: bool) -> None:
        self.root = root
        given = plain(collection.resolved())

        def begin(there: bool) -> None:
            if there:
                _refuse_other(root, given, resume=resume)
            else:
                write_yaml(root / STORED, given)

        self._lock = claim(root, STORED, begin)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *problem: object) -> None:
        self._lock.release()

    def of(self, label: str) -> Path:
        """Return the folder of a study."""
        return self.root / label

    def write_summary(self, labels: Sequence[str]) -> None:
        """Write a row per study that has begun: finished and failed cells, hours of training."""
        rows = []
        for label in labels:
            path = self.of(label) / "cells.csv"
            if path.is_file():
                cells = pd.read_csv(path)
                failed = int((cells["status"] == "failed").sum())
                hours = round(float(cells["seconds"].sum()) / 3600, 6)
                rows.append(
                    {"study": label, "finished": len(cells) - failed, "failed": failed, "hours": hours}
                )
        table = pd.DataFrame(rows, columns=["study", "finished", "failed", "hours"])
        write_text(self.root / SUMMARY, table_text(table))


def _refuse_other(root: Path, given: Mapping[str, Any], *, resume: bool) -> None:
    if not resume:
        fix = "It holds a collection already: go on with --resume, or choose another folder."
        raise InputError("output", str(root), "a new or empty folder", fix)
    known = read_yaml(root / STORED)
    if known != given:
        key = next(k for k in given if known.get(k) != given[k])
        fix = "A collection keeps its config: choose another --output."
        raise InputError(key, given[key], "the collection that this folder was made for", fix)


def stored_collection(root: Path) -> Collection | None:
    """Return the collection that a folder was made for; None where it is not a collection's.

    Raises:
        InputError: it cannot be read.
    """
    return Collection.from_mapping(read_yaml(root / STORED)) if (root / STORED).exists() else None
