"""Weight perturbation: what a random change of all weights does to the loss, multiplied by that change."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Annotated, ClassVar, final

import torch
from torch import Tensor

from learning.losses import Loss, Squared
from learning.model import Model
from learning.rule import Dense, LearningRule, Program, Update
from learning.stimulus import Batch
from root.ranges import COUNT, GAIN, check_ranges
from spiking.named import Named
from spiking.presentation import Observation, Phase

__all__ = ["WeightPerturbation"]

PLUS, MINUS = "plus", "minus"


@final
@dataclass(frozen=True)
class WeightPerturbation(LearningRule):
    r"""All weights and biases are changed at once by random signs; the loss is multiplied by them.

    A batch is shown twice, with :math:`\theta \pm \Delta` programmed, :math:`\Delta_i = \pm\sigma_i`:

    .. math:: g_i = \frac{L(\theta + \Delta) - L(\theta - \Delta)}{2\,\Delta_i}, \qquad
        \sigma_i = \frac{\sigma}{\sqrt{n_{in}}}

    with L the mean over the batch and n_in the number of synapses on a neuron (1 for a bias). The signs are
    independent, so the mean of g is the gradient up to σ²; its variance grows with the number of weights,
    which is what node perturbation saves. Nothing of the chip is modelled, and nothing but the loss is
    measured: the rule that any hardware can run. A step costs 2 · `draws` presentations of every sample and
    as many writes of all weights. The writes, their noise and the random initial states are independent.

    Source: Jabri & Flower 1992, doi:10.1109/72.105429; multiplexed: McCaughan et al. 2023 (MGD),
    arXiv 2303.03986; simultaneous and antithetic: Spall 1992, doi:10.1109/9.119632.

    Args:
        loss: what is descended.
        sigma: size of the change of a weight, times the root of the number of synapses on its neuron, > 0.
        draws: pairs of presentations of a batch, each with signs of its own.
    """

    loss: Loss = field(default_factory=Squared)
    sigma: Annotated[float, GAIN] = 0.1
    draws: Annotated[int, COUNT] = 1

    name: ClassVar[str] = "weight_perturbation"
    steady: ClassVar[bool] = False

    def __post_init__(self) -> None:
        check_ranges(self, "rule")

    @property
    def gives_outer(self) -> bool:
        return False

    @property
    def uses_model(self) -> bool:
        return False

    def trains_graphs(self, *, on_chip: bool) -> bool:
        return True

    def presentation(self, batch: Batch, model: Model) -> tuple[Phase, ...]:
        return tuple(
            model.stimulus.phase(f"{name}_{k}", batch, start=f"perturb_{k}", shared_input=True)
            for k in range(self.draws)
            for name in (PLUS, MINUS)
        )

    def programs(self, batch: Batch, model: Model) -> tuple[Program, ...]:
        """Return one program for each presentation: the weights with the change, and without it twice."""
        phases = iter(self.presentation(batch, model))
        found = []
        for k in range(self.draws):
            for sign in (1.0, -1.0):
                weights, biases = self.changes(k, batch, model)
                for parameter, change in zip(
                    (*model.forward_weights, *model.bias), (*weights, *biases), strict=True
                ):
                    change.mul_(sign).add_(parameter.detach())
                found.append(Program((next(phases),), tuple(weights), tuple(biases)))
        return tuple(found)

    def changes(self, draw: int, batch: Batch, model: Model) -> tuple[list[Tensor], list[Tensor]]:
        """Return the changes of all weights and of all biases in a pair's first presentation.

        They are the same on all chips; what no rule may change stays as it is.

        Args:
            draw: which pair.
            batch: names the random numbers.
            model: what is changed, for its sizes.
        """
        seeds = model.seeds.child("perturb", draw, *batch.key)

        def signs(shape: tuple[int, ...], *place: str | int) -> Tensor:
            drawn = seeds.child(*place).generator().integers(0, 2, shape)
            return 2.0 * torch.from_numpy(drawn).to(model.device, model.dtype) - 1.0

        weights = []
        for index, (connection, synapses) in enumerate(
            zip(model.network.connections, model.network.synapses, strict=True)
        ):
            size = self.sigma / synapses.fan_in**0.5 if connection.pattern.trained else 0.0
            change = size * signs(synapses.parameters, "weight", index)
            weights.append(change.expand(model.chips, *change.shape).clone())
        biases = [
            (self.sigma * signs((layer.size,), "bias", index)).expand(model.chips, -1).clone()
            for index, layer in enumerate(model.network.layers)
        ]
        return weights, biases

    def update(self, batch: Batch, observation: Observation, model: Model) -> Update:
        weights = [torch.zeros_like(w) for w in model.forward_weights]
        biases = [torch.zeros_like(b) for b in model.bias]
        outputs, losses = [], []
        for k in range(self.draws):
            rates = [observation[f"{name}_{k}"].rates[-1] for name in (PLUS, MINUS)]
            target = batch.target.to(rates[0])
            high, low = (self.loss.value(own, target).mean(1).to(model.dtype) for own in rates)
            push = (low - high) / (2.0 * self.draws)
            for sums, changes in zip((weights, biases), self.changes(k, batch, model), strict=True):
                for total, change in zip(sums, changes, strict=True):
                    shared = push.view(-1, *([1] * (change.ndim - 1))) / change
                    total.add_(torch.where(change == 0, 0.0, shared))
            outputs += rates
            losses.append((high + low) / 2.0)
        taught: set[int] = set()
        connections = []
        for connection, weight in zip(model.network.connections, weights, strict=True):
            bias = None if connection.post in taught else biases[connection.post - 1]
            connections.append(Dense(weight, bias))
            taught.add(connection.post)
        mean = torch.stack(outputs).mean(0)
        wanted = self.loss.error(mean, batch.target.to(mean))
        return Update(
            Named(model.network.connection_names, connections),
            residual=wanted.abs().mean(dim=(1, 2)),
            measures={"loss": torch.stack(losses).mean(0)},
        )
