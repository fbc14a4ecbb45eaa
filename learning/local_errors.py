"""Every layer has a small read-out of its own, fixed at random, and learns from the read-out's error."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Annotated, ClassVar, final

import torch
from torch import Tensor

from learning.error_feedback import random_matrices
from learning.losses import Loss, Squared
from learning.model import Model
from learning.rule import LearningRule, Update, local
from learning.state import RuleState
from learning.stimulus import Batch
from root.ranges import GAIN, check_ranges
from spiking.presentation import Observation, Phase

__all__ = ["LocalErrors"]


@final
@dataclass(frozen=True)
class Readouts(RuleState):
    """Fixed random read-outs of layers 1 to L - 1, ``(chips, n_out, n)``."""

    weights: tuple[Tensor, ...] = ()

    prefix: ClassVar[str] = "readouts"


@final
@dataclass(frozen=True)
class LocalErrors(LearningRule):
    r"""Local losses: no error crosses a layer.

    .. math::
        y_l = r_l G_l, \qquad
        \delta_l = \Big(-\frac{\partial L(y_l)}{\partial y_l} G_l^\top\Big) \odot \phi'_l, \qquad
        \Delta W_l \propto r_{l-1}^\top \delta_l

    with fixed random :math:`G_l`, ``(n_l, n_out)``, kept off the chip; the output layer is its own read-out,
    without its slope where `output_slope` is false (see `ErrorFeedback`). These are the losses of DECOLLE, on
    rates over the window instead of in every step.

    Source: Mostafa, Ramesh & Cauwenberghs 2018, doi:10.3389/fnins.2018.00608; DECOLLE: Kaiser, Mostafa &
    Neftci 2020, doi:10.3389/fnins.2020.00424.

    Args:
        loss: what every layer descends.
        output_slope: whether the slope of the output neurons is a factor of their error.
        scale: standard deviation of :math:`G_l` times :math:`\sqrt{n_l}`.
    """

    loss: Loss = field(default_factory=Squared)
    output_slope: bool = True
    scale: Annotated[float, GAIN] = 1.0

    name: ClassVar[str] = "local_errors"

    def __post_init__(self) -> None:
        check_ranges(self, "rule")

    def start(self, model: Model) -> None:
        sizes = model.network.sizes
        layers = {layer - 1: (sizes[-1], sizes[layer]) for layer in range(1, model.network.depth)}
        drawn = random_matrices(model, layers, self.scale)
        model.memory |= Readouts(tuple(drawn[layer] for layer in sorted(drawn))).entries()

    def presentation(self, batch: Batch, model: Model) -> tuple[Phase, ...]:
        return (model.stimulus.phase("free", batch),)

    def update(self, batch: Batch, observation: Observation, model: Model) -> Update:
        rates = observation["free"].rates
        target = batch.target.to(rates[-1])
        errors, measures, readouts = [], {}, Readouts.of(model.memory).weights
        for layer in range(1, model.network.depth):
            back = readouts[layer - 1].to(rates[layer])
            said = torch.matmul(rates[layer], back.transpose(1, 2))
            errors.append(
                torch.matmul(self.loss.error(said, target), back) * model.slope(layer - 1, rates[layer])
            )
            measures[f"loss_{layer}"] = self.loss.value(said, target).mean(1)
        wanted = self.loss.error(rates[-1], target)
        errors.append(wanted * model.slope(len(errors), rates[-1]) if self.output_slope else wanted)
        return Update(
            local(model.network, rates, errors, late=model.stimulus.late(batch, "free")),
            residual=wanted.abs().mean(dim=(1, 2)),
            measures={**measures, "loss": self.loss.value(rates[-1], target).mean(1)},
        )
