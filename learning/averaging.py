"""Weight averaging: what is tested and kept is a moving average of what was programmed."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import final

from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel

from learning.model import Model
from spiking.presentation import Weights

__all__ = ["WeightAverage"]


@final
class WeightAverage:
    r"""Exponential moving average of a model's weights (``torch.optim.swa_utils.AveragedModel``).

    The factor is :math:`\min(\beta, 1 - 1/(k+1))` in step k, a plain mean until it reaches β, so that
    the average never remembers the random start.

    Source: Izmailov et al. 2018, arXiv 1803.05407; Polyak & Juditsky 1992.

    Args:
        model: whose weights are averaged.
        beta: the factor β in [0, 1); 0 turns averaging off.
    """

    def __init__(self, model: Model, beta: float) -> None:
        self.model = model

        def mix(averages: Iterable[Tensor], values: Iterable[Tensor], steps: Tensor | int) -> None:
            keep = min(beta, 1.0 - 1.0 / (int(steps) + 1))
            for average, value in zip(averages, values, strict=True):
                average.lerp_(value, 1.0 - keep)

        self._averaged = AveragedModel(self._parameters(), multi_avg_fn=mix)

    def _parameters(self) -> nn.ParameterList:
        return nn.ParameterList([*self.model.forward_weights, *self.model.bias])

    def update(self) -> None:
        """Take the model's weights as they are now into the average."""
        self._averaged.update_parameters(self._parameters())

    def weights(self) -> Weights:
        """Return the averaged weights, with the model's present feedback weights."""
        values = [p.detach().clone() for p in self._averaged.module.parameters()]
        count = len(self.model.forward_weights)
        return replace(self.model.weights(), forward=tuple(values[:count]), bias=tuple(values[count:]))

    def state_dict(self) -> dict[str, Tensor]:
        """Return everything needed to go on."""
        return self._averaged.state_dict()

    def load_state_dict(self, state: dict[str, Tensor]) -> None:
        """Go on from `state`."""
        self._averaged.load_state_dict(state)
