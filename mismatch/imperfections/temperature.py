"""What the whole die drifts by."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Annotated, ClassVar, final

from mismatch.imperfections.base import (
    Die,
    Effect,
    Imperfection,
    Moment,
    check_parameters,
    scaled_parameters,
)
from mismatch.imperfections.processes import Wandering
from root.errors import InputError
from root.ranges import COEFFICIENT, KELVIN, LONG_S, check_ranges
from spiking.hardware import Hardware
from spiking.network import Network

__all__ = ["Temperature"]


@final
@dataclass(frozen=True)
class Temperature(Imperfection):
    r"""One temperature per chip, and parameters that follow it.

    .. math::
        p(t) = p\,(1 + c_p\, \Delta T(t)) \quad (\text{additive: } p + c_p\, \Delta T), \qquad
        \Delta T(t) = \sigma_T\, y(t)

    with y of :class:`~mismatch.imperfections.processes.Wandering`, one per chip, 0 when the chip is made.

    Source: our model. A threshold voltage of a MOS transistor falls by 0.5 to 4 mV per kelvin (Sze & Ng,
    "Physics of Semiconductor Devices", 2006, ch. 6); what that comes to depends on the circuit.

    Args:
        coefficients: parameter name to :math:`c_p`, per kelvin, such as ``{threshold: -0.002}``.
        swing_kelvin: :math:`\sigma_T`, standard deviation long after the start.
        tau_s: correlation time, in seconds of the chips' clock.
    """

    coefficients: Mapping[str, Annotated[float, COEFFICIENT]]
    swing_kelvin: Annotated[float, KELVIN] = 5.0
    tau_s: Annotated[float, LONG_S] = 3600.0

    order: ClassVar[int] = 80
    spares_synapses: ClassVar[bool] = True

    def __post_init__(self) -> None:
        check_ranges(self)
        for name, value in self.coefficients.items():
            if value == 0:
                raise InputError(f"coefficients.{name}", value, "a number other than 0", "Remove the key")

    @property
    def drifts(self) -> bool:
        return True

    def check(self, network: Network) -> None:
        check_parameters(self.coefficients, network, "coefficients")

    def on(self, die: Die) -> Effect:
        return _Warmth(self, die)


class _Warmth(Effect):
    def __init__(self, temperature: Temperature, die: Die) -> None:
        self.settings, self.network = temperature, die.network
        self.process = Wandering(die.streams, (1,), 1000.0 * temperature.tau_s)

    def age(self, hardware: Hardware, moment: Moment) -> Hardware:
        kelvin = self.settings.swing_kelvin * self.process.at(moment.now_ms)
        change = {name: c * kelvin for name, c in self.settings.coefficients.items()}
        changes = [change] * self.network.depth
        return replace(
            hardware,
            neurons=scaled_parameters(self.network, hardware.neurons, changes),
            shadows=scaled_parameters(self.network, hardware.shadows, changes),
        )
