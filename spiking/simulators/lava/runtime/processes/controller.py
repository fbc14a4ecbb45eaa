"""The read-out trace, and the controller that closes the loop."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..loihi import decayed, saturated, shifted
from ..neurons import part
from .base import Model, Process, model_of

__all__ = ["Controller"]


class Controller(Process):
    """Receives the last layer's emissions (with ``deltas``, their changes, which it adds up to ``heard``).

    Where ``closed`` it sends the control signal on ``out``; where feedback is layered, every ``relay`` steps
    also on ``relay``, to the last hidden layer.
    It sends first: the signal of a step depends on the trace of the step before.
    """

    receives = ("spikes",)
    sends = ("out", "relay")


class _ControllerModel(Model):
    def prepare(self, parameters: Any) -> None:
        self.closed, self.every = parameters["closed"], parameters["relay"]
        self.constants = part(self.arrays, "controller.")
        self.heard: Any = None

    def begin(self, shown: slice) -> None:
        arrays = self.arrays
        self.trace, self.integral = arrays["trace"][:, shown], arrays["integral"][:, shown]
        if self.deltas:
            self.heard = arrays["heard"][:, shown]
        self.p = {name: self.part(array, shown) for name, array in self.constants.items()}
        self.window, self.sum = arrays["window"][shown], arrays["sum.control"][:, shown]
        self.record_control = arrays["record.control"][:, shown] if "record.control" in arrays else None
        self.record_readout = arrays["record.readout"][:, shown] if "record.readout" in arrays else None

    def step(self, t: int) -> None:
        if self.closed:
            control = self.control(t)
            self.out.send(control)
            if self.every and t % self.every == 0:
                self.relay.send(control)
            weight = self.window[:, t]
            if weight.any():
                self.sum += weight[:, None] * control
            if self.record_control is not None:
                self.record_control[:, :, t] = control
        emitted = self.spikes.recv()
        if self.heard is not None:
            self.heard += emitted
            emitted = self.heard
        self.follow(emitted)
        if self.record_readout is not None:
            self.record_readout[:, :, t] = self.trace


@model_of(Controller, float)
class ControllerFloat(_ControllerModel):
    """Floating point; see `spiking.presentation.Controller`."""

    def control(self, t: int) -> Any:
        p = self.p
        target = p["course"][:, :, t] if "course" in p else p["target"]
        error = target - (p["gain"] * self.trace + p["offset"])
        self.integral += p["ki"] * error - p["leak"] * self.integral
        return (p["kp"] * error + self.integral) * p["on"]

    def follow(self, emitted: NDArray[Any]) -> None:
        self.trace *= self.p["trace_decay"]
        self.trace += self.p["trace_gain"] * emitted


@model_of(Controller, np.int64)
class ControllerFixed(_ControllerModel):
    """Integers: rates with 16 binary digits, the integral with 24; see the simulator ``loihi``."""

    def control(self, t: int) -> Any:
        del t  # the target does not move
        p = self.p
        error = p["target"] - (shifted(p["gain"] * self.trace, 12) + p["offset"])
        self.integral += shifted(p["ki"] * error, 12) - shifted(p["leak"] * self.integral, 20)
        self.integral[...] = saturated(self.integral, 32)
        return saturated(shifted(p["kp"] * error, 12) + shifted(self.integral, 8), 24) * p["on"]

    def follow(self, emitted: NDArray[Any]) -> None:
        self.trace[...] = saturated(
            decayed(self.trace, self.p["trace_decay"]) + self.p["trace_gain"] * emitted, 24
        )
