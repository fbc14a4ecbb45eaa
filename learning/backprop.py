"""Backpropagation with the chip in the loop."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, final

from torch import Tensor

from learning.error_feedback import Carried
from learning.model import Model

__all__ = ["Backprop"]


@final
@dataclass(frozen=True)
class Backprop(Carried):
    r"""Backpropagation: :math:`a_l = \delta_{l+1} W_{l+1}^\top`, with the weights that were programmed.

    Where several connections lead on, sums over all of them.

    On a chip without mismatch it is the gradient; on others the forward pass is the chip's own and the
    backward pass the design's ("physics-aware").

    Source: Rumelhart, Hinton & Williams 1986, doi:10.1038/323533a0; Wright et al. 2022,
    doi:10.1038/s41586-021-04223-6, for the chip in the loop.
    """

    name: ClassVar[str] = "backprop"

    def back(self, index: int, behind: Tensor, model: Model) -> Tensor:
        return model.back(index, behind)
