"""Which parameter deviates, how, and from which seed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from mismatch.distributions import Distribution
from rate_bridge.errors import InputError, nearest
from spiking.network import Network

__all__ = ["MismatchSpec", "deviating"]

SYNAPTIC = ("weight", "feedback")
READOUT = ("readout_gain", "readout_offset", "kp", "ki")


@dataclass(frozen=True)
class MismatchSpec:
    """The hidden deviations of a population of chips.

    Args:
        chips: number of chips.
        seed: root of the mismatch seed tree; chip k is a function of it and k alone.
        deviations: parameter name (without its unit) to the distribution of its deviation.
        first_chip: index of the first chip, so that tuning can use chips other than those reported.
        shadow: ``"own"``: a basal shadow membrane deviates on its own, as on a real chip;
            ``"shared"``: it is an exact twin of its neuron, an idealisation.
    """

    chips: int = 1
    seed: int = 1
    deviations: Mapping[str, Distribution] = field(default_factory=dict)
    first_chip: int = 0
    shadow: str = "own"

    def __post_init__(self) -> None:
        if self.chips < 1:
            raise InputError("mismatch.chips", self.chips, "1 or more")
        if self.seed < 0:
            raise InputError("mismatch.seed", self.seed, "0 or more")
        if self.first_chip < 0:
            raise InputError("mismatch.first_chip", self.first_chip, "0 or more")
        if self.shadow not in ("own", "shared"):
            raise InputError("mismatch.shadow", self.shadow, "own, shared")

    def check(self, network: Network) -> None:
        """Raise `InputError` for a deviation of something the network does not have."""
        known = deviating(network)
        for name in self.deviations:
            if name not in known:
                raise InputError("mismatch", name, ", ".join(known), nearest(name, known))


def deviating(network: Network) -> list[str]:
    """Return the names of everything that can deviate in `network`."""
    neurons = {p.name for layer in network.layers for p in layer.neuron.parameters}
    return [*sorted(neurons), *SYNAPTIC, *READOUT]
