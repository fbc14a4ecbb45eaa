"""Gates measured on the chips while they train: no curve has to be known, or to exist in closed form."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Annotated, ClassVar, final

import torch
from torch import Tensor

from learning.feedback_control.gates import WIDEST, Curve, Gate
from learning.feedback_control.probing import Probe
from learning.model import Model
from learning.state import RuleState
from learning.stimulus import Batch
from root import ranges
from spiking.presentation import Observation, Phase

__all__ = ["Measured"]

BINS = 17
"""Rates at which the slope is kept."""


@final
@dataclass(frozen=True)
class Answers(RuleState):
    """What neurons answered, per layer 1 to L - 1, at the rates that are kept, ``(chips, BINS)`` each.

    Args:
        count: batches so far.
        answers: weighted sums of answers.
        weight: sums of their weights.
    """

    count: int
    answers: tuple[Tensor, ...]
    weight: tuple[Tensor, ...]

    prefix: ClassVar[str] = "gate"


@final
@dataclass(frozen=True)
class Measured(Gate):
    r"""The slope of a layer's neurons at every rate, from their answers to small currents.

    Two presentations from one state and with the same input get the currents :math:`\pm n`,
    :math:`n = \pm\sigma` with a random sign per neuron and sample. What a neuron's own current does to it,
    over all neurons of a layer and samples whose mean rate :math:`\bar r` is near :math:`\rho`:

    .. math::
        \hat g(\rho) = \frac{\langle n\,(r^+ - r^-)/2 \rangle_{\bar r \approx \rho}}{\sigma^2}

    Every answer counts for the two nearest of the rates that are kept, by its distance, and with
    :math:`(1 - \eta)^k` after k further measurements. What other neurons' currents do to this one averages
    out, since their signs are independent. Neurons of a layer share the curve; every chip has its own.

    Source: simultaneous perturbation, Spall 1992, doi:10.1109/9.119632.

    Args:
        every: one in how many training batches is also measured on, 1 or more.
        eta: weight of a new measurement, in (0, 1].
        sigma: size of the currents, > 0.
    """

    every: Annotated[int, ranges.COUNT] = 4
    eta: Annotated[float, ranges.SHARE] = 0.02
    sigma: Annotated[float, ranges.PROBE] = 0.2

    origin: ClassVar[str] = "measured"

    def __post_init__(self) -> None:
        ranges.check_ranges(self, "rule.gate")

    @property
    def probe(self) -> Probe:
        """The presentations with known currents into the hidden layers."""
        return Probe("gate", self.sigma, outputs=False)

    def start(self, model: Model) -> None:
        hidden = range(model.network.depth - 1)
        zeros = torch.zeros(model.chips, BINS, dtype=torch.float64, device=model.device)
        none = tuple(zeros.clone() for _ in hidden)
        model.memory |= Answers(0, none, tuple(zeros.clone() for _ in hidden)).entries()

    def phases(self, batch: Batch, model: Model) -> tuple[Phase, ...]:
        return self.probe.phases(batch, model) if Answers.of(model.memory).count % self.every == 0 else ()

    def learn(self, batch: Batch, observation: Observation, model: Model) -> Mapping[str, Tensor]:
        known = Answers.of(model.memory)
        known = replace(known, count=known.count + 1)
        if not self.probe.was_shown(observation):
            return known.entries()
        answers, weight = [], []
        for index, currents in enumerate(self.probe.currents(batch, model)):
            mean, answer = self.probe.answers(observation, index)
            found = (answer * currents.to(answer)).double() / self.sigma**2
            sums, weights = _spread(mean.double(), found)
            answers.append(known.answers[index] * (1.0 - self.eta) + sums)
            weight.append(known.weight[index] * (1.0 - self.eta) + weights)
        return replace(known, answers=tuple(answers), weight=tuple(weight)).entries()

    def values(self, index: int, rate: Tensor, model: Model) -> Tensor:
        curve = self._slopes(index, model)
        below, share = _place(rate.double())
        flat = below.flatten(1)
        first, second = curve.gather(1, flat), curve.gather(1, flat + 1)
        return (first.view_as(share) * (1.0 - share) + second.view_as(share) * share).to(rate)

    def curve(self, index: int, model: Model) -> Curve:
        return Curve(self._slopes(index, model).unsqueeze(1), -WIDEST, WIDEST)

    def _slopes(self, index: int, model: Model) -> Tensor:
        """Return the slope at the rates that are kept, ``(chips, BINS)``: 1 before the first measurement.

        Where little was seen, the mean over all rates counts as one more answer; no slope is below 0.
        """
        known = Answers.of(model.memory)
        answers, weight = known.answers[index], known.weight[index]
        total = weight.sum(1, keepdim=True)
        mean = torch.where(total > 0, answers.sum(1, keepdim=True) / total.clamp(min=1e-12), 1.0)
        return ((answers + mean) / (weight + 1.0)).clamp(min=0.0)


def _place(rate: Tensor) -> tuple[Tensor, Tensor]:
    """Return which of the kept rates is below each of `rate`, and the share of the one above."""
    place = ((rate + WIDEST) * ((BINS - 1) / (2 * WIDEST))).clamp(0, BINS - 1)
    below = place.long().clamp(max=BINS - 2)
    return below, place - below


def _spread(mean: Tensor, found: Tensor) -> tuple[Tensor, Tensor]:
    """Return sums of answers and of their weights at the rates that are kept, ``(chips, BINS)``."""
    here = mean.device
    mean, found = mean.cpu(), found.cpu()  # on a GPU, what is scattered is summed in no fixed order
    below, share = (part.flatten(1) for part in _place(mean))
    sums = []
    for value in (found.flatten(1), torch.ones_like(share)):
        total = torch.zeros(mean.shape[0], BINS, dtype=mean.dtype, device=mean.device)
        total.scatter_add_(1, below, value * (1.0 - share))
        sums.append(total.scatter_add_(1, below + 1, value * share))
    return sums[0].to(here), sums[1].to(here)
