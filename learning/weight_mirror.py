"""Backpropagation through weights that the chip itself was asked for, layer by layer."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Annotated, ClassVar, final

import torch
from torch import Tensor

from learning.error_feedback import Carried, random_matrices
from learning.feedback_control.relayed_weights import IdentifiedLayers
from learning.model import Model
from learning.rule import Update
from learning.stimulus import Batch
from root.errors import InputError
from root.ranges import BATCHES, PROBE, SHARE, check_ranges
from spiking.presentation import Observation, Phase

__all__ = ["WeightMirror"]


@final
@dataclass(frozen=True)
class WeightMirror(Carried):
    r"""Backpropagation in the loop without weight transport: :math:`a_l = \delta_{l+1} B_{l+1}`.

    In mirror mode noise goes into every layer, and the feedback synapse between two neurons takes up what
    the lower one's noise does to the upper: :math:`B \propto \langle r_l \otimes r_{l+1} \rangle` comes to
    lie along :math:`\tilde W^\top`, the weights as they are on the chip, mismatch included, told to nobody.
    Here the noise is a pair of constant currents of opposite signs, and the slopes at both ends of a synapse,
    which are measured along with it, are divided out; see `IdentifiedLayers`.

    Source: Akrout et al. 2019, arXiv 1904.05391.

    Args:
        asked: batches shown in mirror mode alone, before training; the key ``warmup`` of a config.
        every: one in how many training batches is also shown in mirror mode; 0 for none.
        eta: weight of a new measurement in the running mean, in (0, 1].
        sigma: size of the currents, > 0.
    """

    asked: Annotated[int, BATCHES] = field(default=40, metadata={"key": "warmup"})
    every: Annotated[int, BATCHES] = 2
    eta: Annotated[float, SHARE] = 0.005
    sigma: Annotated[float, PROBE] = 0.5

    name: ClassVar[str] = "weight_mirror"

    def __post_init__(self) -> None:
        check_ranges(self, "rule")
        if self.asked == self.every == 0:
            raise InputError("rule.every", 0, "1 or more, or a warmup", "the mirror would show nothing")

    def trains_graphs(self, *, on_chip: bool) -> bool:
        return False

    @property
    def mirror(self) -> IdentifiedLayers:
        """What keeps the weights, and asks the chip for them."""
        return IdentifiedLayers(warmup=self.asked, every=self.every, eta=self.eta, sigma=self.sigma)

    @property
    def warmup_batches(self) -> int:
        return self.asked

    def start(self, model: Model) -> None:
        sizes = model.network.sizes
        layers = {layer - 1: (sizes[layer + 1], sizes[layer]) for layer in range(1, model.network.depth)}
        drawn = random_matrices(model, layers, 1.0)
        self.mirror.begin(model, [drawn[layer] for layer in sorted(drawn)])

    def warmup(self, batch: Batch, model: Model) -> tuple[Phase, ...]:
        return self.mirror.warmup_phases(batch, model)

    def identify(self, batch: Batch, observation: Observation, model: Model) -> Update:
        found = self.mirror.estimate(batch, observation, model)
        return Update(dict.fromkeys(model.network.connection_names), memory=found.memory)

    def presentation(self, batch: Batch, model: Model) -> tuple[Phase, ...]:
        return (*Carried.presentation(self, batch, model), *self.mirror.phases(batch, model))

    def update(self, batch: Batch, observation: Observation, model: Model) -> Update:
        found = self.mirror.estimate(batch, observation, model)
        return replace(Carried.update(self, batch, observation, model), memory=found.memory)

    def back(self, index: int, behind: Tensor, model: Model) -> Tensor:
        return torch.matmul(behind, self.mirror.current(model)[index - 1].to(behind))
