"""Losses on output rates, through their gradient; one class per loss, found by name."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Annotated, ClassVar, final

from torch import Tensor

from root.ranges import GAIN, check_ranges

__all__ = ["CrossEntropy", "Loss", "Squared"]


@dataclass(frozen=True)
class Loss(ABC):
    """A loss of one sample; a batch's loss is the mean over its samples."""

    plugin_group: ClassVar[str] = "losses"

    @abstractmethod
    def value(self, rates: Tensor, target: Tensor) -> Tensor:
        """Return the loss per sample, ``(chips, batch)``.

        Args:
            rates: of the output, ``(chips, batch, n_out)``.
            target: wanted rates, ``(batch, n_out)`` or ``(chips, batch, n_out)``.
        """

    @abstractmethod
    def error(self, rates: Tensor, target: Tensor) -> Tensor:
        r"""Return :math:`-\partial L/\partial r_L`, ``(chips, batch, n_out)``: where the rates should go."""


@final
@dataclass(frozen=True)
class Squared(Loss):
    r"""Half the squared distance to the target rates: :math:`L = \frac12 |r^* - r_L|^2`."""

    def value(self, rates: Tensor, target: Tensor) -> Tensor:
        return 0.5 * (target - rates).square().sum(-1)

    def error(self, rates: Tensor, target: Tensor) -> Tensor:
        return target - rates


@final
@dataclass(frozen=True)
class CrossEntropy(Loss):
    r"""Cross-entropy of a softmax of the rates, for labels coded as rates.

    .. math::
        L = -\sum_i q_i \ln p_i, \qquad p = \mathrm{softmax}(r_L / T), \qquad
        q_i = \frac{r^*_i - \min_j r^*_j}{\sum_k (r^*_k - \min_j r^*_j)}

    so that one high target rate among low ones is the label q = 1.

    Args:
        temperature: T; rates differ by less than 1, so a softmax needs a small one to tell them apart.
    """

    temperature: Annotated[float, GAIN] = 0.2

    def __post_init__(self) -> None:
        check_ranges(self, "rule.loss")

    def value(self, rates: Tensor, target: Tensor) -> Tensor:
        return -(_label(target) * (rates / self.temperature).log_softmax(-1)).sum(-1)

    def error(self, rates: Tensor, target: Tensor) -> Tensor:
        return (_label(target) - (rates / self.temperature).softmax(-1)) / self.temperature


def _label(target: Tensor) -> Tensor:
    excess = target - target.min(-1, keepdim=True).values
    return excess / excess.sum(-1, keepdim=True)
