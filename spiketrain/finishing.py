"""What a run says of its chips: scores after every epoch, and all that a finished one leaves."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, final

import torch

from chips.wire.remote import RemoteChips
from mismatch import oracle
from spiketrain.deviations import deviations, table
from spiketrain.evaluation import confusion, evaluate, judged, look_at_a_sample, score
from spiketrain.free_running import free_runs
from spiketrain.moments import moments
from spiketrain.naming import named
from spiketrain.parts import Parts
from spiketrain.record import Folder, RunRecord, Store
from spiketrain.record.metrics import METRICS
from spiketrain.record.run import CHIPS, MOMENTS, REFERENCE, TRUTH

__all__ = ["RunResult", "finish", "scores_of"]


@final
@dataclass(frozen=True)
class RunResult:
    """A finished run.

    Args:
        store: its files.
        summary: the content of its ``summary.json``.
        parts: what met in it, as it was at the end.
    """

    store: Store
    summary: Mapping[str, Any]
    parts: Parts

    @property
    def directory(self) -> Path:
        """Where the run is; a run in memory has no such place."""
        if not isinstance(self.store, Folder):
            raise AttributeError("a run in memory has no directory")
        return self.store.path


def scores_of(parts: Parts) -> dict[str, torch.Tensor]:
    """Return how the chips do on what they are not taught with, each ``(chips,)``."""
    if parts.data.free_run is not None:
        runs = free_runs(parts, "test")
        return {
            "test_accuracy": 1.0 - runs.errors(),
            "free_error": runs.errors(),
            "valid_ms": runs.valid_ms(),
        }
    scores = {"test_accuracy": evaluate(parts, "test")}
    if parts.data.has_validation:
        scores["validation_accuracy"] = evaluate(parts, "validation")
    return scores


def finish(
    parts: Parts, record: RunRecord, pace: dict[str, float], reference: RunResult | None, *, report: bool
) -> dict[str, Any]:
    """Test the chips, write what a finished run leaves, and return its summary.

    Args:
        parts: what met in the run.
        record: its files.
        pace: how long it took.
        reference: the same run on a chip without mismatch, or None.
        report: whether to draw the page too.
    """
    if parts.data.free_run is not None:
        runs = free_runs(parts, "test")
        runs.save(record.store)
        accuracy, sample, confused = 1.0 - runs.errors(), None, None
    else:
        said, wanted = judged(parts, "test")
        accuracy = score(said, wanted)
        classify = parts.data.kind == "classification"
        confused = confusion(said, wanted, parts.data.classes).numpy() if classify else None
        sample = look_at_a_sample(parts)
    seen = moments(parts) if parts.experiment.analysis.moments else None
    parts.chips.program(parts.deployed())
    summary = record.finish(
        {
            "epochs": parts.epoch,
            "test_accuracy": accuracy.tolist(),
            "diverged_chips": parts.diverged(),
            "set_back_chips": parts.set_back(),
            "silent_chips": {str(chip): why for chip, why in parts.chips.silent.items()},
            "saw": sorted(parts.saw),
            "reference": None if reference is None else reference.summary["test_accuracy_mean"],
            "data_sha256": parts.data.fingerprint,
            **({} if seen is None else {"latency_ms": seen.latencies}),
            **pace,
        },
        named(parts.deployed()),
        _truth(parts, record.store),
        sample,
        confused,
        tables=_tables(parts, reference) | ({} if seen is None else {MOMENTS: seen.table}),
    )
    if report and isinstance(record.store, Folder):
        from spiketrain.report import write  # noqa: PLC0415 (matplotlib, only where it is needed)

        write(record.store.path)
    return summary


def _tables(parts: Parts, reference: RunResult | None) -> dict[str, bytes]:
    """Return what is known for the report alone: what the chips drew, and how one without mismatch did."""
    tables = {} if reference is None else {REFERENCE: reference.store.read(METRICS)}
    if parts.experiment.chips.elsewhere:
        return tables
    drew = deviations(parts.model.network, parts.experiment.build_mismatch())
    return tables | ({CHIPS: table(drew)} if drew else {})


def _truth(parts: Parts, store: Store) -> dict[str, torch.Tensor] | None:
    """Return what the chips are made of, where it is known here; isolated ones write it themselves."""
    chips = parts.chips
    if not parts.experiment.chips.elsewhere:
        return oracle.flatten(oracle.reveal(chips))
    if isinstance(chips, RemoteChips) and parts.experiment.chips.reveal and isinstance(store, Folder):
        chips.retire(str((store.path / TRUTH).resolve()))
    return None
