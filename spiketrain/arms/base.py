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
from spiketrain.arms.lesson import Lesson, Taught
from spiking.named import Named
from spiking.network import Network
from spiking.presentation import Recording, Weights

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

    calibration: ClassVar[int] = 0
    """How often a reported chip is shown something before training begins."""

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

    def check_network(self, network: Network) -> None:  # noqa: B027 (most arms train every network)
        """Raise `UnsupportedError` where this arm makes no sense for `network`."""

    def begin(self, chips: Chips, model: Model) -> None:  # noqa: B027 (most arms need no preparation)
        """Measure what this arm needs of the reported chips, into the model's memory, before training."""

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

    def keeps_outer(self, rule: LearningRule) -> bool:
        """Return whether changes come as the rule gives them, where it gives each as an `Outer`."""
        return True

    def teach(self, lesson: Lesson) -> Taught:
        """Return what a batch teaches the models; by default what it shows once.

        Args:
            lesson: the batch, and the chips that `population` returned for it.
        """
        return lesson.show()

    @final
    def reported(self, taught: Taught) -> Taught:
        """Return what is recorded of a batch: one model that learnt on several chips counts as one."""
        if not self.one_model or len(taught.answers) == 1:
            return taught
        update = taught.update
        residual = None if update.residual is None else update.residual[:1]
        first = {name: value[:1] for name, value in update.measures.items()}
        folded = {name: _folded(recording) for name, recording in taught.observation.items()}
        return taught._replace(update=replace(update, residual=residual, measures=first), observation=folded)

    def deployed(self, weights: Weights, chips: int, model: Model) -> Weights:
        """Return the weights for the reported chips: each model's own, or one's copied to all.

        Args:
            weights: the models'.
            chips: number of reported ones.
            model: what was learned of them besides.
        """
        if not self.one_model:
            return weights

        def copies(tensors: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
            return tuple(t[:1].expand(chips, *t.shape[1:]).clone() for t in tensors)

        relay = weights.relay and replace(weights.relay, strength=copies(weights.relay.strength))
        return Weights(copies(weights.forward), copies(weights.bias), copies(weights.feedback), relay)


def _folded(recording: Recording) -> Recording:
    """Return what several chips showed as further samples of one."""

    def fold(value: Tensor) -> Tensor:
        return value.reshape(1, -1, *value.shape[2:])

    def each(values: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        folded = tuple(fold(value) for value in values)
        return Named(values.names, folded) if isinstance(values, Named) else folded

    control = recording.control if recording.control is None else fold(recording.control)
    return replace(
        recording,
        rates=each(recording.rates),
        basal=each(recording.basal),
        control=control,
        readout=fold(recording.readout),
        apical=each(recording.apical),
    )
