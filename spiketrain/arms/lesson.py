"""What an arm is given to teach a batch: the chips to show it to, and the rule that learns."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple, final

from torch import Tensor

from chips.base import Chips
from learning.model import Model
from learning.rule import LearningRule, Update
from learning.stimulus import Batch
from spiketrain.observing import shown
from spiking.presentation import Observation

__all__ = ["Lesson", "Taught"]


class Taught(NamedTuple):
    """What a batch taught.

    Args:
        update: what the rule wants.
        observation: what it saw.
        answers: which chips answered, ``(chips,)``.
        presentations: how often a chip was shown a sample.
    """

    update: Update
    observation: Observation
    answers: Tensor
    presentations: int


@final
@dataclass(frozen=True)
class Lesson:
    """A batch, and who learns it on which chips.

    Args:
        rule: how it is learned.
        chips: what it is shown to.
        batch: the samples.
        model: what the rule knows.
    """

    rule: LearningRule
    chips: Chips
    batch: Batch
    model: Model

    def show(self) -> Taught:
        """Show the batch, with the model's weights, and return what it teaches."""
        seen = shown(self.rule, self.chips, self.batch, self.model)
        return Taught(self.rule.update(self.batch, seen.observation, self.model), *seen)
