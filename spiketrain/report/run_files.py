"""What the report is made of: the files of a run directory."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self, final

import pandas as pd
from torch import Tensor

from rate_bridge.errors import InputError
from spiketrain.record.files import read_json, read_tensors
from spiketrain.report.samples import Samples

__all__ = ["RunFiles"]


@final
@dataclass(frozen=True)
class RunFiles:
    """A finished run as its directory tells it.

    Args:
        config: the text of ``config.yaml``.
        summary: ``summary.json``.
        metrics: ``metrics.csv``.
        weights: what is programmed at the end, by name.
        initial: what was programmed before training, by name; empty where it was not kept.
        samples: recordings of one sample, or None.
    """

    config: str
    summary: dict[str, Any]
    metrics: pd.DataFrame
    weights: dict[str, Tensor]
    initial: dict[str, Tensor]
    samples: Samples | None

    @classmethod
    def load(cls, directory: Path) -> Self:
        """Read a run directory.

        Raises:
            InputError: it does not hold a finished run.
        """
        try:
            initial = directory / "initial_weights.safetensors"
            return cls(
                config=(directory / "config.yaml").read_text(encoding="utf-8"),
                summary=read_json(directory / "summary.json"),
                metrics=pd.read_csv(directory / "metrics.csv"),
                weights=read_tensors(directory / "weights.safetensors")[0],
                initial=read_tensors(initial)[0] if initial.is_file() else {},
                samples=Samples.load(directory),
            )
        except FileNotFoundError as error:
            allowed = "the folder of a finished run"
            raise InputError("report", str(directory), allowed, f"{error.filename} is missing.") from None

    @property
    def chips(self) -> list[int]:
        """Indices of the chips."""
        return list(range(int(self.summary["chips"])))

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
