"""The card of a population of chips: what they are and what can be asked of them."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import final

from root.errors import InputError, UnsupportedError
from spiking.network import Network, chain
from spiking.neurons import LIF
from spiking.presentation import TRACES, Phase, SpikeDrive

__all__ = ["ABILITIES", "Card", "design_of"]

ABILITIES = {
    "trial": "measurements that leave no trace",
    "start": "random initial states that phases can share",
    "after": "phases that go on from where another one ended",
    "shadow": "basal shadow membranes",
    "control": "a controller inside the loop",
    "softmax": "a soft-max inside the loop",
    "currents": "injected currents",
    "tracking": "a controller whose target moves",
    "noise": "noise in the feedback compartments",
    "plasticity": "synapses that change by themselves",
    "eligibility": "synapses that change by themselves, with a trace",
    "relay": "feedback that is relayed from layer to layer",
    "spikes_in": "input as spikes",
    "currents_in": "input as currents",
    "memory": "synapses that remember what was written to them",
    **{f"record:{name}": f"traces of {name}" for name in TRACES},
}
"""What chips may be able to do, and what it means."""


@final
@dataclass(frozen=True)
class Card:
    """What a population of chips says about itself.

    Args:
        name: what kind of chips these are, in words.
        sizes: sizes of layers 0 to L.
        chips: number of chips.
        abilities: names from `ABILITIES`.
        dt_ms: time step.
        max_rate_hz: the rate that counts as 1.
        weight_bits: bits of a synapse, sign included, or 0 where there is no such limit.
        samples_at_once: how many samples a chip takes at the same time, or 0 for as many as there are.
        design: a checksum of the description they were built from; empty where nobody knows it.
        identity: names these chips among all others; empty where they are what their configuration says.
    """

    name: str
    sizes: tuple[int, ...]
    chips: int
    abilities: frozenset[str]
    dt_ms: float = 1.0
    max_rate_hz: float = 100.0
    weight_bits: int = 0
    samples_at_once: int = 0
    design: str = ""
    identity: str = ""

    def __post_init__(self) -> None:
        if unknown := self.abilities.difference(ABILITIES):
            raise InputError("card.abilities", sorted(unknown), ", ".join(ABILITIES))
        if self.chips < 1:
            raise InputError("card.chips", self.chips, "1 or more")

    @property
    def traces(self) -> frozenset[str]:
        """Names of the traces that can be recorded."""
        return frozenset(name for name in TRACES if f"record:{name}" in self.abilities)

    def check_network(self, network: Network) -> None:
        """Raise `InputError` where the chips are not of this design."""
        for key, ours, theirs in (
            ("network.layers", tuple(network.sizes), self.sizes),
            ("simulator.dt_ms", network.dt_ms, self.dt_ms),
            ("bridge.max_rate_hz", network.max_rate_hz, self.max_rate_hz),
        ):
            if ours != theirs:
                raise InputError(key, ours, f"{theirs}, as the chips have it ({self.name})")
        if self.design and self.design != design_of(network):
            allowed = "the design that the chips were built from"
            fix = "Neurons, delays or the read-out differ; take the config they are served from."
            raise InputError("network", f"a design with the checksum {design_of(network)}", allowed, fix)

    def plain_network(self) -> Network:
        """Return a chain of the sizes, with spiking neurons about which nothing is known."""
        return chain(self.sizes, LIF(), dt_ms=self.dt_ms, max_rate_hz=self.max_rate_hz)

    def check_phases(self, phases: Sequence[Phase]) -> None:
        """Raise `UnsupportedError` where the chips cannot do what `phases` ask for."""
        for phase in phases:
            if missing := sorted(_asked(phase) - self.abilities):
                words = "; ".join(f"{name} ({ABILITIES[name]})" for name in missing)
                given = f"the phase {phase.name!r}, which needs {words}"
                allowed = (
                    f"what the chips can do: {', '.join(sorted(self.abilities)) or 'nothing but spikes'}"
                )
                raise UnsupportedError("chips", given, allowed, "Take another rule or other chips.")


def _asked(phase: Phase) -> set[str]:
    """Return the abilities that a phase needs; a shared start is a wish that silicon need not fulfil."""
    asked = {
        "after": phase.after is not None,
        "shadow": phase.shadow,
        "control": phase.controller is not None,
        "currents": any(current is not None for current in phase.currents),
        "spikes_in": isinstance(phase.drive, SpikeDrive),
        "currents_in": not isinstance(phase.drive, SpikeDrive),
    }
    return (
        {name for name, wanted in asked.items() if wanted}
        | phase.needs
        | {f"record:{name}" for name in phase.record}
    )


def design_of(network: Network) -> str:
    """Return a checksum of a description, the same in every process."""
    return hashlib.sha256(repr(network).encode()).hexdigest()[:16]
