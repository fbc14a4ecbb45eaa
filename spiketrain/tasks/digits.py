"""Handwritten digits of 8 × 8 pixels, as they come with scikit-learn."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import final

from spiketrain.tasks.base import Task, TaskData
from spiketrain.tasks.files import MEMORY_BYTES

__all__ = ["Digits"]


@final
@dataclass(frozen=True)
class Digits(Task):
    """1,797 digits in ten classes, 64 inputs, pixel values of 0 to 16 divided by 16.

    360 of them (20 %, the shares of the classes kept, ``random_state=0``) are the test set.

    Source: Alpaydin & Kaynak, "Optical recognition of handwritten digits", UCI (1998),
    doi:10.24432/C50P49.
    """

    @property
    def shape(self) -> tuple[int, int]:
        return 64, 10

    def load(self, data_dir: Path | None, memory_bytes: int = MEMORY_BYTES) -> TaskData:
        from sklearn.datasets import load_digits  # noqa: PLC0415 (slow to import, needed by this task alone)
        from sklearn.model_selection import train_test_split  # noqa: PLC0415

        x, y = load_digits(return_X_y=True)
        x_train, x_test, y_train, y_test = train_test_split(
            x / 16.0, y, test_size=360, random_state=0, stratify=y
        )
        return TaskData.of_arrays((x_train, y_train), (x_test, y_test), classes=10)
