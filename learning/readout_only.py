"""The floor of every comparison: random hidden weights, a trained read-out."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, final

import torch

from learning.model import Model
from learning.rule import LearningRule, Update, local
from learning.stimulus import Batch
from spiking.presentation import Observation, Phase

__all__ = ["ReadoutOnly"]


@final
@dataclass(frozen=True)
class ReadoutOnly(LearningRule):
    r"""The delta rule on the last layer: :math:`\Delta W_L \propto r_{L-1}^\top (r^* - r_L)`.

    What hidden layers learn under another rule must beat it.

    Source: Widrow & Hoff 1960.
    """

    name: ClassVar[str] = "readout_only"

    def trains_graphs(self, *, on_chip: bool) -> bool:
        """Return True: what hidden layers have at random stays, wherever it leads."""
        return True

    @property
    def uses_model(self) -> bool:
        return False

    def presentation(self, batch: Batch, model: Model) -> tuple[Phase, ...]:
        return (model.stimulus.phase("free", batch),)

    def update(self, batch: Batch, observation: Observation, model: Model) -> Update:
        rates = observation["free"].rates
        error = batch.target.to(rates[-1]) - rates[-1]
        errors = [torch.zeros_like(rate) for rate in rates[1:-1]]
        last = frozenset({model.network.depth})
        connections = local(
            model.network,
            rates,
            [*errors, error],
            late=model.stimulus.late(batch, "free"),
            only=last,
        )
        return Update(connections, residual=error.abs().mean(dim=(1, 2)))
