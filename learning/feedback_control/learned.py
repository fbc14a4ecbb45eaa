"""Feedback weights learnt from noise, in presentations of their own."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Annotated, ClassVar, final

import torch
from torch import Tensor

from learning.feedback_control.feedback_weights import Estimate
from learning.feedback_control.gains import ControllerGains
from learning.feedback_control.noise_learning import NoiseLearning
from learning.model import Model
from learning.state import RuleState
from learning.stimulus import Batch
from root.errors import InputError
from root.ranges import BATCHES
from spiking.presentation import Observation, Phase

__all__ = ["LearnedFeedback"]

FREE, NOISY = "feedback_free", "feedback_noisy"


@final
@dataclass(frozen=True)
class Shown(RuleState):
    """How often feedback was learnt.

    Args:
        shown: batches so far.
    """

    shown: int

    prefix: ClassVar[str] = "feedback"


@final
@dataclass(frozen=True)
class LearnedFeedback(NoiseLearning):
    """The controller holds the output where the chip puts it by itself, and so fights the noise alone.

    The presentation goes on from a free one, whose output is the target. The noise is drawn for every
    sample and neuron and held, so that the mean of u over the window is the controller's answer at rest;
    it is the same on all chips. See `NoiseLearning` for the learning rule.

    Source: Meulemans et al. 2021, arXiv 2106.07887, section 4 (there with noise that varies in time).

    Args:
        controller: gains in these presentations; a leak that is strong enough keeps the loop stable when
            the weights are still random.
        every: one in how many training batches is also used; 0 for none.
    """

    controller: ControllerGains = field(default_factory=lambda: ControllerGains(0.5, 0.01, 0.01))
    every: Annotated[int, BATCHES] = 1

    origin: ClassVar[str] = "learned"

    def __post_init__(self) -> None:
        NoiseLearning.__post_init__(self)
        if self.warmup == self.every == 0:
            raise InputError("rule.feedback.every", 0, "1 or more, or a warmup", "nothing is ever learnt")

    def start(self, model: Model) -> tuple[Tensor, ...]:
        model.memory |= Shown(0).entries()
        return NoiseLearning.start(self, model)

    def warmup_phases(self, batch: Batch, model: Model) -> tuple[Phase, ...]:
        where = batch.target.new_zeros(
            len(batch.x), batch.target.shape[-1]
        )  # the output is held where it was
        hold = self.controller.towards(where, nudge_from=FREE, nudge=0.0)
        noise = tuple(self._noise(batch, model))
        return (
            model.stimulus.phase(FREE, batch, one_window=True),
            model.stimulus.phase(NOISY, batch, controller=hold, after=FREE, currents=noise, one_window=True),
        )

    def phases(self, batch: Batch, model: Model) -> tuple[Phase, ...]:
        shown = Shown.of(model.memory).shown
        return self.warmup_phases(batch, model) if self.every and shown % self.every == 0 else ()

    def estimate(self, batch: Batch, observation: Observation, model: Model) -> Estimate:
        learned = NoiseLearning.estimate(self, batch, observation, model)
        return replace(learned, memory=Shown(Shown.of(model.memory).shown + 1).entries())

    def correlations(self, batch: Batch, observation: Observation, model: Model) -> list[Tensor]:
        if NOISY not in observation:
            return []
        answer = observation[NOISY].control
        assert answer is not None
        transposed = answer.transpose(1, 2) / answer.shape[1]
        return [
            torch.matmul(transposed, torch.matmul(answer, weight.to(answer)) + noise.to(answer))
            for weight, noise in zip(model.feedback, self._noise(batch, model), strict=True)
        ]

    def _noise(self, batch: Batch, model: Model) -> list[Tensor]:
        """Return the noise in every layer, ``(batch, n)``."""
        drawn = []
        for index, layer in enumerate(model.network.layers):
            generator = model.seeds.child("feedback noise", *batch.key, index).generator()
            noise = generator.standard_normal((len(batch.x), layer.size))
            drawn.append(self.sigma * torch.from_numpy(noise).to(model.device))
        return drawn
