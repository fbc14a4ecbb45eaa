"""Parameters that wander slowly."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Annotated, ClassVar, final

from torch import Tensor

from mismatch.imperfections.base import (
    Die,
    Effect,
    Imperfection,
    Moment,
    check_parameters,
    scaled_parameters,
)
from mismatch.imperfections.processes import Wandering
from root.ranges import LONG_S, SPREAD, check_ranges
from spiking.hardware import Hardware
from spiking.network import Network

__all__ = ["RandomWalk"]


@final
@dataclass(frozen=True)
class RandomWalk(Imperfection):
    r"""Every neuron's parameters wander on their own, slowly compared with a presentation.

    .. math::
        p(t) = p\,(1 + \sigma_p\, y(t)) \quad (\text{additive: } p + \sigma_p\, y(t)), \qquad
        y(0) = 0, \quad \langle y^2 \rangle \to 1 \text{ for } t \gg \tau

    with y of :class:`~mismatch.imperfections.processes.Wandering`; no factor falls below 0.05.

    Source: our model of ageing and flicker noise over hours, an Ornstein-Uhlenbeck process (Uhlenbeck &
    Ornstein 1930, doi:10.1103/PhysRev.36.823).

    Args:
        std: parameter name to :math:`\sigma_p`, such as ``{threshold: 0.05, tau_m: 0.1}``.
        tau_s: τ, in seconds of the chips' clock.
    """

    std: Mapping[str, Annotated[float, SPREAD]]
    tau_s: Annotated[float, LONG_S] = 3600.0

    order: ClassVar[int] = 70
    spares_synapses: ClassVar[bool] = True

    def __post_init__(self) -> None:
        check_ranges(self)

    @property
    def drifts(self) -> bool:
        return any(size > 0 for size in self.std.values())

    def check(self, network: Network) -> None:
        check_parameters(self.std, network, "std")

    def on(self, die: Die) -> Effect:
        return _Walks(self, die)


class _Walks(Effect):
    def __init__(self, walk: RandomWalk, die: Die) -> None:
        self.walk, self.network = walk, die.network
        self.neurons = self._processes(die, "neuron")
        self.shadows = self.neurons if die.shared else self._processes(die, "shadow")

    def _processes(self, die: Die, place: str) -> list[dict[str, Wandering]]:
        return [
            {
                name: Wandering(
                    die.streams.child(place, index, name), (layer.size,), 1000.0 * self.walk.tau_s
                )
                for name in self.walk.std
            }
            for index, layer in enumerate(die.network.layers)
        ]

    def age(self, hardware: Hardware, moment: Moment) -> Hardware:
        return replace(
            hardware,
            neurons=scaled_parameters(self.network, hardware.neurons, self._at(self.neurons, moment)),
            shadows=scaled_parameters(self.network, hardware.shadows, self._at(self.shadows, moment)),
        )

    def _at(self, processes: Sequence[Mapping[str, Wandering]], moment: Moment) -> list[dict[str, Tensor]]:
        return [
            {name: self.walk.std[name] * process.at(moment.now_ms) for name, process in layer.items()}
            for layer in processes
        ]
