"""The input: a raster of spikes, or values that act as currents."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..deltas import Deltas
from .base import Model, Process, model_of

__all__ = ["Source"]


class Source(Process):
    """Sends the array ``drive``, ``(batch, time, inputs)``, or ``(batch, inputs)`` in every step.

    With ``deltas`` it sends how that changes; see `runtime.deltas`.
    """

    sends = ("out",)


class _SourceModel(Model):
    kind: Any = float

    def prepare(self, parameters: Any) -> None:
        self.drive = self.arrays["drive"]

    def begin(self, shown: slice) -> None:
        self.shown = self.drive[shown]
        self.told = Deltas(self.arrays, 0, shown) if self.deltas else None

    def step(self, t: int) -> None:
        values = self.shown if self.shown.ndim == 2 else self.shown[:, t]
        values = values[None].astype(self.kind)
        self.out.send(values if self.told is None else self.told(values))


@model_of(Source, float)
class SourceFloat(_SourceModel):
    """The source in floating point."""


@model_of(Source, np.int64)
class SourceFixed(_SourceModel):
    """The source in integers: spikes, or graded spikes with a payload."""

    kind = np.int64
