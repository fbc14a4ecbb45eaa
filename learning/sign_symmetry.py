"""Sign symmetry: feedback that shares the signs of the forward weights, but not their sizes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, final

from torch import Tensor

from learning.error_feedback import Carried
from learning.model import Model

__all__ = ["SignSymmetry"]


@final
@dataclass(frozen=True)
class SignSymmetry(Carried):
    r"""Uniform sign-concordant feedback (uSF).

    .. math:: a_l = \delta_{l+1}\, \sigma_{l+1}\,\mathrm{sign}(W_{l+1})^\top

    :math:`\sigma_{l+1}` is the root mean square of :math:`W_{l+1}`, so that errors keep their size.

    Source: Liao, Leibo & Poggio 2016, arXiv 1510.05067.
    """

    name: ClassVar[str] = "sign_symmetry"

    def back(self, index: int, behind: Tensor, model: Model) -> Tensor:
        synapses, weight = model.known(index)
        size = weight.square().mean(dim=tuple(range(1, weight.ndim)), keepdim=True).sqrt()
        return synapses.transposed(size * weight.sign(), behind)
