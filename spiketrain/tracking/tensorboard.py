"""TensorBoard: curves per column, mean, worst and every chip."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, final

from root.errors import InputError
from spiketrain.hooks import EpochDone
from spiketrain.tracking.base import Log, Started, Tracker, flat, over_chips

__all__ = ["TensorBoard"]


@final
@dataclass(frozen=True)
class TensorBoard(Tracker):
    """Event files for ``tensorboard --logdir``.

    Args:
        folder: where they go; null for ``tensorboard/`` in the run's own folder.
    """

    folder: str | None = None
    name: ClassVar[str] = "tensorboard"
    library: ClassVar[tuple[str, str]] = ("tensorboard", "spiketrain[tensorboard]")

    def check(self, folder: Path | None) -> None:
        super().check(folder)
        if self.folder is None and folder is None:
            fix = "Or write the run: fit(..., folder=...)."
            raise InputError("analysis.tracker.folder", None, "a folder, for a run in memory", fix)

    def start(self, run: Started) -> Log:
        from torch.utils.tensorboard import SummaryWriter  # noqa: PLC0415 (where it is used)

        place = Path(self.folder) if self.folder is not None else (run.folder or Path()) / "tensorboard"
        # what a killed run had written after its checkpoint is told again
        writer: Any = SummaryWriter(str(place), purge_step=run.epoch + 1 if run.epoch else None)
        if run.epoch == 0:
            rows = "\n".join(f"| {key} | {value} |" for key, value in flat(run.config))
            writer.add_text("config", f"{run.title}\n\n| key | value |\n|---|---|\n{rows}")
        return _Events(writer)


@final
class _Events(Log):
    def __init__(self, writer: Any) -> None:
        self.writer = writer

    def epoch(self, done: EpochDone) -> None:
        for name, value in over_chips(done):
            if math.isfinite(value):
                self.writer.add_scalar(name, value, done.epoch)
        self.writer.flush()

    def finish(self, summary: Mapping[str, Any]) -> None:
        self.writer.add_text("summary", f"```\n{json.dumps(summary, indent=2, default=str)}\n```")

    def close(self, *, failed: bool) -> None:
        self.writer.close()
