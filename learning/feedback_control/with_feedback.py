"""What every rule does with feedback weights that may have to be learnt: start, program, identify."""

from __future__ import annotations

from torch import Tensor

from learning.feedback_control.feedback_weights import FeedbackWeights
from learning.model import Model
from learning.rule import LearningRule, Update
from learning.stimulus import Batch
from spiking.network import Network
from spiking.presentation import Observation, Phase

__all__ = ["RuleWithFeedback"]


class RuleWithFeedback(LearningRule):
    """A rule whose field `feedback` says where its feedback weights come from."""

    feedback: FeedbackWeights

    @property
    def warmup_batches(self) -> int:
        return self.feedback.warmup_batches

    def check(self, network: Network) -> None:
        self.feedback.check(network)

    def start(self, model: Model) -> None:
        model.feedback = self.feedback.start(model)

    def feedback_weights(self, model: Model) -> tuple[Tensor, ...]:
        return self.feedback.current(model)

    @property
    def follows(self) -> bool:
        return self.feedback.follows

    def follow(self, changes: tuple[Tensor, ...], model: Model) -> None:
        model.feedback = self.feedback.follow(changes, model)

    def warmup(self, batch: Batch, model: Model) -> tuple[Phase, ...]:
        return self.feedback.warmup_phases(batch, model) or self.presentation(batch, model)

    def identify(self, batch: Batch, observation: Observation, model: Model) -> Update:
        learned = self.feedback.estimate(batch, observation, model)
        nothing = dict.fromkeys(model.network.connection_names)
        return Update(nothing, learned.feedback, learned.memory)
