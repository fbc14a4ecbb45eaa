"""Basal shadow membranes: the same currents as their neurons', but for the feedback."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..loihi import shifted
from ..neurons import fixed, floating, part
from .base import Model, Process, model_of

__all__ = ["Shadow"]


class Shadow(Process):
    """Receives the current of a population and counts what its shadow would emit.

    In the learning phase it sends that on ``basal``.
    """

    receives = ("current",)
    sends = ("basal",)
    real = ("basal",)


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


@model_of(Shadow, float)
class ShadowFloat(_ShadowModel):
    """Floating point."""

    stepper = staticmethod(floating)

    def carried(self, current: Any) -> Any:
        return current


@model_of(Shadow, np.int64)
class ShadowFixed(_ShadowModel):
    """Loihi's integers."""

    stepper = staticmethod(fixed)

    def carried(self, current: Any) -> Any:
        """Scale the current, made for the neuron's leak, to the shadow's."""
        return shifted(current * self.ratio, 12)
