"""The protocol of every learning rule, and the update it gives."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import ClassVar, final

import torch
from torch import Tensor

from learning.model import Model
from learning.stimulus import Batch
from rate_bridge.errors import UnsupportedError
from spiking.network import Network
from spiking.presentation import Observation, Phase, Relay

__all__ = ["Dense", "LearningRule", "Outer", "Update"]


@final
@dataclass(frozen=True)
class Outer:
    """A weight change that is local: presynaptic activity times a postsynaptic error.

    Args:
        pre: ``(chips or 1, batch, n_pre)``.
        post: ``(chips, batch, n_post)``; positive where the neuron should be more active.
    """

    pre: Tensor
    post: Tensor

    def weight(self) -> Tensor:
        """Return the wanted weight change, the mean over the batch, ``(chips, n_pre, n_post)``."""
        pre = self.pre.expand(self.post.shape[0], -1, -1)
        return torch.matmul(pre.transpose(1, 2), self.post) / self.post.shape[1]

    def bias(self) -> Tensor:
        """Return the wanted bias change, ``(chips, n_post)``."""
        return self.post.mean(1)


@final
@dataclass(frozen=True)
class Dense:
    """A weight change that is known as a whole.

    Args:
        weight_change: ``(chips, n_pre, n_post)``.
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
class Update:
    r"""What a rule wants to change, as directions of descent of its loss (before the step size).

    Args:
        connections: per connection of the network, or None to leave it as it is.
        feedback: the rule's new feedback weights, or None to keep them.
        memory: entries to set in the model's memory.
        residual: size of what is left to learn, ``(chips,)``: mean absolute value of the output error that is
            descended, :math:`|\partial L/\partial r_L|`; it falls as the rule succeeds, whatever its loss.
        measures: further numbers per chip worth recording, each ``(chips,)``.
    """

    connections: tuple[Outer | Dense | None, ...]
    feedback: tuple[Tensor, ...] | None = None
    memory: Mapping[str, Tensor] = field(default_factory=dict)
    residual: Tensor | None = None
    measures: Mapping[str, Tensor] = field(default_factory=dict)


class LearningRule(ABC):
    """A learning rule: concrete rules are frozen dataclasses, their fields are their settings.

    A rule is pure: the same batch, observation and model give the same update. What it must remember
    goes through `Update` into the model.
    """

    name: ClassVar[str]
    uses_feedback: ClassVar[bool] = False
    """Whether feedback weights are programmed, so that their mismatch has an effect."""

    needs_truth: ClassVar[bool] = False
    """Whether the rule computes with the chips' true parameters: an upper bound, for the oracle arm alone."""

    @property
    def gives_outer(self) -> bool:
        """Whether every change is an `Outer`, which is what some optimisers need."""
        return True

    @property
    def uses_model(self) -> bool:
        """Whether the model's weights or curves enter an update, so that knowing the true ones matters."""
        return True

    @property
    def uses_shadow(self) -> bool:
        """Whether the basal shadows run, so that their mismatch has an effect."""
        return False

    @property
    def requests(self) -> frozenset[str]:
        """Names from `TRACES` of what the rule asks to be recorded in every step, beyond rates."""
        return frozenset()

    @property
    def warmup_batches(self) -> int:
        """Batches shown before training, on which the rule may identify the chips."""
        return 0

    def kept_numbers(self, network: Network, steps: int) -> int:
        """Return how many numbers an update keeps per chip and sample, beside the recordings.

        Args:
            network: what is trained.
            steps: of a presentation.
        """
        return 0

    def check(self, network: Network) -> None:  # noqa: B027 (most rules work on every network)
        """Raise `UnsupportedError` where the rule cannot train `network`."""

    def trains_backward(self, *, on_chip: bool) -> bool:
        """Return whether connections beside the chain from the input to the output are trained.

        Args:
            on_chip: whether the synapses change by themselves.
        """
        return False

    @final
    def check_connections(self, network: Network, *, on_chip: bool) -> None:
        """Raise `UnsupportedError` where `network` has connections that would stay as they began.

        Args:
            network: what is to be trained.
            on_chip: whether the synapses change by themselves.
        """
        if len(network.connections) > network.depth and not self.trains_backward(on_chip=on_chip):
            allowed = f"false: the rule {self.name}, as it is set, leaves backward connections untrained"
            raise UnsupportedError("network.bidirectional", True, allowed)

    def abilities(self, *, on_chip: bool) -> frozenset[str]:
        """Return what the machine must be able to do, by the names of `Phase.needs`.

        Args:
            on_chip: whether the synapses are to change by themselves.

        Raises:
            UnsupportedError: they cannot, with this rule.
        """
        if on_chip:
            raise UnsupportedError("training.plasticity", "on_chip", f"host, for the rule {self.name}")
        return frozenset()

    def start(self, model: Model) -> None:  # noqa: B027 (most rules need no preparation)
        """Set the model's feedback weights and memory before the first batch."""

    def feedback_weights(self, model: Model) -> tuple[Tensor, ...]:
        """Return the feedback weights to program before a presentation; by default as they are."""
        return model.feedback

    @property
    def relays(self) -> bool:
        """Whether the rule can use feedback that is relayed from layer to layer."""
        return False

    @final
    def check_feedback(self, network: Network) -> None:
        """Raise `UnsupportedError` where the network relays feedback that the rule does not give."""
        if network.feedback.relayed and not self.relays:
            allowed = f"direct: the rule {self.name} has no feedback that layers could relay"
            raise UnsupportedError("network.feedback.name", network.feedback.origin, allowed)
        if network.feedback.relayed and network.depth == 1:
            allowed = "direct: without a hidden layer there is nothing to relay"
            raise UnsupportedError("network.feedback.name", network.feedback.origin, allowed)

    def relay(self, model: Model) -> Relay | None:
        """Return what layered feedback needs beside its weights, after `feedback_weights`."""
        return None

    @final
    def prepare(self, model: Model) -> None:
        """Set the model's feedback to what is to be programmed before a presentation."""
        model.feedback = self.feedback_weights(model)
        model.relay = self.relay(model)

    @property
    def follows(self) -> bool:
        """Whether the feedback weights change with every step of the forward weights; see `follow`."""
        return False

    def follow(self, changes: tuple[Tensor, ...], model: Model) -> None:
        """Change the model's feedback weights after a step of its forward weights, where `follows`.

        Args:
            changes: what the step added to the weights of every connection.
            model: after the step.
        """
        raise NotImplementedError

    def warmup(self, batch: Batch, model: Model) -> tuple[Phase, ...]:
        """Return the phases of a warm-up batch."""
        raise UnsupportedError("rule", self.name, "a rule with a warm-up")

    def identify(self, batch: Batch, observation: Observation, model: Model) -> Update:
        """Return what a warm-up batch teaches."""
        raise UnsupportedError("rule", self.name, "a rule with a warm-up")

    @abstractmethod
    def presentation(self, batch: Batch, model: Model) -> tuple[Phase, ...]:
        """Return the phases that must be shown to learn from `batch`."""

    @abstractmethod
    def update(self, batch: Batch, observation: Observation, model: Model) -> Update:
        """Turn what was observed into an update."""
