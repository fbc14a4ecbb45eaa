"""Student and teacher: a random network's outputs are to be reproduced."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, final

import numpy as np
import torch
from torch import Tensor

from root.arrays import Header
from root.errors import InputError
from root.ranges import SAMPLES, SEED, TEACHER, check_ranges
from root.seeds import SeedTree
from spiketrain.tasks.base import Task, TaskData
from spiketrain.tasks.files import MEMORY_BYTES, afford

__all__ = ["StudentTeacher"]


@final
@dataclass(frozen=True)
class StudentTeacher(Task):
    r"""Regression on the outputs of a random ReLU network, one teacher for all samples.

    .. math:: y^* = W_K\, \mathrm{relu}(W_{K-1} \cdots \mathrm{relu}(W_1 x + b_1) \cdots + b_{K-1})

    Inputs are uniform in [0, 1]; weights normal with variance
    :math:`2/n_{k-1}`, biases with variance 0.25.
    Every output is shifted and stretched so that it fills [0, 1] on the training set, and clipped there on
    the test set. The score is the share of the variance that is explained.

    Source: the task of Meulemans et al. 2021, arXiv 2106.07887, section 6, whose teacher is drawn anew for
    the test set in public code; here it is the same.

    Args:
        inputs: number of inputs.
        outputs: number of outputs.
        hidden: sizes of the teacher's hidden layers.
        train_samples: size of the training set.
        test_samples: size of the test set.
        seed: of the teacher and the samples.
    """

    inputs: Annotated[int, TEACHER] = 15
    outputs: Annotated[int, TEACHER] = 5
    hidden: tuple[Annotated[int, TEACHER], ...] = (50, 30)
    train_samples: Annotated[int, SAMPLES] = 4000
    test_samples: Annotated[int, SAMPLES] = 1000
    seed: Annotated[int, SEED] = 0

    def __post_init__(self) -> None:
        check_ranges(self)
        if not self.hidden:
            raise InputError("hidden", [], "one size or more")

    @property
    def shape(self) -> tuple[int, int]:
        return self.inputs, self.outputs

    def load(self, data_dir: Path | None, memory_bytes: int = MEMORY_BYTES) -> TaskData:
        seeds = SeedTree(self.seed).child("student_teacher")
        samples = self.train_samples + self.test_samples
        widest = Header((samples, max(self.inputs, *self.hidden, self.outputs)), np.dtype(np.float64))
        afford("the teacher", {"the widest layer": widest}, memory_bytes)
        x = seeds.child("x").generator().random((samples, self.inputs))
        y = self._teach(x, seeds)
        known = y[: self.train_samples]
        low, high = known.min(0), known.max(0)
        scaled = np.clip((y - low) / np.where(high > low, high - low, 1.0), 0.0, 1.0)
        x_train, x_test = _split(x, self.train_samples)
        y_train, y_test = _split(scaled, self.train_samples)
        return TaskData(
            x_train, y_train, x_test, y_test, x_train[:0], y_train[:0], self.outputs, kind="regression"
        )

    def _teach(self, x: np.ndarray, seeds: SeedTree) -> np.ndarray:
        """Return the teacher's outputs, ``(samples, outputs)``."""
        sizes = (self.inputs, *self.hidden, self.outputs)
        values = x
        for index in range(1, len(sizes)):
            generator = seeds.child("layer", index).generator()
            weight = generator.standard_normal((sizes[index - 1], sizes[index]))
            bias = 0.5 * generator.standard_normal(sizes[index])
            values = values @ weight * (2.0 / sizes[index - 1]) ** 0.5
            if index < len(sizes) - 1:
                values = np.maximum(values + bias, 0.0)
        return values


def _split(values: np.ndarray, count: int) -> tuple[Tensor, Tensor]:
    return torch.from_numpy(values[:count].copy()), torch.from_numpy(values[count:].copy())
