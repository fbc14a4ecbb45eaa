"""What a rule gives: the update of a model, and weights of its own for what it wants to be shown."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import final

import torch
from torch import Tensor

from learning.model import Model
from spiking.connections import Synapses
from spiking.named import Named, by_name
from spiking.network import Network
from spiking.presentation import Phase, Weights

__all__ = ["Dense", "Outer", "Program", "Update", "local"]


@final
@dataclass(frozen=True)
class Outer:
    """A weight change that is local: presynaptic activity times a postsynaptic error.

    Args:
        pre: ``(chips or 1, batch, n_pre)``.
        post: ``(chips, batch, n_post)``; positive where the neuron should be more active.
        synapses: of the connection; None where all are joined to all.
        learns: whether the connection's weights change at all.
        teaches_bias: whether the biases behind it change with it; one connection of a layer teaches them.
    """

    pre: Tensor
    post: Tensor
    synapses: Synapses | None = None
    learns: bool = True
    teaches_bias: bool = True

    def weight(self) -> Tensor:
        """Return the wanted weight change, the mean over the batch, ``(chips, *parameters)``."""
        if self.synapses is not None and not self.learns:
            return self.post.new_zeros(self.post.shape[0], *self.synapses.parameters)
        if self.synapses is not None:
            return self.synapses.correlate(self.pre, self.post) / self.post.shape[1]
        pre = self.pre.expand(self.post.shape[0], -1, -1)
        return torch.matmul(pre.transpose(1, 2), self.post) / self.post.shape[1]

    def bias(self) -> Tensor | None:
        """Return the wanted bias change, ``(chips, n_post)``, or None where another connection teaches it."""
        return self.post.mean(1) if self.teaches_bias else None


@final
@dataclass(frozen=True)
class Dense:
    """A weight change that is known as a whole.

    Args:
        weight_change: ``(chips, *parameters)``.
        bias_change: ``(chips, n_post)``, or None where the connection does not teach the bias.
    """

    weight_change: Tensor
    bias_change: Tensor | None = None

    def weight(self) -> Tensor:
        """Return the wanted weight change."""
        return self.weight_change

    def bias(self) -> Tensor | None:
        """Return the wanted bias change."""
        return self.bias_change


@final
@dataclass(frozen=True)
class Program:
    """Weights other than the model's, and what is shown while they are programmed.

    Args:
        phases: what is shown, none of which goes on from another program's.
        weights: per connection, ``(chips, *parameters)``; empty for the model's own.
        biases: per layer 1 to L, ``(chips, n)``; empty for the model's own.
    """

    phases: tuple[Phase, ...]
    weights: tuple[Tensor, ...] = ()
    biases: tuple[Tensor, ...] = ()

    def of(self, model: Model) -> Weights:
        """Return what is to be programmed, with the feedback of the model."""
        own = model.weights()
        return replace(own, forward=self.weights or own.forward, bias=self.biases or own.bias)


@final
@dataclass(frozen=True)
class Update:
    r"""What a rule wants to change, as directions of descent of its loss (before the step size).

    Args:
        connections: by the names of the network's connections, None to leave one as it is; or one after the
            other, in the network's order.
        feedback: the rule's new feedback weights, or None to keep them.
        memory: entries to set in the model's memory: `RuleState.entries` of what the rule remembers.
        residual: size of what is left to learn, ``(chips,)``: mean absolute value of the output error that is
            descended, :math:`|\partial L/\partial r_L|`; it falls as the rule succeeds, whatever its loss.
        measures: further numbers per chip worth recording, each ``(chips,)``.
    """

    connections: Mapping[str, Outer | Dense | None] | tuple[Outer | Dense | None, ...]
    feedback: tuple[Tensor, ...] | None = None
    memory: Mapping[str, Tensor] = field(default_factory=dict)
    residual: Tensor | None = None
    measures: Mapping[str, Tensor] = field(default_factory=dict)

    def of(self, network: Network) -> Named[Outer | Dense | None]:
        """Return what is wanted of every connection, by name and in the network's order.

        Raises:
            InputError: the update does not speak of all connections of `network`, or of others.
        """
        names, none = network.connection_names, ", None for no change"
        return by_name("update.connections", names, self.connections, none)


def local(
    network: Network,
    before: Sequence[Tensor],
    errors: Sequence[Tensor],
    *,
    late: Mapping[int, Tensor] | None = None,
    only: Collection[int] | None = None,
) -> Named[Outer | None]:
    """Return what is before every connection times the error behind it, each where it stands.

    Args:
        network: the description.
        before: rates of layers 0 to L (those that are before a connection), ``(chips or 1, batch, n)``.
        errors: per layer 1 to L, ``(chips, batch, n)``.
        late: what is before single connections, by their index, where that is not what the layer says: see
            `Stimulus.late`.
        only: the layers whose synapses and biases are to change; None for all.
    """
    found: list[Outer | None] = []
    taught: set[int] = set()
    arrived = late or {}
    for index, (connection, synapses) in enumerate(zip(network.connections, network.synapses, strict=True)):
        post = connection.post
        if only is not None and post not in only:
            found.append(None)
            continue
        own = (None if synapses.dense else synapses, connection.pattern.trained, post not in taught)
        rates = before[connection.pre]
        if index in arrived:
            rates = arrived[index].to(rates)
        found.append(Outer(rates, errors[post - 1], *own))
        taught.add(post)
    return Named(network.connection_names, found)
