"""Pairs of presentations that get known currents of opposite sign: what is different was made by them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import final

import torch
from torch import Tensor

from learning.model import Model
from learning.stimulus import Batch
from spiking.presentation import Observation, Phase, Recording

__all__ = ["Probe"]


@final
@dataclass(frozen=True)
class Probe:
    """Two presentations without a controller, from one state and with the same input.

    Args:
        name: tells several probes apart; also names the random numbers.
        sigma: size of the constant currents, whose signs are random per neuron and sample, the same on all
            chips.
        outputs: whether the output layer gets currents too.
    """

    name: str
    sigma: float
    outputs: bool

    @property
    def _names(self) -> tuple[str, str]:
        return f"{self.name}_plus", f"{self.name}_minus"

    def phases(self, batch: Batch, model: Model) -> tuple[Phase, ...]:
        """Return the two presentations."""
        currents: list[Tensor | None] = [*self.currents(batch, model)]
        currents += [None] * (model.network.depth - len(currents))
        return tuple(
            model.stimulus.phase(
                name,
                batch,
                currents=tuple(None if n is None else sign * n for n in currents),
                start=self.name,
                shared_input=True,
                one_window=True,
            )
            for name, sign in zip(self._names, (1.0, -1.0), strict=True)
        )

    def currents(self, batch: Batch, model: Model) -> list[Tensor]:
        """Return the currents of the first presentation, per layer from the first on, ``(batch, n)``."""
        layers = model.network.layers if self.outputs else model.network.layers[:-1]
        drawn = []
        for index, layer in enumerate(layers):
            generator = model.seeds.child(self.name, *batch.key, index).generator()
            signs = generator.integers(0, 2, (len(batch.x), layer.size))
            drawn.append(self.sigma * (2.0 * torch.from_numpy(signs).to(model.device).double() - 1.0))
        return drawn

    def was_shown(self, observation: Observation) -> bool:
        """Return whether the two presentations are part of `observation`."""
        return self._names[0] in observation

    def answers(self, observation: Observation, index: int) -> tuple[Tensor, Tensor]:
        """Return mean and half the difference of the rates of layer ``index + 1``, ``(chips, batch, n)``."""
        plus, minus = (seen.rates[index + 1] for seen in self.seen(observation))
        return (plus + minus) / 2.0, (plus - minus) / 2.0

    def seen(self, observation: Observation) -> tuple[Recording, Recording]:
        """Return what was measured with the currents, and with their opposite."""
        plus, minus = (observation[name] for name in self._names)
        return plus, minus
