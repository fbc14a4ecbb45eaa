"""What the report is made of: the files of a run directory."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self, final

import pandas as pd
from torch import Tensor

from root.errors import DamagedError, InputError
from spiketrain.naming import connection_names, layer_names, stored_names, with_names
from spiketrain.reading import parse
from spiketrain.record.files import json_of, tensors_of
from spiketrain.record.free_runs import FreeRuns
from spiketrain.record.run import CHIPS, CONFUSION, INITIAL, MOMENTS, REFERENCE, WEIGHTS
from spiketrain.record.samples import Samples
from spiketrain.record.store import Folder, Store
from spiketrain.record.tables import rows_of

__all__ = ["RunFiles"]

COLUMNS = {
    CONFUSION: ("chip", "label", "predicted", "samples"),
    CHIPS: ("chip", "mean", "std", "low", "high", "lost", "devices"),
    REFERENCE: ("epoch", "chip"),
    MOMENTS: ("chip", "time_ms", "accuracy"),
}
"""Columns of numbers that a table must have."""


@final
@dataclass(frozen=True)
class RunFiles:
    """A finished run as its directory tells it.

    Args:
        config: the text of ``config.yaml``.
        summary: ``summary.json``.
        layers: names of layers 0 to L.
        connections: names of the connections; of a chain, those that lead from layer to layer.
        metrics: ``metrics.csv``.
        weights: what is programmed at the end, by name.
        initial: what was programmed before training, by name; empty where it was not kept.
        samples: recordings of one sample, or None.
        free: what the chips did without control, where the task is a dynamical system, or None.
        confusion: how many test samples of a label every chip took for which (``confusion.csv``), or None.
        drew: how every chip deviates from the design (``chips.csv``), or None where nobody knows or nothing
            does; see `spiketrain.deviations.Deviation`.
        reference: metrics of one chip without mismatch (``reference.csv``), or None.
        moments: accuracy of every chip against the time since a sample began (``moments.csv``), or None.
    """

    config: str
    summary: dict[str, Any]
    layers: tuple[str, ...]
    connections: tuple[str, ...]
    metrics: pd.DataFrame
    weights: dict[str, Tensor]
    initial: dict[str, Tensor]
    samples: Samples | None
    confusion: pd.DataFrame | None = None
    drew: pd.DataFrame | None = None
    reference: pd.DataFrame | None = None
    free: FreeRuns | None = None
    moments: pd.DataFrame | None = None

    @classmethod
    def load(cls, place: Store | Path) -> Self:
        """Read a run directory, or the same files in memory.

        Raises:
            InputError: it does not hold a finished run.
        """
        store = Folder(place) if isinstance(place, Path) else place
        try:
            config = store.read("config.yaml").decode()
            summary = json_of(store.read("summary.json"), store.place("summary.json"))
            section = parse(config, store.place("config.yaml")).get("network")
            depth = len(summary["layers"]) - 1
            layers = layer_names(depth, section)
            connections = connection_names(depth, section)
            names = stored_names(connections, layers[1:])
            return cls(
                config=config,
                summary=summary,
                layers=layers,
                connections=connections,
                metrics=pd.read_csv(io.BytesIO(store.read("metrics.csv"))),
                weights=_tensors(store, WEIGHTS, names),
                initial=_tensors(store, INITIAL, names) if INITIAL in store else {},
                samples=Samples.load(store),
                free=FreeRuns.load(store),
                confusion=_table(store, CONFUSION),
                drew=_table(store, CHIPS),
                reference=_table(store, REFERENCE),
                moments=_table(store, MOMENTS),
            )
        except FileNotFoundError as error:
            allowed = "the folder of a finished run"
            raise InputError("report", str(place), allowed, f"{error.filename} is missing.") from None

    @property
    def chips(self) -> list[int]:
        """Indices of the chips."""
        return list(range(int(self.summary["chips"])))

    @property
    def chance(self) -> float | None:
        """The accuracy of guessing; None for a regression, which has no classes."""
        return None if self.confusion is None else 1.0 / (int(self.confusion["label"].max()) + 1)

    @property
    def worst(self) -> int:
        """The chip with the lowest test accuracy; one without a number counts as the lowest."""
        found = [-1.0 if value is None else float(value) for value in self.summary["test_accuracy"]]
        return found.index(min(found))

    def called(self, chip: int) -> str:
        """Return how a legend calls a chip."""
        lost = str(chip) in self.summary["diverged_chips"]
        return f"chip {chip} (diverged)" if lost else f"chip {chip}"

    def accuracies(self) -> list[str]:
        """Return the names of the columns of accuracies."""
        return [name for name in self.measured() if name.endswith("accuracy")]

    def measured(self) -> list[str]:
        """Return the names of the columns of metrics that have a number somewhere."""
        return [str(name) for name in self.metrics if self.metrics[name].notna().any()]


def _table(store: Store, name: str) -> pd.DataFrame | None:
    """Return a table, whose columns of numbers hold some, or None where there is no such file."""
    if name not in store:
        return None
    content, place = store.read(name), store.place(name)
    rows_of(content, place, COLUMNS[name])
    found = pd.read_csv(io.BytesIO(content))
    for column in COLUMNS[name]:
        if not pd.api.types.is_numeric_dtype(found[column]):
            raise DamagedError(f"{place}: {column}", "something else", "numbers")
    return found


def _tensors(store: Store, name: str, names: Mapping[str, Sequence[str]]) -> dict[str, Tensor]:
    return with_names(tensors_of(store.read(name), store.place(name))[0], names)
