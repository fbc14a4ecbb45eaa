"""The Yin-Yang data set: a small task that a network without hidden layer cannot learn."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, ClassVar, final

import numpy as np
from numpy.typing import NDArray

from root.ranges import SAMPLES, check_ranges
from spiketrain.tasks.base import Task, TaskData
from spiketrain.tasks.files import MEMORY_BYTES

__all__ = ["YinYang"]

BIG, SMALL = 0.5, 0.1
"""Radius of the disc and of its two dots."""

TRAIN_SEED, VALIDATION_SEED, TEST_SEED = 42, 41, 40


@final
@dataclass(frozen=True)
class YinYang(Task):
    r"""Which part of the Yin-Yang figure is a point in: yin (0), yang (1) or one of the dots (2)?

    The disc of radius R = 0.5 around (0.5, 0.5), dots of radius r = 0.1 around (0.25, 0.5) and
    (0.75, 0.5). With the distances :math:`d_1, d_2` to the left and the right dot's centre, a point is
    a dot's where :math:`d_1 < r` or :math:`d_2 < r`; else yang's where :math:`d_2 \le r`, or
    :math:`r < d_1 \le R/2`, or :math:`y > R` and :math:`d_2 > R/2`; else yin's. Inputs are
    :math:`(x, y, 1 - x, 1 - y)`; the three classes are equally likely.

    The defaults are the published sets, number by number (seeds 42, 41 and 40).

    Source: Kriener, Göltz, Petrovici 2021, arXiv 2102.08211.

    Args:
        train_samples: size of the training set.
        validation_samples: size of the validation set.
        test_samples: size of the test set.
    """

    train_samples: Annotated[int, SAMPLES] = 5000
    validation_samples: Annotated[int, SAMPLES] = 1000
    test_samples: Annotated[int, SAMPLES] = 1000

    own_validation: ClassVar[bool] = True

    def __post_init__(self) -> None:
        check_ranges(self)

    @property
    def shape(self) -> tuple[int, int]:
        return 4, 3

    def load(self, data_dir: Path | None, memory_bytes: int = MEMORY_BYTES) -> TaskData:
        return TaskData.of_arrays(
            _sample(self.train_samples, TRAIN_SEED),
            _sample(self.test_samples, TEST_SEED),
            _sample(self.validation_samples, VALIDATION_SEED),
            classes=3,
        )


def _sample(count: int, seed: int) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Draw wanted classes, and for each points until one is of that class."""
    generator = np.random.RandomState(seed)  # the published sets were drawn with the old generator
    points, labels = np.empty((count, 2)), np.empty(count, dtype=np.int64)
    for index in range(count):
        labels[index] = generator.randint(3)
        while True:
            x, y = generator.rand(2) * 2.0 * BIG
            if np.hypot(x - BIG, y - BIG) <= BIG and _part(x, y) == labels[index]:
                break
        points[index] = x, y
    return np.concatenate([points, 1.0 - points], axis=1), labels


def _part(x: float, y: float) -> int:
    left, right = np.hypot(x - 0.5 * BIG, y - BIG), np.hypot(x - 1.5 * BIG, y - BIG)
    if left < SMALL or right < SMALL:
        return 2
    return int(right <= SMALL or SMALL < left <= 0.5 * BIG or (y > BIG and right > 0.5 * BIG))
