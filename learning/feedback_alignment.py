"""Feedback alignment: errors travel back through fixed random matrices."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, ClassVar, final

import torch
from torch import Tensor

from learning.error_feedback import Carried, random_matrices
from learning.model import Model
from rate_bridge.ranges import GAIN, check_ranges

__all__ = ["FeedbackAlignment"]


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
        chain = [
            (network.sizes[c.post], network.sizes[c.pre]) if synapses.dense else (0, 0)
            for c, synapses in zip(network.connections[1 : network.depth], network.synapses[1:], strict=False)
        ]
        model.memory |= random_matrices(model, chain, self.scale)
        for index, connection in enumerate(network.connections):
            if connection.pre > 0 and not self._in_chain(index, model):
                model.memory[f"backward.of.{index}"] = model.drawn(index, self.scale, "backward", "of", index)

    def back(self, index: int, behind: Tensor, model: Model) -> Tensor:
        if self._in_chain(index, model):
            return torch.matmul(behind, model.memory[f"backward.{index - 1}"].to(behind))
        return model.network.synapses[index].transposed(model.memory[f"backward.of.{index}"], behind)

    @staticmethod
    def _in_chain(index: int, model: Model) -> bool:
        """Return whether a connection is one of the chain's, all-to-all."""
        return index < model.network.depth and model.network.synapses[index].dense
