"""Deep Feedback Control with a dynamic controller, for spiking and for rate chips."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import ClassVar, final

from torch import Tensor

from learning.feedback_control.feedback_weights import FeedbackWeights, WeightProduct
from learning.feedback_control.prediction import Prediction, TwoPhase
from learning.model import Model
from learning.rule import LearningRule, Outer, Update
from learning.stimulus import Batch
from rate_bridge.errors import InputError
from spiking.presentation import Controller, Observation, Phase

__all__ = ["ControllerGains", "DeepFeedbackControl"]


@final
@dataclass(frozen=True)
class ControllerGains:
    """Gains of the controller; see :class:`spiking.presentation.Controller`.

    Args:
        kp: proportional gain, 0 or more.
        ki_per_ms: integral gain, 0 or more.
        leak_per_ms: leak of the integral, 0 or more.
        trace_at_target: start the read-out trace at the target.
    """

    kp: float = 0.5
    ki_per_ms: float = 0.01
    leak_per_ms: float = 0.0
    trace_at_target: bool = False

    def __post_init__(self) -> None:
        for key in ("kp", "ki_per_ms", "leak_per_ms"):
            if getattr(self, key) < 0:
                raise InputError(f"rule.controller.{key}", getattr(self, key), "a number >= 0")
        if self.kp == 0 and self.ki_per_ms == 0:
            raise InputError("rule.controller.kp", 0.0, "a number > 0, or ki_per_ms > 0")

    def towards(self, target: Tensor) -> Controller:
        """Return a controller that pushes the output to `target`."""
        return Controller(target, self.kp, self.ki_per_ms, self.leak_per_ms, self.trace_at_target)


@final
@dataclass(frozen=True)
class DeepFeedbackControl(LearningRule):
    r"""Deep Feedback Control.

    The controller pushes the chip's output to the target by feedback currents into every layer; what
    this changes in a neuron, beyond what its own feedforward input predicts, is its error:

    .. math::
        \Delta W_l \propto r_{l-1}^\top\, (r_l^{controlled} - \hat r_l)

    with mean rates over the window and :math:`r_{l-1}` the controlled presynaptic rate.

    Source: Meulemans et al. 2021, arXiv 2106.07887.

    Args:
        controller: its gains.
        prediction: what the feedforward input alone would have given (``two_phase``, ``basal``,
            ``nominal``).
        feedback: where the feedback weights come from (``weight_product``, ``random``, ``given``,
            ``identified``, ``learned``).
        presynaptic: ``controlled``: the rate under control; ``predicted``: for the synapses of hidden
            layers' neurons onto the next layer, the predicted rate, which cannot leak the label.
    """

    controller: ControllerGains = field(default_factory=ControllerGains)
    prediction: Prediction = field(default_factory=TwoPhase)
    feedback: FeedbackWeights = field(default_factory=WeightProduct)
    presynaptic: str = "controlled"

    name: ClassVar[str] = "dfc"
    uses_feedback: ClassVar[bool] = True

    def __post_init__(self) -> None:
        if self.presynaptic not in ("controlled", "predicted"):
            raise InputError("rule.presynaptic", self.presynaptic, "controlled, predicted")

    def start(self, model: Model) -> None:
        model.feedback = self.feedback.start(model)

    def feedback_weights(self, model: Model) -> tuple[Tensor, ...]:
        return self.feedback.current(model)

    @property
    def uses_shadow(self) -> bool:
        return self.prediction.needs_shadow

    @property
    def warmup_batches(self) -> int:
        return self.feedback.warmup_batches

    def warmup(self, batch: Batch, model: Model) -> tuple[Phase, ...]:
        return self.feedback.warmup_phases(batch, model)

    def identify(self, batch: Batch, observation: Observation, model: Model) -> Update:
        learned = self.feedback.estimate(batch, observation, model)
        nothing = (None,) * len(model.network.connections)
        return Update(nothing, learned.feedback, learned.memory)

    def presentation(self, batch: Batch, model: Model) -> tuple[Phase, ...]:
        controlled = model.stimulus.phase(
            "controlled",
            batch,
            controller=self.controller.towards(batch.target),
            shadow=self.prediction.needs_shadow,
        )
        return (controlled, *self.prediction.phases(batch, model), *self.feedback.phases(batch, model))

    def update(self, batch: Batch, observation: Observation, model: Model) -> Update:
        controlled = observation["controlled"]
        predicted = self.prediction.rates(observation, model)
        presynaptic = controlled.rates[:-1]
        if self.presynaptic == "predicted":
            presynaptic = (controlled.rates[0], *predicted[:-1])
        connections = tuple(
            Outer(pre, rate - expected)
            for pre, rate, expected in zip(presynaptic, controlled.rates[1:], predicted, strict=True)
        )
        assert controlled.control is not None
        learned = self.feedback.estimate(batch, observation, model)
        return Update(
            connections=connections,
            feedback=learned.feedback,
            memory=learned.memory,
            residual=(batch.target - predicted[-1]).abs().mean(dim=(1, 2)),
            measures={"control_effort": controlled.control.square().mean(dim=(1, 2)).sqrt()},
        )
