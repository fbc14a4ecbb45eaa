"""The input: a raster of spikes, or values that act as currents."""

from __future__ import annotations

from typing import Any

import numpy as np
from lava.magma.core.decorator import implements, requires, tag
from lava.magma.core.model.py.ports import PyOutPort
from lava.magma.core.model.py.type import LavaPyType
from lava.magma.core.process.ports.ports import OutPort
from lava.magma.core.process.process import AbstractProcess
from lava.magma.core.resources import CPU
from lava.magma.core.sync.protocols.loihi_protocol import LoihiProtocol

from ..deltas import Deltas
from .base import Model

__all__ = ["Source"]


class Source(AbstractProcess):
    """Sends the array ``drive``, ``(batch, time, inputs)``, or ``(batch, inputs)`` in every step.

    With ``deltas`` it sends how that changes; see `runtime.deltas`.
    """

    def __init__(self, **parameters: Any) -> None:
        super().__init__(**parameters)
        self.out = OutPort(parameters["shape"])


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


@implements(proc=Source, protocol=LoihiProtocol)
@requires(CPU)
@tag("floating_pt")
class SourceFloat(_SourceModel):
    """The source in floating point."""

    out: PyOutPort = LavaPyType(PyOutPort.VEC_DENSE, float)


@implements(proc=Source, protocol=LoihiProtocol)
@requires(CPU)
@tag("fixed_pt")
class SourceFixed(_SourceModel):
    """The source in integers: spikes, or graded spikes with a payload."""

    kind = np.int64
    out: PyOutPort = LavaPyType(PyOutPort.VEC_DENSE, np.int64)
