"""What an arm of a comparison is."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass, replace
from typing import ClassVar, final

from torch import Tensor

from chips.base import Chips
from learning.model import Model
from learning.rule import LearningRule
from learning.stimulus import Batch
from mismatch.spec import MismatchSpec
from root.errors import InputError, UnsupportedError
from root.seeds import SeedTree
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

    trains_elsewhere: ClassVar[str] = ""
    """What it needs that no chips of silicon have, in words, where it does."""

    needs_truth: ClassVar[bool] = False
    """Whether it asks the reported chips what is in them."""

    def check(self, rule: LearningRule, spec: MismatchSpec) -> None:
        """Raise `InputError` where this arm makes no sense for the rule and the mismatch."""
        if rule.needs_truth and self.name != "oracle":
            self.refuse(f"oracle: the rule {rule.name} computes with the chips' true parameters")

    @final
    def check_chips(self, chips: Chips) -> None:
        """Raise `UnsupportedError` where this arm asks more than the chips that are reported can give."""
        card = chips.card
        hidden = self.needs_truth and chips.bench is not chips
        if hidden or (self.trains_elsewhere and chips.bench is None):
            allowed = f"in_loop or calibrated, on {card.name}"
            raise UnsupportedError(
                "training.arm", self.name, allowed, f"The arm needs {self.trains_elsewhere}."
            )

    def refuse(self, allowed: str) -> None:
        """Raise the error that says what to take instead, and why."""
        raise InputError("training.arm", self.name, allowed)

    def models(self, chips: int) -> int:
        """Return how many models are trained: one for all chips, or one per chip."""
        return 1 if self.one_model else chips

    @abstractmethod
    def population(self, chips: Chips, batch: Batch, model: Model, seeds: SeedTree) -> Chips:
        """Return the chips that `batch` is shown to; tell the model what this arm lets it know.

        Args:
            chips: the population that is reported.
            batch: what is shown next.
            model: what the rule knows.
            seeds: the arm's branch of the seed tree.
        """

    def deployed(self, weights: Weights, chips: int) -> Weights:
        """Return the weights for the reported chips: each model's own, or one's copied to all."""
        if not self.one_model:
            return weights

        def copies(tensors: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
            return tuple(t.expand(chips, *t.shape[1:]).clone() for t in tensors)

        relay = weights.relay and replace(weights.relay, strength=copies(weights.relay.strength))
        return Weights(copies(weights.forward), copies(weights.bias), copies(weights.feedback), relay)
