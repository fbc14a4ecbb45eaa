"""The read-out trace and the controller in integers: rates with 16 binary digits, the integral with 24."""

from __future__ import annotations

from collections.abc import Mapping
from typing import final

from torch import Tensor

from spiking.simulators.fixed_point.arithmetic import UNITY, decayed_, saturated_, shifted

__all__ = ["Control"]


@final
class Control:
    """A controller under way; see `spiking.presentation.Controller`.

    Args:
        arrays: see `spiking.simulators.fixed_point.program.Program`.
    """

    def __init__(self, arrays: Mapping[str, Tensor]) -> None:
        prefix = "controller."
        self.p = {name[len(prefix) :]: a for name, a in arrays.items() if name.startswith(prefix)}
        self.kept = 1.0 - self.p["trace_decay"] / UNITY
        self.trace, self.integral = arrays["trace"].clone(), arrays["integral"].clone()

    def signal(self) -> Tensor:
        """Return the control signal of a step, ``(chips, batch, n_out)``."""
        p = self.p
        error = p["target"] - (shifted(p["gain"] * self.trace, 12) + p["offset"])
        change = shifted(p["ki"] * error, 12) - shifted(p["leak"] * self.integral, 20)
        self.integral = saturated_(self.integral + change, 32)
        return saturated_(shifted(p["kp"] * error, 12) + shifted(self.integral, 8)) * p["on"]

    def follow(self, emitted: Tensor) -> None:
        """Let the trace follow what the last layer emits."""
        decayed_(self.trace, self.kept).add_(self.p["trace_gain"] * emitted)
        saturated_(self.trace)
