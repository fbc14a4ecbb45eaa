"""What a kind of imperfection is, beyond a parameter that deviates once and for all."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar, final

from torch import Tensor

from mismatch.distributions.normal import FLOOR
from mismatch.streams import Streams
from root.errors import InputError, nearest
from spiking.connections import Synapses
from spiking.hardware import Hardware
from spiking.network import Network
from spiking.neurons.base import Values

__all__ = [
    "Die",
    "Effect",
    "Imperfection",
    "Moment",
    "Write",
    "check_parameters",
    "scaled_parameters",
]


@final
@dataclass(frozen=True)
class Die:
    """What an imperfection is drawn for.

    Args:
        network: the design.
        streams: the kind's own random numbers, a function of the mismatch seed and the chip alone.
        shared: whether a shadow membrane is an exact twin of its neuron.
    """

    network: Network
    streams: Streams
    shared: bool

    def synapses(self) -> dict[str, tuple[int, ...]]:
        """Return the shape of every group of synapses: ``forward.1`` ..., ``feedback.1`` ....

        It is a matrix, or a row where not all are joined to all.
        """
        own = enumerate(self.network.synapses, start=1)
        forward: dict[str, tuple[int, ...]] = {f"forward.{index}": s.shape for index, s in own}
        return forward | {
            f"feedback.{index}": shape for index, shape in enumerate(self.network.feedback_shapes, start=1)
        }

    def wired(self, name: str) -> Synapses | None:
        """Return the synapses of a group that is no matrix, or None.

        Args:
            name: as `synapses` calls it.
        """
        place, _, index = name.partition(".")
        groups = self.network.synapses if place == "forward" else self.network.feedback_synapses
        synapses = groups[int(index) - 1]
        return None if synapses.dense else synapses


@final
@dataclass(frozen=True)
class Write:
    """One matrix of synapses being programmed.

    Args:
        name: ``forward.1`` ..., ``feedback.1`` ....
        asked: what is wanted now, ``(chips, *shape)``.
        asked_before: what was wanted the last time; None at the first programming.
        stored: what the devices hold; None at the first programming.
        value: what they will hold where they are written.
        moved: where they are written at all.
        count: number of writes every device has had.
        streams: random numbers of this write.
    """

    name: str
    asked: Tensor
    asked_before: Tensor | None
    stored: Tensor | None
    value: Tensor
    moved: Tensor
    count: Tensor
    streams: Streams


@final
@dataclass(frozen=True)
class Moment:
    """When a presentation begins.

    Args:
        now_ms: the chips' clock: time since they were made.
        written_ms: per matrix of synapses, the clock at each device's last write; empty where nobody
            asked for it.
        streams: random numbers of this presentation.
    """

    now_ms: float
    written_ms: Mapping[str, Tensor]
    streams: Streams


class Effect:
    """What an imperfection does to chips that are there; every hook takes values and returns values.

    Nothing is kept between calls: what must be remembered (what the devices hold, when they were
    written, how often) is the chip's, and arrives with the call.
    """

    def write(self, write: Write) -> Write:
        """Change what programming a matrix of synapses comes to."""
        return write

    def settle(self, hardware: Hardware) -> Hardware:
        """Change the effective values after every programming; what stays as it is until the next."""
        return hardware

    def age(self, hardware: Hardware, moment: Moment) -> Hardware:
        """Change the effective values with time: a function of the clock, without new random numbers."""
        return hardware

    def read(self, hardware: Hardware, moment: Moment) -> Hardware:
        """Add what is random anew in every presentation."""
        return hardware


@dataclass(frozen=True)
class Imperfection(ABC):
    """A kind of imperfection: members are final frozen dataclasses whose fields are their config keys.

    A member is registered in ``spiketrain.imperfections`` under the key it has in a config, below
    ``mismatch``; nothing else knows its name.
    """

    order: ClassVar[int] = 0
    """Kinds act in this order, then by name, whatever the order of a config's keys."""

    remembers: ClassVar[bool] = False
    """Whether the chips must remember what was written to every synapse, how often and when."""

    shorthand: ClassVar[str] = ""
    """The field that a text alone stands for in a config, where there is one."""

    spares_synapses: ClassVar[bool] = False
    """Whether it changes neurons alone, so that synapses may learn by themselves beside it."""

    needs: ClassVar[frozenset[str]] = frozenset()
    """What a simulator must be able to do; see `Simulator.abilities`."""

    @property
    def drifts(self) -> bool:
        """Whether chips that are left alone change with time."""
        return False

    def check(self, network: Network) -> None:  # noqa: B027 (most kinds are at home in every network)
        """Raise `InputError` where this kind has nothing to act on in `network`."""

    @abstractmethod
    def on(self, die: Die) -> Effect:
        """Draw what differs from device to device, once, and return what it does."""


def check_parameters(names: Iterable[str], network: Network, key: str) -> None:
    """Raise `InputError` unless `names` are parameters of the network's neurons, one or more."""
    known = sorted({p.name for layer in network.layers for p in layer.neuron.parameters})
    given = list(names)
    if not given:
        raise InputError(key, {}, f"one or more of {', '.join(known)}, each with a number")
    for name in given:
        if name not in known:
            raise InputError(key, name, ", ".join(known), nearest(name, known))
        if not _can_change(name, network):
            allowed = "parameters that are not 0 in the design: a change of theirs is relative"
            raise InputError(f"{key}.{name}", name, allowed, "Remove the key, or set the nominal value.")


def _can_change(name: str, network: Network) -> bool:
    """Return whether a relative change of the parameter `name` does anything in `network`."""
    found = [(layer.neuron, p) for layer in network.layers for p in layer.neuron.parameters if p.name == name]
    return any(p.additive or neuron.nominal[p.field] != 0 for neuron, p in found)


def scaled_parameters(
    network: Network, layers: Sequence[Values], changes: Sequence[Mapping[str, Tensor]]
) -> tuple[Values, ...]:
    """Return parameters that changed by a fraction, or, where they are additive, by an amount.

    Args:
        network: the design.
        layers: parameter values per layer, by field.
        changes: per layer, parameter name to its change, which broadcasts against ``(chips, n)``; no factor
            falls below `FLOOR`.
    """
    changed = []
    for layer, values, change in zip(network.layers, layers, changes, strict=True):
        new = dict(values)
        for parameter in layer.neuron.parameters:
            if parameter.name in change:
                delta, value = change[parameter.name], values[parameter.field]
                new[parameter.field] = (
                    value + delta if parameter.additive else value * (1 + delta).clamp(min=FLOOR)
                )
        changed.append(new)
    return tuple(changed)
