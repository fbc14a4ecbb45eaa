"""Direct feedback alignment: the output's error reaches every layer through a random matrix of its own."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, ClassVar, final

import torch
from torch import Tensor

from learning.error_feedback import ErrorFeedback, random_matrices
from learning.model import Model
from learning.state import RuleState
from root.ranges import GAIN, check_ranges

__all__ = ["DirectFeedbackAlignment"]


@final
@dataclass(frozen=True)
class Direct(RuleState):
    """Fixed random matrices from the output.

    Args:
        matrices: per hidden layer, by its place from 0, ``(chips, n_out, n)``.
    """

    matrices: Mapping[int, Tensor]

    prefix: ClassVar[str] = "backward"


@final
@dataclass(frozen=True)
class DirectFeedbackAlignment(ErrorFeedback):
    r"""Direct feedback alignment: :math:`a_l = \delta_L B_l` with fixed random :math:`B_l`, ``(n_out, n_l)``.

    Source: Nøkland 2016, arXiv 1609.01596.

    Args:
        scale: standard deviation of :math:`B_l` times :math:`\sqrt{n_l}`.
    """

    scale: Annotated[float, GAIN] = 1.0

    name: ClassVar[str] = "direct_feedback_alignment"

    def __post_init__(self) -> None:
        check_ranges(self, "rule")

    def start(self, model: Model) -> None:
        network = model.network
        sizes = {index: (network.outputs, hidden) for index, hidden in enumerate(network.sizes[1:-1])}
        model.memory |= Direct(random_matrices(model, sizes, self.scale)).entries()

    def arriving(self, layer: int, errors: Mapping[int, Tensor], output: Tensor, model: Model) -> Tensor:
        if layer == model.network.depth:
            return torch.zeros_like(output)
        return torch.matmul(output, Direct.of(model.memory).matrices[layer - 1].to(output))
