"""Augmentations: what is done to training samples, in every epoch anew, so that few of them teach more."""

from __future__ import annotations

import itertools
import math
from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Annotated, ClassVar, final

import numpy as np
import torch
from torch import Tensor

from rate_bridge.sequences import Samples
from root.errors import InputError
from root.ranges import PIXELS, SIDE, check_ranges

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
    r"""Moves every image, up to `pixels` in each direction; what comes in from outside is 0.

    .. math:: x'_{r,c} = x_{r-\Delta r,\,c-\Delta c}, \qquad \Delta r, \Delta c \sim U\{-p, \dots, p\}

    With `between`, by parts of a pixel too, :math:`\Delta r, \Delta c \sim U(-p, p)`, where x between pixels
    is the bilinear mean of the four around: small images, whose edges are in use, bear half a pixel, not one.

    Source: Simard, Steinkraus & Platt 2003, doi:10.1109/ICDAR.2003.1227801, section 2 (displacements).

    Args:
        pixels: p; a whole number, 1 or more, unless `between`.
        between: whether images come to lie between pixels.
        image: rows and columns that the inputs are, row by row, the colours of a pixel side by side; null for
            a square of one colour or of three.
    """

    pixels: Annotated[float, PIXELS] = 1
    between: bool = False
    image: tuple[Annotated[int, SIDE], Annotated[int, SIDE]] | None = None

    def __post_init__(self) -> None:
        check_ranges(self, "training.augment")
        if not self.between and self.pixels != round(self.pixels):
            allowed, fix = "whole pixels, unless between is true", "Add between: true."
            raise InputError("training.augment.pixels", self.pixels, allowed, fix)

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
        images = x.reshape(len(x), *self._shape(x.shape[1]), -1)
        if not self.between:
            whole = int(self.pixels)
            r, c = torch.from_numpy(generator.integers(-whole, whole + 1, (2, len(x))))
            return _moved(images, r, c).reshape(x.shape)
        drawn = torch.from_numpy(generator.uniform(-self.pixels, self.pixels, (2, len(x))))
        low = drawn.floor().long()
        part = (drawn - low).to(x.dtype)[:, :, None, None, None]
        found = torch.zeros_like(images)
        for down, right in itertools.product((0, 1), repeat=2):
            weight = (part[0] if down else 1 - part[0]) * (part[1] if right else 1 - part[1])
            found += weight * _moved(images, low[0] + down, low[1] + right)
        return found.clamp(0.0, 1.0).reshape(x.shape)  # four weights may add up to a last bit more than 1


def _moved(images: Tensor, down: Tensor, right: Tensor) -> Tensor:
    """Return ``(samples, rows, columns, colours)`` moved by whole pixels, each by its own."""
    rows, columns = images.shape[1:3]
    r, c = torch.arange(rows) - down[:, None], torch.arange(columns) - right[:, None]
    inside = ((r >= 0) & (r < rows))[:, :, None, None] & ((c >= 0) & (c < columns))[:, None, :, None]
    sample = torch.arange(len(images))[:, None, None]
    found = images[sample, r.clamp(0, rows - 1)[:, :, None], c.clamp(0, columns - 1)[:, None, :]]
    return torch.where(inside, found, 0.0)
