"""Chips under test, and simple things to show them."""

from __future__ import annotations

from dataclasses import replace
from typing import final

import torch
from torch import Tensor

from chips.base import Chips
from rate_bridge.filters import window
from spiking.presentation import CurrentDrive, Phase, Recording, SpikeDrive, Weights

__all__ = ["BUSY", "QUIET", "SHARE", "STEPS", "Bench"]

STEPS = 120
"""Steps of a presentation, the second half of which is counted."""

BUSY = 0.3
"""Probability of an input spike in a step, where inputs are active."""

STRENGTHS = (0.5, 1.0, 2.0, 4.0, 8.0, 16.0, 32.0)
"""Weights that are tried until the chips are active."""

QUIET = 0.02
"""A mean rate that counts as silence, 1 = ``max_rate_hz``."""

SHARE = 0.75
"""Part of the neurons that must do as expected: some may be dead."""


@final
class Bench:
    """Chips under test, and simple things to show them.

    Args:
        chips: the chips.
    """

    def __init__(self, chips: Chips) -> None:
        self.chips, self.sizes, self.count = chips, chips.network.sizes, chips.chips
        self.strength = STRENGTHS[-1]
        self._shown = 0

    @property
    def takes_spikes(self) -> bool:
        """Whether input is spikes, else currents."""
        return "spikes_in" in self.chips.card.abilities

    def weights(self, fill: float, biases: float = 0.0) -> Weights:
        """Return weights that are all the same."""
        pairs = [(c.pre, c.post) for c in self.chips.network.connections]
        return Weights(
            forward=tuple(
                torch.full((self.count, self.sizes[a], self.sizes[b]), fill).double() for a, b in pairs
            ),
            bias=tuple(torch.full((self.count, n), biases).double() for n in self.sizes[1:]),
        )

    def uniform(self) -> Weights:
        """Return weights with which active inputs drive every neuron, however many there are before it."""
        plain = self.weights(1.0)
        return replace(plain, forward=tuple(self.strength * w / w.shape[1] * 4.0 for w in plain.forward))

    def phase(self, busy: Tensor, steps: int = STEPS, last: int | None = None, **options: object) -> Phase:
        """Return a phase in which inputs are active with probabilities ``(batch, inputs)`` or per step."""
        over_time = busy if busy.ndim == 3 else busy.unsqueeze(1).expand(-1, steps, -1)
        drawn = torch.rand(over_time.shape, generator=torch.Generator().manual_seed(3)) < over_time
        drive = SpikeDrive(drawn) if self.takes_spikes else CurrentDrive(over_time.double())
        made = Phase("check", drive, window(steps, last or steps // 2))
        return replace(made, **options)  # type: ignore[arg-type]

    def show(self, weights: Weights, phase: Phase, chips: Chips | None = None) -> Recording:
        """Program and present, and return what is seen."""
        held = chips or self.chips
        held.program(weights)
        self._shown += 1
        return held.present((phase,), "check", self._shown)[phase.name]

    def busy(self, *levels: float) -> Tensor:
        """Return inputs, one sample a level, all inputs alike."""
        return torch.tensor(levels).unsqueeze(1).expand(-1, self.sizes[0]) * BUSY

    def find_strength(self) -> None:
        """Look for weights with which most neurons of every layer answer active inputs."""
        for strength in STRENGTHS:
            self.strength = strength
            seen = self.show(self.uniform(), self.phase(self.busy(1.0)))
            if all(float((r > QUIET).double().mean()) >= SHARE for r in seen.rates[1:]):
                return
