"""Handwritten digits that are shown row by row: what was seen must be remembered."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, ClassVar, final

import torch

from rate_bridge.sequences import Form, Series
from root.ranges import TIME_MS, check_ranges
from spiketrain.tasks.base import Task, TaskData
from spiketrain.tasks.digits import Digits
from spiketrain.tasks.files import MEMORY_BYTES

__all__ = ["RowDigits"]


@final
@dataclass(frozen=True)
class RowDigits(Task):
    """The digits of the task ``digits``, one row of 8 pixels after the other from the top.

    Training set and tests are the same as there.

    Args:
        step_ms: how long a row is shown.
    """

    step_ms: Annotated[float, TIME_MS] = 20.0

    form: ClassVar[Form | None] = "series"

    def __post_init__(self) -> None:
        check_ranges(self)

    @property
    def shape(self) -> tuple[int, int]:
        return 8, 10

    def load(self, data_dir: Path | None, memory_bytes: int = MEMORY_BYTES) -> TaskData:
        whole = Digits().load(data_dir, memory_bytes)

        def rows(x: object) -> Series:
            assert isinstance(x, torch.Tensor)
            parts = torch.full((len(x),), 8, dtype=torch.int64)
            return Series(x.reshape(-1, 8), parts, self.step_ms)

        train, test = (rows(whole.x_train), rows(whole.x_test))
        return TaskData(train, whole.y_train, test, whole.y_test, train[:0], whole.y_val, classes=10)
