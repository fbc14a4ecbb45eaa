"""Feedback alignment: errors travel back through fixed random matrices."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, ClassVar, final

import torch
from torch import Tensor

from learning.error_feedback import ErrorFeedback, random_matrices
from learning.model import Model
from rate_bridge.ranges import GAIN, check_ranges

__all__ = ["FeedbackAlignment"]


@final
@dataclass(frozen=True)
class FeedbackAlignment(ErrorFeedback):
    r"""Feedback alignment: :math:`a_l = \delta_{l+1} B_l` with fixed random :math:`B_l`, ``(n_{l+1}, n_l)``.

    Source: Lillicrap, Cownden, Tweed & Akerman 2016, doi:10.1038/ncomms13276.

    Args:
        scale: standard deviation of :math:`B_l` times :math:`\sqrt{n_l}`.
    """

    scale: Annotated[float, GAIN] = 1.0

    name: ClassVar[str] = "feedback_alignment"

    def __post_init__(self) -> None:
        check_ranges(self, "rule")

    def start(self, model: Model) -> None:
        hidden = model.network.sizes[1:-1]
        above = model.network.sizes[2:]
        model.memory |= random_matrices(model, list(zip(above, hidden, strict=True)), self.scale)

    def arriving(self, layer: int, above: Tensor, output: Tensor, model: Model) -> Tensor:
        return torch.matmul(above, model.memory[f"backward.{layer}"].to(above))
