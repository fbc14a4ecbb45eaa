"""The protocol of every learning rule; what it gives is in `learning.update`, and can be had here too."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import ClassVar, final

from torch import Tensor

from learning.model import Model
from learning.stimulus import Batch
from learning.update import Dense, Outer, Program, Update, local
from root.errors import UnsupportedError
from spiking.network import Network
from spiking.presentation import Controller, Observation, Phase, Relay

__all__ = ["Dense", "LearningRule", "Outer", "Program", "Update", "local"]


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

    steady: ClassVar[bool] = True
    """Whether a single update tells the way; otherwise only the mean over many random draws does."""

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

        Returns:
            a number of floating-point numbers, for the estimate of memory.
        """
        return 0

    def check(self, network: Network) -> None:  # noqa: B027 (most rules work on every network)
        """Look at a network before anything is built.

        Args:
            network: what is to be trained.

        Raises:
            UnsupportedError: the rule cannot train it.
        """

    def trains_graphs(self, *, on_chip: bool) -> bool:
        """Return whether every connection is trained, whatever its kind and wherever it leads.

        If not, the rule is one for a chain of layers from the input to the output, all-to-all.

        Args:
            on_chip: whether the synapses change by themselves.

        Returns:
            true where every connection of any graph that `check` lets pass gets a change of its own.
        """
        return False

    @final
    def check_connections(self, network: Network, *, on_chip: bool) -> None:
        """Raise `UnsupportedError` where `network` has connections that would stay as they began.

        Args:
            network: what is to be trained.
            on_chip: whether the synapses change by themselves.
        """
        kinds = ", ".join(sorted({c.pattern.origin for c in network.connections} - {"dense"}))
        kinds = kinds or ("" if network.dense else "several inputs")
        if on_chip and kinds:
            fix = "Set training.plasticity: host."
            raise UnsupportedError("network.connections", kinds, "dense: synapses learn by themselves", fix)
        if self.trains_graphs(on_chip=on_chip):
            return
        others = network.connection_names[network.depth :]
        if others:
            allowed = f"a chain of layers: the rule {self.name}, as it is set, leaves others untrained"
            fix = "network.bidirectional: true makes connections that lead back."
            raise UnsupportedError("network.connections", ", ".join(others), allowed, fix)
        if kinds:
            allowed = f"dense: the rule {self.name}, as it is set, knows no others"
            raise UnsupportedError("network.connections", kinds, allowed)

    def abilities(self, *, on_chip: bool) -> frozenset[str]:
        """Return what the machine must be able to do, by the names of `Phase.needs`.

        Args:
            on_chip: whether the synapses are to change by themselves.

        Returns:
            names such as ``plasticity``; none where any machine will do.

        Raises:
            UnsupportedError: they cannot, with this rule.
        """
        if on_chip:
            raise UnsupportedError("training.plasticity", "on_chip", f"host, for the rule {self.name}")
        return frozenset()

    def start(self, model: Model) -> None:  # noqa: B027 (most rules need no preparation)
        """Prepare the model before the first batch.

        Args:
            model: what the rule knows; its feedback weights and its memory may be set, nothing else.
        """

    def feedback_weights(self, model: Model) -> tuple[Tensor, ...]:
        """Return the feedback weights to program before a presentation; by default as they are.

        Args:
            model: what the rule knows, with the weights that are about to be programmed.

        Returns:
            per layer 1 to L, of `Network.feedback_shapes`, ``(chips, n_from, n)``; empty where none are used.
        """
        return model.feedback

    @property
    def relays(self) -> bool:
        """Whether the rule can use feedback that is relayed from layer to layer."""
        return False

    @final
    def check_feedback(self, network: Network) -> None:
        """Raise `UnsupportedError` where the network relays feedback that the rule does not give.

        Args:
            network: what is to be trained.
        """
        if network.feedback.relayed and not self.relays:
            allowed = f"direct: the rule {self.name} has no feedback that layers could relay"
            raise UnsupportedError("network.feedback.name", network.feedback.origin, allowed)
        if network.feedback.relayed and network.depth == 1:
            allowed = "direct: without a hidden layer there is nothing to relay"
            raise UnsupportedError("network.feedback.name", network.feedback.origin, allowed)

    def relay(self, model: Model) -> Relay | None:
        """Return what layered feedback needs beside its weights.

        Args:
            model: what the rule knows, with the feedback that `feedback_weights` returned.

        Returns:
            gates and strengths of layers 1 to L - 1, or None where feedback is direct.
        """
        return None

    @final
    def prepare(self, model: Model) -> None:
        """Set the model's feedback to what is to be programmed before a presentation.

        Args:
            model: what the rule knows.
        """
        model.feedback = self.feedback_weights(model)
        model.relay = self.relay(model)

    @property
    def follows(self) -> bool:
        """Whether the feedback weights change with every step of the forward weights; see `follow`."""
        return False

    def follow(self, changes: tuple[Tensor, ...], model: Model) -> None:
        """Change the model's feedback weights after a step of its forward weights, where `follows`.

        Args:
            changes: what the step added to the weights, per connection, ``(chips, *parameters)``.
            model: after the step; its feedback weights are set.
        """
        raise NotImplementedError

    def warmup(self, batch: Batch, model: Model) -> tuple[Phase, ...]:
        """Return what must be shown of a warm-up batch.

        Args:
            batch: one of the first `warmup_batches`.
            model: what the rule knows.

        Returns:
            phases, in the order in which they are shown.
        """
        raise UnsupportedError("rule", self.name, "a rule with a warm-up")

    def identify(self, batch: Batch, observation: Observation, model: Model) -> Update:
        """Return what a warm-up batch teaches.

        Args:
            batch: as in `warmup`.
            observation: recordings of its phases by their names.
            model: what the rule knows; it is left as it is.

        Returns:
            new feedback weights and memory, and changes of connections that are made as they are, without a
            step size.
        """
        raise UnsupportedError("rule", self.name, "a rule with a warm-up")

    def check_moving(self) -> None:
        """Raise `UnsupportedError` where the rule cannot learn from targets that move in every step.

        Such a batch says so, see `Batch.moves`.
        """
        allowed = "a rule that learns from a target of every step"
        fix = "A system over time is learned by follow, force and surrogate_bptt, say."
        raise UnsupportedError("rule.name", self.name, allowed, fix)

    @property
    def controls(self) -> bool:
        """Whether the rule has a controller for targets that move; see `holding`."""
        return False

    def holding(self, target: Tensor) -> Controller:
        """Return the controller that brings a system into its state before a free run, where it `controls`.

        Args:
            target: in every step, ``(batch, time, n_out)``.
        """
        raise UnsupportedError("rule", self.name, "a rule with a controller for targets that move")

    @abstractmethod
    def presentation(self, batch: Batch, model: Model) -> tuple[Phase, ...]:
        """Return what must be shown to learn from a batch.

        Args:
            batch: samples, ``(batch, inputs)``, their targets, ``(batch, n_out)``, and their key.
            model: what the rule knows; it is left as it is.

        Returns:
            phases, in the order in which they are shown; their names are keys of the observation.
        """

    def programs(self, batch: Batch, model: Model) -> tuple[Program, ...]:
        """Return what is programmed, and what of the presentation is shown then, one after the other.

        By default all of it, with the weights of the model.
        """
        return (Program(self.presentation(batch, model)),)

    def further(self, batch: Batch, observation: Observation, model: Model) -> tuple[Phase, ...]:
        """Return what must be shown besides, in the light of what was seen.

        It is asked for again after every answer, until nothing is left to show.

        Args:
            batch: as in `presentation`.
            observation: recordings of all phases of the batch so far by their names.
            model: as it was programmed last; it is left as it is.

        Returns:
            phases of names of their own, none of which goes on from one that was shown before; none where
            the update can be made.
        """
        return ()

    @abstractmethod
    def update(self, batch: Batch, observation: Observation, model: Model) -> Update:
        """Turn what was observed into an update.

        Args:
            batch: as in `presentation`.
            observation: recordings of the presentation's phases by their names; rates are
                ``(chips, batch, n)``.
            model: what the rule knows, as it was programmed; it is left as it is.

        Returns:
            a change for every connection, or None for one to leave alone; see `Update`.
        """
