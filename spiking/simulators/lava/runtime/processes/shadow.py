"""Basal shadow membranes: the same currents as their neurons', but for the feedback."""

from __future__ import annotations

from typing import Any

import numpy as np
from lava.magma.core.decorator import implements, requires, tag
from lava.magma.core.model.py.ports import PyInPort, PyOutPort
from lava.magma.core.model.py.type import LavaPyType
from lava.magma.core.process.ports.ports import InPort, OutPort
from lava.magma.core.process.process import AbstractProcess
from lava.magma.core.resources import CPU
from lava.magma.core.sync.protocols.loihi_protocol import LoihiProtocol

from ..loihi import shifted
from ..neurons import fixed, floating, part
from .base import Model

__all__ = ["Shadow"]


class Shadow(AbstractProcess):
    """Receives the current of a population and counts what its shadow would emit.

    In the learning phase it sends that on ``basal``.
    """

    def __init__(self, **parameters: Any) -> None:
        super().__init__(**parameters)
        self.current, self.basal = InPort(parameters["shape"]), OutPort(parameters["shape"])


class _ShadowModel(Model):
    stepper: Any

    def prepare(self, parameters: Any) -> None:
        layer = parameters["layer"]
        prefix = f"shadow.{layer}"
        self.advance = self.stepper(parameters["neuron"])
        self.states, self.constants = (
            part(self.arrays, f"{prefix}.state."),
            part(self.arrays, f"{prefix}.constant."),
        )
        self.extra_bias = self.arrays[f"{prefix}.extra_bias"]
        self.ratio = self.arrays.get(f"{prefix}.ratio")
        self.sums = self.arrays[f"sum.{prefix}"]

    def begin(self, shown: slice) -> None:
        self.state = {name: array[:, shown] for name, array in self.states.items()}
        self.window, self.sum = self.arrays["window"][shown], self.sums[:, shown]

    def step(self, t: int) -> None:
        emitted = self.advance(
            self.state, self.carried(self.current.recv()) + self.extra_bias, self.constants
        )
        weight = self.window[:, t]
        if weight.any():
            self.sum += weight[:, None] * emitted

    def learn(self, presentation: int) -> None:
        self.basal.send(self.sum)


@implements(proc=Shadow, protocol=LoihiProtocol)
@requires(CPU)
@tag("floating_pt")
class ShadowFloat(_ShadowModel):
    """Floating point."""

    current: PyInPort = LavaPyType(PyInPort.VEC_DENSE, float)
    basal: PyOutPort = LavaPyType(PyOutPort.VEC_DENSE, float)
    stepper = staticmethod(floating)

    def carried(self, current: Any) -> Any:
        return current


@implements(proc=Shadow, protocol=LoihiProtocol)
@requires(CPU)
@tag("fixed_pt")
class ShadowFixed(_ShadowModel):
    """Loihi's integers."""

    current: PyInPort = LavaPyType(PyInPort.VEC_DENSE, np.int64)
    basal: PyOutPort = LavaPyType(PyOutPort.VEC_DENSE, float)
    stepper = staticmethod(fixed)

    def carried(self, current: Any) -> Any:
        """Scale the current, made for the neuron's leak, to the shadow's."""
        return shifted(current * self.ratio, 12)
