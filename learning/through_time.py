"""What rules share that unroll the design over a presentation, with the chip's spikes in it."""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass, field, replace
from typing import ClassVar

import torch
from torch import Tensor

from learning.losses import CrossEntropy, Loss
from learning.model import Model
from learning.rule import Dense, LearningRule, Update
from learning.stimulus import Batch
from learning.unrolled import Through, Unrolled, check_unrolled
from spiking.named import Named
from spiking.network import Network
from spiking.presentation import Observation, Phase
from spiking.programs.to_torch import Fire

__all__ = ["Leaves", "ThroughTime", "Unrolling", "fast_sigmoid"]


@dataclass(frozen=True)
class Unrolling(LearningRule):
    """Rules that see what the chip emits in every step.

    Args:
        loss: what is descended, of the mean rates over the window.
    """

    loss: Loss = field(default_factory=CrossEntropy)

    kept: ClassVar[float]
    """Numbers kept per neuron and step until the gradient is known."""

    @property
    def gives_outer(self) -> bool:
        return False

    @property
    def requests(self) -> frozenset[str]:
        return frozenset({"spikes"})

    def kept_numbers(self, network: Network, steps: int) -> int:
        return int(self.kept * steps * sum(network.sizes[1:]))

    def check(self, network: Network) -> None:
        check_unrolled(network)

    def trains_graphs(self, *, on_chip: bool) -> bool:
        return True

    def presentation(self, batch: Batch, model: Model) -> tuple[Phase, ...]:
        return (replace(model.stimulus.phase("free", batch), record=self.requests),)


class ThroughTime(Unrolling):
    """Backpropagation through time; rules differ by how gradients go through a spike."""

    @abstractmethod
    def through(self, dt_ms: float) -> Through:
        """Return how gradients go through spikes.

        Args:
            dt_ms: time step.
        """

    def update(self, batch: Batch, observation: Observation, model: Model) -> Update:
        if batch.moves:
            return self._followed(batch, observation, model)
        seen, leaves = observation["free"], Leaves(model)
        rates = leaves.unrolled(batch, self.through(model.network.dt_ms)).rates(
            [trace.to(model.dtype) for trace in seen.traces["spikes"]]
        )
        loss = self.loss.value(rates, batch.target.to(rates))
        return Update(
            leaves.descent(loss.mean(1).sum()),
            residual=self.loss.error(seen.rates[-1], batch.target.to(seen.rates[-1])).abs().mean(dim=(1, 2)),
            measures={"loss": loss.detach().mean(1)},
        )

    def _followed(self, batch: Batch, observation: Observation, model: Model) -> Update:
        """Descend the loss of the output in every step of the window.

        What is there after a step is compared with the target of the next one, as a controller does.
        """
        seen, leaves = observation["free"], Leaves(model)
        unrolled = leaves.unrolled(batch, self.through(model.network.dt_ms))
        y = unrolled.outputs([trace.to(model.dtype) for trace in seen.traces["spikes"]])[:, :, :-1]
        weight = unrolled.phase.window[1:].to(y)
        wanted = batch.target[:, 1:].to(y)
        loss = (self.loss.value(y, wanted) * weight).sum(2) / weight.sum()
        off = (self.loss.error(y.detach(), wanted).abs().mean(-1) * weight).sum(2) / weight.sum()
        return Update(
            leaves.descent(loss.mean(1).sum()),
            residual=off.mean(1),
            measures={"loss": loss.detach().mean(1)},
        )


class Leaves:
    """The weights and biases of a model as the ends of a graph.

    Args:
        model: what the rule knows.
    """

    def __init__(self, model: Model) -> None:
        self.model = model
        known = [model.known(index) for index in range(len(model.network.connections))]
        self.synapses = [synapses for synapses, _ in known]
        self.weights = [weight.detach().clone().requires_grad_() for _, weight in known]
        self.biases = [bias.detach().clone().requires_grad_() for bias in model.bias]

    def unrolled(self, batch: Batch, through: Through, *, between: bool = True) -> Unrolled:
        """Return the design with these weights; see `Unrolled`."""
        parts = (self.model, batch, self.weights, self.biases, through)
        return Unrolled(*parts, synapses=self.synapses, between=between)

    def descent(self, loss: Tensor) -> Named[Dense]:
        """Return the descent of every connection; the first one onto a layer teaches its bias.

        Args:
            loss: a number made of the weights and biases.
        """
        loss.backward()  # type: ignore[no-untyped-call]
        network, truth = self.model.network, self.model.truth
        taught: set[int] = set()
        changes = []
        parts = zip(network.connections, network.synapses, self.weights, strict=True)
        for connection, synapses, weight in parts:
            change = -_gradient(weight)
            if truth is not None:  # every synapse had a number of its own
                change = synapses.programmed(change)
            post = connection.post - 1
            bias = None if post in taught else -_gradient(self.biases[post])
            taught.add(post)
            changes.append(Dense(change if connection.pattern.trained else torch.zeros_like(change), bias))
        return Named(network.connection_names, changes)


def fast_sigmoid(steepness: float) -> Fire:
    """Return a spike of a distance from the threshold, with the derivative of snnTorch's fast sigmoid."""
    from snntorch import surrogate  # noqa: PLC0415 (heavy, and few rules need it)

    fire: Fire = surrogate.fast_sigmoid(slope=steepness)
    return fire


def _gradient(parameter: Tensor) -> Tensor:
    return torch.zeros_like(parameter) if parameter.grad is None else parameter.grad
