"""Backpropagation through weights that are learned by the same local steps as the forward ones."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, ClassVar, final

import torch
from torch import Tensor

from learning.error_feedback import Carried, random_matrices
from learning.model import Model
from learning.state import RuleState
from root.ranges import GAIN, INNER, check_ranges

__all__ = ["KolenPollack"]


@final
@dataclass(frozen=True)
class Followed(RuleState):
    """Weights on the way back.

    Args:
        weights: from layer l + 1 to l, from l = 1 on, ``(chips, n_above, n)``.
    """

    weights: tuple[Tensor, ...] = ()

    prefix: ClassVar[str] = "backward"


@final
@dataclass(frozen=True)
class KolenPollack(Carried):
    r"""Backpropagation in the loop without weight transport: :math:`a_l = \delta_{l+1} B_{l+1}`.

    A forward synapse changes by the activity before it times the error behind it; the feedback synapse
    between the same two neurons has both at its ends too, makes the same step, and both decay:

    .. math::
        W \leftarrow (1 - \lambda)(W + \Delta W), \qquad B \leftarrow (1 - \lambda)(B + \Delta W^\top)

    whence :math:`B - W^\top` falls by :math:`1 - \lambda` in every batch, from random. Weights from the input
    do not decay. With layered feedback on the chip, DFC learns its feedback in the same way.

    Source: Kolen & Pollack 1994, doi:10.1109/ICNN.1994.374486; Akrout et al. 2019, arXiv 1904.05391.

    Args:
        decay: λ per batch, in (0, 1).
        scale: standard deviation of the first B times the root of the number of its columns.
    """

    decay: Annotated[float, INNER] = 1e-4
    scale: Annotated[float, GAIN] = 1.0

    name: ClassVar[str] = "kolen_pollack"

    def __post_init__(self) -> None:
        check_ranges(self, "rule")

    def trains_graphs(self, *, on_chip: bool) -> bool:
        return False

    @property
    def follows(self) -> bool:
        return True

    def start(self, model: Model) -> None:
        sizes = model.network.sizes
        layers = {layer - 1: (sizes[layer + 1], sizes[layer]) for layer in range(1, model.network.depth)}
        drawn = random_matrices(model, layers, self.scale)
        model.memory |= Followed(tuple(drawn[layer] for layer in sorted(drawn))).entries()

    def back(self, index: int, behind: Tensor, model: Model) -> Tensor:
        return torch.matmul(behind, Followed.of(model.memory).weights[index - 1].to(behind))

    def follow(self, changes: tuple[Tensor, ...], model: Model) -> None:
        keep = 1.0 - self.decay
        learned = []
        for index, backward in enumerate(Followed.of(model.memory).weights, start=1):
            learned.append((backward + changes[index].transpose(1, 2).to(backward)) * keep)
            model.forward_weights[index].data.mul_(keep)
        model.memory |= Followed(tuple(learned)).entries()
