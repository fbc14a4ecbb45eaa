"""What an arm of a comparison is."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass, replace
from typing import ClassVar

from torch import Tensor

from learning.model import Model
from learning.rule import LearningRule
from learning.stimulus import Batch
from mismatch.chip import ChipPopulation
from mismatch.spec import MismatchSpec
from rate_bridge.errors import InputError
from rate_bridge.seeds import SeedTree
from spiking.presentation import Weights

__all__ = ["Arm"]


@dataclass(frozen=True)
class Arm(ABC):
    """Which chips a rule is trained on, and what it is told about them; the same chips test every arm.

    An arm keeps nothing between batches: what it gives is a function of the batch and its seeds.
    """

    name: ClassVar[str]
    one_model: ClassVar[bool] = False
    """Whether one model is trained and its weights are written to every chip."""

    def check(self, rule: LearningRule, spec: MismatchSpec) -> None:
        """Raise `InputError` where this arm makes no sense for the rule and the mismatch."""
        if rule.needs_truth and self.name != "oracle":
            self.refuse(f"oracle: the rule {rule.name} computes with the chips' true parameters")

    def refuse(self, allowed: str) -> None:
        """Raise the error that says what to take instead, and why."""
        raise InputError("training.arm", self.name, allowed)

    def models(self, spec: MismatchSpec) -> int:
        """Return how many models are trained: one for all chips, or one per chip."""
        return 1 if self.one_model else spec.chips

    @abstractmethod
    def population(
        self, chips: ChipPopulation, batch: Batch, model: Model, seeds: SeedTree
    ) -> ChipPopulation:
        """Return the chips that `batch` is shown to; tell the model what this arm lets it know.

        Args:
            chips: the population that is reported.
            batch: what is shown next.
            model: what the rule knows.
            seeds: the arm's branch of the seed tree.
        """

    def deployed(self, weights: Weights, spec: MismatchSpec) -> Weights:
        """Return the weights for the reported chips: each model's own, or one's copied to all."""
        if not self.one_model:
            return weights

        def copies(tensors: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
            return tuple(t.expand(spec.chips, *t.shape[1:]).clone() for t in tensors)

        relay = weights.relay and replace(weights.relay, strength=copies(weights.relay.strength))
        return Weights(copies(weights.forward), copies(weights.bias), copies(weights.feedback), relay)
