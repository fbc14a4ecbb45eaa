"""Feedback weights learnt from noise, in the same presentation as the forward weights."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, final

from learning.feedback_control.noise_learning import NoiseLearning
from learning.model import Model
from learning.stimulus import Batch
from rate_bridge.errors import InputError
from spiking.presentation import Noise, Phase

__all__ = ["OnlineFeedback"]


@final
@dataclass(frozen=True)
class OnlineFeedback(NoiseLearning):
    """The rule's own controlled presentation is noisy; a high-pass leaves u's answer to the noise.

    See `NoiseLearning` for the learning rule. A warm-up batch is such a presentation, of which only the
    feedback weights learn.

    Source: Meulemans et al. 2022, arXiv 2204.07249, section 3.

    Args:
        highpass: time constant of the high-pass in ms, > 0; longer than the noise's correlation time.
    """

    highpass: float = 100.0

    origin: ClassVar[str] = "online"
    phase_name: ClassVar[str] = "controlled"

    def __post_init__(self) -> None:
        NoiseLearning.__post_init__(self)
        if not self.highpass > 0:
            raise InputError("rule.feedback.highpass", self.highpass, "a number > 0")

    def highpass_ms(self) -> float:
        return self.highpass

    def noise(self, batch: Batch, model: Model) -> Noise:
        return self.make_noise(batch, model)

    def phases(self, batch: Batch, model: Model) -> tuple[Phase, ...]:
        return ()
