"""The gains of the controller."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any, final

from torch import Tensor

from root.errors import InputError
from root.ranges import FACTOR, check_ranges
from spiking.presentation import Controller

__all__ = ["ControllerGains"]


@final
@dataclass(frozen=True)
class ControllerGains:
    """Gains of the controller; see :class:`spiking.presentation.Controller`.

    Args:
        kp: proportional gain, 0 or more.
        ki_per_ms: integral gain, 0 or more.
        leak_per_ms: leak of the integral, 0 or more.
        trace_at_target: start the read-out trace at the target.
    """

    kp: Annotated[float, FACTOR] = 0.5
    ki_per_ms: Annotated[float, FACTOR] = 0.01
    leak_per_ms: Annotated[float, FACTOR] = 0.0
    trace_at_target: bool = False

    def __post_init__(self) -> None:
        check_ranges(self, "rule.controller")
        if self.kp == 0 and self.ki_per_ms == 0:
            raise InputError("rule.controller.kp", 0.0, "a number > 0, or ki_per_ms > 0")

    @property
    def alpha(self) -> float:
        r"""The α of :math:`e = \alpha u` at rest: :math:`1 / (k_p + k_i / leak)`, 0 without a leak."""
        if self.ki_per_ms > 0 and self.leak_per_ms == 0:
            return 0.0
        integral = self.ki_per_ms / self.leak_per_ms if self.ki_per_ms > 0 else 0.0
        return 1.0 / (self.kp + integral)

    def towards(self, target: Tensor, **options: Any) -> Controller:
        """Return a controller that pushes the output to `target`; see `Controller` for the options."""
        gains = (self.kp, self.ki_per_ms, self.leak_per_ms, self.trace_at_target)
        return Controller(target, *gains, **options)
