"""What backpropagation and its relatives share: an output error that is sent back layer by layer."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor

from learning.losses import Loss, Squared
from learning.model import Model
from learning.rule import LearningRule, Update, local
from learning.stimulus import Batch
from root.errors import UnsupportedError
from spiking.network import Network
from spiking.presentation import Observation, Phase

__all__ = ["Carried", "ErrorFeedback", "random_matrices"]

PROBES = torch.linspace(-2.0, 2.0, 9, dtype=torch.float64).view(1, -1, 1)
"""Currents at which a curve that is not the identity shows another slope than 1."""


Back = Callable[[int, Tensor], Tensor]

SWEEPS = 200
"""Sweeps after which errors that go round are taken as they are."""

SETTLED = 1e-10
"""Change in a sweep, relative to the output's error, at which they have come to rest."""


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

    Where connections lead back, rates are taken to be at rest, and errors go round until they are too: each
    layer adds up what arrives from all that it leads to, the output its own error as well (recurrent
    backpropagation). Source: Almeida 1987; Pineda 1987, doi:10.1103/PhysRevLett.59.2229.

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

    def trains_graphs(self, *, on_chip: bool) -> bool:
        return True

    def presentation(self, batch: Batch, model: Model) -> tuple[Phase, ...]:
        return (model.stimulus.phase("free", batch),)

    def update(self, batch: Batch, observation: Observation, model: Model) -> Update:
        rates = observation["free"].rates
        target = batch.target.to(rates[-1])
        slopes = [model.slope(index, rate) for index, rate in enumerate(rates[1:])]
        wanted = self.loss.error(rates[-1], target)
        late = model.stimulus.late(batch, "free")
        output = wanted * slopes[-1] if self.output_slope else wanted
        return Update(
            local(model.network, rates, self._errors(output, slopes, model), late=late),
            residual=wanted.abs().mean(dim=(1, 2)),
            measures={"loss": self.loss.value(rates[-1], target).mean(1)},
        )

    def _errors(self, output: Tensor, slopes: Sequence[Tensor], model: Model) -> list[Tensor]:
        """Return δ of layers 1 to L."""

        def arriving(layer: int, errors: Mapping[int, Tensor]) -> Tensor:
            return self.arriving(layer, errors, output, model)

        return errors_at_rest(model.network, output, slopes, arriving)

    @abstractmethod
    def arriving(self, layer: int, errors: Mapping[int, Tensor], output: Tensor, model: Model) -> Tensor:
        """Return what arrives at a layer, before its slope, ``(chips, batch, n)``.

        Args:
            layer: which, 1 to L; L only where connections lead back from the output.
            errors: δ of the layers that are known so far, ``(chips, batch, n)``.
            output: what the loss makes of the output's error, ``(chips, batch, n_out)``.
            model: what the rule knows.
        """


class Carried(ErrorFeedback):
    """Errors that go back along the connections, through weights that a rule says."""

    def arriving(self, layer: int, errors: Mapping[int, Tensor], output: Tensor, model: Model) -> Tensor:
        found = carried_back(model, layer, errors, lambda index, behind: self.back(index, behind, model))
        return output.new_zeros(()) if found is None else found

    @abstractmethod
    def back(self, index: int, behind: Tensor, model: Model) -> Tensor:
        """Return what an error comes to before a connection, ``(chips, batch, n_pre)``.

        Args:
            index: of the connection.
            behind: the error, ``(chips, batch, n_post)``.
            model: what the rule knows.
        """


def errors_at_rest(
    network: Network,
    output: Tensor,
    slopes: Sequence[Tensor],
    arriving: Callable[[int, Mapping[int, Tensor]], Tensor],
) -> list[Tensor]:
    """Return the errors of layers 1 to L: one sweep from the output down, more where connections lead back.

    Args:
        network: the description.
        output: the output's own error, ``(chips, batch, n_out)``.
        slopes: of layers 1 to L, ``(chips, batch, n)``.
        arriving: a layer and the errors known so far to what arrives at it.
    """
    depth = network.depth
    errors: dict[int, Tensor] = {depth: output}
    for layer in range(depth - 1, 0, -1):
        errors[layer] = arriving(layer, errors) * slopes[layer - 1]
    for _ in range(0 if network.feedforward else SWEEPS):
        before = dict(errors)
        for layer in range(depth, 0, -1):
            found = arriving(layer, errors) * slopes[layer - 1]
            errors[layer] = found if layer < depth else output + found
        moved = max(float((errors[layer] - before[layer]).abs().max()) for layer in errors)
        if not moved > SETTLED * float(output.abs().max()):
            break
    return [errors[layer] for layer in range(1, depth + 1)]


def carried_back(model: Model, layer: int, errors: Mapping[int, Tensor], back: Back) -> Tensor | None:
    """Return the sum of what errors come to along all connections that lead on from a layer, None for none.

    Args:
        model: what the rule knows.
        layer: which.
        errors: of the layers that are known so far, ``(chips, batch, n)``.
        back: a connection's index and the error behind it to what it comes to before it.
    """
    found: Tensor | None = None
    for index, connection in enumerate(model.network.connections):
        if connection.pre == layer and connection.post in errors:
            own = back(index, errors[connection.post])
            found = own if found is None else found + own
    return found


def random_matrices(model: Model, sizes: Mapping[int, tuple[int, int]], scale: float) -> dict[int, Tensor]:
    r"""Return fixed random feedback matrices, the same on every chip.

    Args:
        model: whose stream they are drawn from.
        sizes: rows and columns of the matrix of each hidden layer, by its place from 0.
        scale: standard deviation times the root of the number of columns, as for initial weights.
    """
    matrices = {}
    for index, (rows, columns) in sizes.items():
        noise = model.seeds.child("backward", index).generator().standard_normal((rows, columns))
        matrix = torch.from_numpy(noise) * (scale / max(columns, 1) ** 0.5)
        matrices[index] = matrix.to(model.device, model.dtype).expand(model.chips, -1, -1).clone()
    return matrices
