"""Augmentations: what is done to training samples, in every epoch anew, so that few of them teach more."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Annotated, ClassVar, final

import numpy as np
import torch
from torch import Tensor

from rate_bridge.sequences import Samples
from root.errors import InputError
from root.ranges import SIDE, check_ranges

__all__ = ["Augmentation", "Shift"]


@dataclass(frozen=True)
class Augmentation(ABC):
    """Changes training samples before they are shown; validation and test samples are left alone."""

    plugin_group: ClassVar[str] = "augmentations"

    @abstractmethod
    def check(self, x: Samples) -> None:
        """Raise `InputError` where samples are not what is changed here."""

    @abstractmethod
    def __call__(self, x: Tensor, generator: np.random.Generator) -> Tensor:
        """Return changed samples, ``(batch, inputs)``.

        Args:
            x: inputs in [0, 1].
            generator: what is drawn; the batch's own, so that a run that goes on sees the same.
        """


@final
@dataclass(frozen=True)
class Shift(Augmentation):
    r"""Moves every image by whole pixels, up to `pixels` in each direction; what comes in from outside is 0.

    .. math:: x'_{r,c} = x_{r-\Delta r,\,c-\Delta c}, \qquad \Delta r, \Delta c \sim U\{-p, \dots, p\}

    Source: Simard, Steinkraus & Platt 2003, doi:10.1109/ICDAR.2003.1227801, section 2 (displacements).

    Args:
        pixels: p, 1 or more.
        image: rows and columns that the inputs are, row by row, the colours of a pixel side by side; null for
            a square of one colour or of three.
    """

    pixels: Annotated[int, SIDE] = 1
    image: tuple[Annotated[int, SIDE], Annotated[int, SIDE]] | None = None

    def __post_init__(self) -> None:
        check_ranges(self, "training.augment")

    def check(self, x: Samples) -> None:
        if not isinstance(x, Tensor) or x.ndim != 2:
            allowed = "none where samples last: a time series is no image"
            raise InputError("training.augment", "shift", allowed)
        rows, columns = self._shape(x.shape[1])
        if self.pixels >= min(rows, columns):
            allowed = f"fewer than the {min(rows, columns)} pixels of a side"
            raise InputError("training.augment.pixels", self.pixels, allowed)

    def _shape(self, inputs: int) -> tuple[int, int]:
        """Return rows and columns; a pixel has as many colours as are left."""
        if self.image is not None:
            if inputs % (self.image[0] * self.image[1]):
                allowed = f"rows and columns of {inputs} inputs, with one colour or several"
                raise InputError("training.augment.image", list(self.image), allowed)
            return self.image
        for colours in (1, 3):
            side = math.isqrt(inputs // colours)
            if side * side * colours == inputs:
                return side, side
        fix = "Give rows and columns, such as image: [28, 28]."
        raise InputError("training.augment.image", None, f"two sizes: {inputs} inputs are no square", fix)

    def __call__(self, x: Tensor, generator: np.random.Generator) -> Tensor:
        rows, columns = self._shape(x.shape[1])
        moved = torch.from_numpy(generator.integers(-self.pixels, self.pixels + 1, (2, len(x), 1)))
        r, c = torch.arange(rows) - moved[0], torch.arange(columns) - moved[1]
        inside = ((r >= 0) & (r < rows))[:, :, None, None] & ((c >= 0) & (c < columns))[:, None, :, None]
        sample = torch.arange(len(x))[:, None, None]
        images = x.reshape(len(x), rows, columns, -1)
        found = images[sample, r.clamp(0, rows - 1)[:, :, None], c.clamp(0, columns - 1)[:, None, :]]
        return torch.where(inside, found, 0.0).reshape(x.shape)
