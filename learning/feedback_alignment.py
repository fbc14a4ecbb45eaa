"""Feedback alignment: errors travel back through fixed random matrices."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, ClassVar, final

import torch
from torch import Tensor

from learning.error_feedback import Carried, random_matrices
from learning.model import Model
from learning.state import RuleState
from root.ranges import GAIN, check_ranges

__all__ = ["FeedbackAlignment"]


@final
@dataclass(frozen=True)
class Backward(RuleState):
    """Fixed random weights on the way back.

    Args:
        weights: by the place of a connection between layers of neurons: ``(chips, n_post, n_pre)`` for one of
            the chain that is all-to-all, else of the shape that is programmed.
    """

    weights: Mapping[int, Tensor]

    prefix: ClassVar[str] = "backward"


@final
@dataclass(frozen=True)
class FeedbackAlignment(Carried):
    r"""Feedback alignment: :math:`a_l = \delta_{l+1} B_l` with fixed random :math:`B_l`, ``(n_{l+1}, n_l)``.

    Synapses that share numbers have random ones that they share on the way back too.

    Source: Lillicrap, Cownden, Tweed & Akerman 2016, doi:10.1038/ncomms13276.

    Args:
        scale: standard deviation of :math:`B_l` times :math:`\sqrt{n_l}`.
    """

    scale: Annotated[float, GAIN] = 1.0

    name: ClassVar[str] = "feedback_alignment"

    def __post_init__(self) -> None:
        check_ranges(self, "rule")

    def start(self, model: Model) -> None:
        network = model.network
        behind = network.between_neurons
        chain = {
            index - 1: (network.sizes[index + 1], network.sizes[index])
            for index in behind
            if self._in_chain(index, model)
        }
        found = {index + 1: matrix for index, matrix in random_matrices(model, chain, self.scale).items()}
        for index in behind:
            if index not in found:
                found[index] = model.drawn(index, self.scale, "backward", "of", index)
        model.memory |= Backward(found).entries()

    def back(self, index: int, behind: Tensor, model: Model) -> Tensor:
        weights = Backward.of(model.memory).weights[index]
        if self._in_chain(index, model):
            return torch.matmul(behind, weights.to(behind))
        return model.network.synapses[index].transposed(weights, behind)

    @staticmethod
    def _in_chain(index: int, model: Model) -> bool:
        """Return whether a connection is one of the chain's, all-to-all."""
        return index < model.network.depth and model.network.synapses[index].dense
