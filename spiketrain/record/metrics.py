"""``metrics.csv``: one row per epoch and chip, and the means over an epoch that go into it."""

from __future__ import annotations

import csv
import io
import math
import re
from collections.abc import Mapping
from typing import final

import torch
from torch import Tensor

from root.errors import DamagedError
from root.texts import cell, is_number
from spiketrain.record.store import Store
from spiketrain.record.tables import rows_of
from spiking.presentation import Observation

__all__ = ["METRICS", "EpochMeans", "MetricsTable", "checked_metrics"]

METRICS = "metrics.csv"

INTEGER = re.compile(r"0|[1-9][0-9]{0,9}")

_SQUARED_EFFORT = "control_effort_squared"


@final
class EpochMeans:
    r"""Means over the samples of an epoch, per chip.

    - ``output_error``: mean of the residuals given;
    - ``control_effort``: root mean square of the control signal,
      :math:`\sqrt{\langle u^2 \rangle}` over the outputs, samples and controlled phases;
    - ``rate_<phase>_<layer>_hz``: mean rate of layer 0 (the input) to L in a phase;
    - every further measure under its own name, and instead of those above where it has their name.

    Args:
        chips: number of chips.
        max_rate_hz: the rate that counts as 1.
    """

    def __init__(self, chips: int, max_rate_hz: float) -> None:
        self._chips, self._max_rate_hz = chips, max_rate_hz
        self._sums: dict[str, Tensor] = {}
        self._samples: dict[str, int] = {}

    def add(self, residual: Tensor | None, measures: Mapping[str, Tensor], observation: Observation) -> None:
        """Add a batch.

        Args:
            residual: mean absolute output error of the batch, ``(chips,)``, where there is one.
            measures: further means over the batch, each ``(chips,)``.
            observation: the recordings of the batch.
        """
        samples = max((r.readout.shape[1] for r in observation.values()), default=1)
        if residual is not None and "output_error" not in measures:
            self._add("output_error", residual, samples)
        for phase, recording in observation.items():
            if recording.control is not None and "control_effort" not in measures:
                self._add(_SQUARED_EFFORT, recording.control.square().mean((1, 2)), samples)
            for layer, rates in enumerate(recording.rates):
                self._add(f"rate_{phase}_{layer}_hz", rates.mean((1, 2)) * self._max_rate_hz, samples)
        for name, values in measures.items():
            self._add(name, values, samples)

    def _add(self, name: str, values: Tensor, samples: int) -> None:
        added = values.detach().to(torch.float64).expand(self._chips) * samples  # on a GPU it stays there
        self._sums[name] = self._sums[name] + added if name in self._sums else added
        self._samples[name] = self._samples.get(name, 0) + samples

    def take(self) -> dict[str, Tensor]:
        """Return the means, each ``(chips,)``, and begin the next epoch."""
        means = {name: total.cpu() / self._samples[name] for name, total in self._sums.items()}
        if _SQUARED_EFFORT in means:
            means["control_effort"] = means.pop(_SQUARED_EFFORT).sqrt()
        self._sums, self._samples = {}, {}
        return means


@final
class MetricsTable:
    """The table behind ``metrics.csv``; a cell without a finite or infinite number is empty.

    Args:
        store: where it is, rewritten as a whole after every epoch, so that no kill can leave half a row.
        chips: number of chips.
    """

    def __init__(self, store: Store, chips: int) -> None:
        self._store, self._chips = store, chips
        self._rows: list[dict[str, str]] = []

    def load(self, last_epoch: int) -> None:
        """Read the file and forget what came after `last_epoch`: those epochs will be run again.

        Raises:
            DamagedError: something is no number, or an epoch or a chip is missing.
        """
        if last_epoch < 0 and METRICS not in self._store:
            return
        rows = checked_metrics(self._store, self._chips)
        self._rows = [row for row in rows if int(row["epoch"]) <= last_epoch]
        epochs = {int(row["epoch"]) for row in self._rows} - {0}
        if len(epochs) < last_epoch:
            missing = next(epoch for epoch in range(1, last_epoch + 1) if epoch not in epochs)
            allowed = f"rows of all epochs up to {last_epoch}, which the checkpoint is from"
            raise DamagedError(f"{self._store.place(METRICS)}: epoch", f"no row of epoch {missing}", allowed)

    def append(self, epoch: int, columns: Mapping[str, Tensor | float]) -> None:
        """Add the rows of an epoch, one per chip, and write the file.

        Args:
            epoch: number of epochs done; 0 for what was measured before training.
            columns: one value per chip, or one for all.
        """
        spread = {name: _per_chip(value, self._chips) for name, value in columns.items()}
        for chip in range(self._chips):
            cells = {name: _cell(values[chip]) for name, values in spread.items()}
            self._rows.append({"epoch": str(epoch), "chip": str(chip), **cells})
        self._store.write(METRICS, self._text().encode())

    def _text(self) -> str:
        names = list(dict.fromkeys(name for row in self._rows for name in row))
        text = io.StringIO()
        writer = csv.DictWriter(text, names, restval="", lineterminator="\n")
        writer.writerow({name: cell(name) for name in names})
        writer.writerows(self._rows)
        return text.getvalue()


def checked_metrics(store: Store, chips: int) -> list[dict[str, str]]:
    """Return the rows of a ``metrics.csv``: whole numbers for epochs and chips, numbers or nothing else.

    Args:
        store: where it is.
        chips: number of chips; every epoch has a row for each.

    Raises:
        DamagedError: it cannot be read, or is not what `MetricsTable` writes.
    """
    place = store.place(METRICS)
    if METRICS not in store:
        raise DamagedError(place, "no such file", "the metrics of a run")
    rows = rows_of(store.read(METRICS), place, ("epoch", "chip"))
    seen: dict[str, set[str]] = {}
    for line, row in enumerate(rows, start=2):
        for name, value in row.items():
            whole = name in ("epoch", "chip")
            if not (INTEGER.fullmatch(value) if whole else not value or is_number(value)):
                allowed = "a whole number" if whole else "a number, or nothing"
                raise DamagedError(f"{place}: {name} in line {line}", value, allowed)
        there = seen.setdefault(row["epoch"], set())
        if int(row["chip"]) >= chips or row["chip"] in there:
            raise DamagedError(f"{place}: chip in line {line}", row["chip"], f"each of 0 to {chips - 1} once")
        there.add(row["chip"])
    for epoch, there in seen.items():
        if len(there) != chips:
            raise DamagedError(f"{place}: epoch {epoch}", f"{len(there)} rows", f"{chips}, one per chip")
    return rows


def _per_chip(value: Tensor | float, chips: int) -> list[float]:
    if isinstance(value, Tensor):
        return [float(v) for v in value.detach().to("cpu", torch.float64).expand(chips).tolist()]
    return [float(value)] * chips


def _cell(value: float) -> str:
    """Return the shortest text that reads back as the same float64."""
    return "" if math.isnan(value) else repr(value)
