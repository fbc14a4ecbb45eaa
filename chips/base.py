"""What training holds: chips that are programmed and presented to, wherever they are."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from chips.card import Card
from spiking.network import Network
from spiking.presentation import Observation, Phase, Weights

__all__ = ["Chips"]


class Chips(ABC):
    """A population of chips of one design: simulated here, in another process, or of silicon.

    What is in them stays in them: weights go in, observations come out. What they can do beyond that is a
    named ability on their `card`; who wants more than they can is refused with the reason.
    """

    _network: Network
    _card: Card

    @property
    def network(self) -> Network:
        """The design."""
        return self._network

    @property
    def card(self) -> Card:
        """What the chips can do."""
        return self._card

    @property
    @abstractmethod
    def now_ms(self) -> float:
        """The chips' clock: how long they have existed."""

    @property
    def device(self) -> torch.device:
        """Where weights and what is observed live: the processor, but for simulated chips on a GPU."""
        return torch.device("cpu")

    @property
    def bench(self) -> Chips | None:
        """Simulated chips, from which the design itself and other chips can be had; None on silicon."""
        return None

    @property
    def chips(self) -> int:
        """Number of chips."""
        return self.card.chips

    @property
    def answers(self) -> Tensor:
        """Which chips answered when they were last asked, boolean, ``(chips,)``."""
        return torch.ones(self.chips, dtype=torch.bool)

    @property
    def silent(self) -> Mapping[int, str]:
        """Chips that have been silent for some of the time, counted from 0, and what was lost, in words."""
        return {}

    @abstractmethod
    def program(self, weights: Weights) -> None:
        """Write weights; what the chips make of them stays inside.

        Raises:
            InputError: they are not those of this network on so many chips.
        """

    @abstractmethod
    def present(self, phases: Sequence[Phase], *presentation: str | int) -> Observation:
        """Show phases to every chip and return what can be measured from outside.

        Args:
            phases: what to run, each on all chips.
            presentation: names this presentation, so that its initial states and its noise are its own.

        Returns:
            the recordings by the name of their phase.

        Raises:
            UnsupportedError: the chips cannot do something that a phase asks for.
            RuntimeError: nothing was programmed yet.
        """

    @abstractmethod
    def advance(self, milliseconds: float) -> None:
        """Let time pass while nothing is presented."""

    def trial(self) -> Chips:
        """Return the same chips for measurements.

        With the ability ``trial`` they leave no trace: what is written and the time that passes are
        forgotten with them. Without it these are the chips themselves: program them again afterwards.
        """
        return self

    @abstractmethod
    def state(self) -> dict[str, Any]:
        """Return what is needed to go on from here later, for a checkpoint; no values of the chips' own."""

    @abstractmethod
    def restore(self, state: dict[str, Any]) -> None:
        """Go on from what `state` returned; the chips must be programmed again before a presentation.

        Raises:
            InputError: the chips are others, or have lost what they held.
        """

    def close(self) -> None:  # noqa: B027 (most chips hold nothing that has to be given back)
        """Let go of the chips; nothing can be asked of them any more."""
