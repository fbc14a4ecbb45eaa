"""What backpropagation and its relatives share: an output error that is sent back layer by layer."""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass, field

import torch
from torch import Tensor

from learning.losses import Loss, Squared
from learning.model import Model
from learning.rule import LearningRule, Outer, Update
from learning.stimulus import Batch
from rate_bridge.errors import UnsupportedError
from spiking.network import Network
from spiking.presentation import Observation, Phase

__all__ = ["ErrorFeedback", "random_matrices"]

PROBES = torch.linspace(-2.0, 2.0, 9, dtype=torch.float64).view(1, -1, 1)
"""Currents at which a curve that is not the identity shows another slope than 1."""


@dataclass(frozen=True)
class ErrorFeedback(LearningRule):
    r"""Rates are measured on the chip; the error is computed off it.

    .. math::
        \delta_L = -\frac{\partial L}{\partial r_L} \odot \phi'_L, \qquad
        \delta_l = a_l \odot \phi'_l, \qquad \Delta W_l \propto r_{l-1}^\top \delta_l

    The slopes are those of the neurons' curves as the rule knows them, where the curve gives the measured
    rate, :math:`\phi'_l = \phi'(\phi^{-1}(r_l))`: a neuron that the chip shows to be silent or saturated
    is taken as such. Rules differ by what arrives at a hidden layer, :math:`a_l`, alone.

    A spiking output neuron that is silent has next to no slope, and would stay silent for ever however large
    its error. Without `output_slope`, :math:`\delta_L = -\partial L/\partial r_L`: with the squared loss this
    is the gradient of the curve's matching loss, :math:`\int (\phi(I) - r^*)\, dI`, which is convex in the
    output weights and has its minimum at the same rates.

    Source: matching loss, Auer, Herbster & Warmuth 1995 (NIPS 8, "Exponentially many local minima for
    single neurons").

    Args:
        loss: what is descended.
        output_slope: whether the slope of the output neurons is a factor of their error.
    """

    loss: Loss = field(default_factory=Squared)
    output_slope: bool = True

    def check(self, network: Network) -> None:
        output = network.layers[-1].neuron.transfer(network.max_rate_hz, network.dt_ms)
        if not self.output_slope and bool((output.slope(PROBES) == 1.0).all()):
            raise UnsupportedError("rule.output_slope", False, "true: the output is linear, its slope is 1")

    def presentation(self, batch: Batch, model: Model) -> tuple[Phase, ...]:
        return (model.stimulus.phase("free", batch),)

    def update(self, batch: Batch, observation: Observation, model: Model) -> Update:
        rates = observation["free"].rates
        target = batch.target.to(rates[-1])
        slopes = [model.slope(index, rate) for index, rate in enumerate(rates[1:])]
        wanted = self.loss.error(rates[-1], target)
        output = wanted * slopes[-1] if self.output_slope else wanted
        errors = [output]
        for layer in reversed(range(model.network.depth - 1)):
            errors.insert(0, self.arriving(layer, errors[0], output, model) * slopes[layer])
        return Update(
            tuple(Outer(pre, error) for pre, error in zip(rates[:-1], errors, strict=True)),
            residual=wanted.abs().mean(dim=(1, 2)),
            measures={"loss": self.loss.value(rates[-1], target).mean(1)},
        )

    @abstractmethod
    def arriving(self, layer: int, above: Tensor, output: Tensor, model: Model) -> Tensor:
        """Return what arrives at a hidden layer, before its slope, ``(chips, batch, n)``.

        Args:
            layer: index of the layer, 0 for the first hidden one.
            above: δ of the layer above, ``(chips, batch, n_above)``.
            output: δ of the output, ``(chips, batch, n_out)``.
            model: what the rule knows.
        """


def random_matrices(model: Model, sizes: list[tuple[int, int]], scale: float) -> dict[str, Tensor]:
    r"""Return fixed random feedback matrices for the rule's memory, the same on every chip.

    Args:
        model: whose stream they are drawn from.
        sizes: rows and columns of the matrix of each hidden layer.
        scale: standard deviation times the root of the number of columns, as for initial weights.
    """
    matrices = {}
    for index, (rows, columns) in enumerate(sizes):
        noise = model.seeds.child("backward", index).generator().standard_normal((rows, columns))
        matrix = torch.from_numpy(noise) * (scale / columns**0.5)
        matrices[f"backward.{index}"] = (
            matrix.to(model.device, model.dtype).expand(model.chips, -1, -1).clone()
        )
    return matrices
