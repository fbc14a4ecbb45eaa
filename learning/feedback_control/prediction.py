"""What a neuron's feedforward input alone would have given: one class per way to know it."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar, final

from torch import Tensor

from learning.feedback_control.gates import Gate
from learning.model import Model
from learning.stimulus import Batch
from root.errors import UnsupportedError
from spiking.presentation import Observation, Phase, Plasticity

__all__ = ["Basal", "Nominal", "Prediction", "TwoPhase"]


@dataclass(frozen=True)
class Prediction(ABC):
    """A way to know the rates that a chip would have without feedback."""

    plugin_group: ClassVar[str] = "predictions"
    origin: ClassVar[str]
    uses_model: ClassVar[bool] = False
    """Whether weights and curves are used as the rule knows them."""
    needs_shadow: ClassVar[bool] = False
    predicts: ClassVar[bool] = True
    """Whether `rates` are more than the controlled rates themselves."""
    uses_gate: ClassVar[bool] = False
    """Whether the errors are what a neuron receives, times its gate."""
    gives_outer: ClassVar[bool] = True
    """Whether the errors are read and the changes made of them, not summed by the synapses."""

    def phases(self, batch: Batch, model: Model) -> tuple[Phase, ...]:
        """Return the phases that must be shown beside the controlled one."""
        return ()

    @abstractmethod
    def rates(self, observation: Observation, model: Model) -> tuple[Tensor, ...]:
        """Return the predicted rates per layer 1 to L, ``(chips, batch, n)``."""

    def learn(self, observation: Observation, model: Model) -> Mapping[str, Tensor]:
        """Return entries to set in the model's memory: what the batch taught about the prediction."""
        return {}

    def plasticity(self, model: Model) -> Plasticity | None:
        """Return what the synapses sum or learn by themselves in the controlled phase."""
        return None

    def abilities(self, *, on_chip: bool) -> frozenset[str]:
        """Return what the machine must be able to do; see `LearningRule.abilities`."""
        if on_chip:
            allowed = "basal or apical_online, with training.plasticity: on_chip"
            raise UnsupportedError("rule.prediction.name", self.origin, allowed)
        return frozenset()

    def errors(self, observation: Observation, model: Model, gate: Gate) -> tuple[Tensor, ...]:
        """Return what the feedback makes of every layer 1 to L: how much more active it should be."""
        controlled = observation["controlled"].rates[1:]
        pairs = zip(controlled, self.rates(observation, model), strict=True)
        return tuple(rate - expected for rate, expected in pairs)


@final
@dataclass(frozen=True)
class TwoPhase(Prediction):
    """A second presentation on the same chip, without feedback, from an initial state of its own.

    It needs nothing that a chip does not give, and every neuron predicts itself, mismatch included.
    """

    origin: ClassVar[str] = "two_phase"

    def phases(self, batch: Batch, model: Model) -> tuple[Phase, ...]:
        return (model.stimulus.phase("free", batch),)

    def rates(self, observation: Observation, model: Model) -> tuple[Tensor, ...]:
        return observation["free"].rates[1:]


@final
@dataclass(frozen=True)
class Basal(Prediction):
    """A shadow membrane beside every neuron that sees all currents but the feedback.

    Source: the basal compartment of Meulemans et al. 2021, arXiv 2106.07887.
    """

    origin: ClassVar[str] = "basal"
    needs_shadow: ClassVar[bool] = True

    def rates(self, observation: Observation, model: Model) -> tuple[Tensor, ...]:
        return observation["controlled"].basal

    def abilities(self, *, on_chip: bool) -> frozenset[str]:
        return frozenset({"plasticity"} if on_chip else ())

    def plasticity(self, model: Model) -> Plasticity | None:
        known = model.on_chip
        return None if known is None else Plasticity(known.batch, None, known.steps)


@final
@dataclass(frozen=True)
class Nominal(Prediction):
    """The nominal model's answer to the measured presynaptic rates: the cautionary arm.

    Under mismatch the difference is dominated by the mismatch itself.
    """

    origin: ClassVar[str] = "nominal"
    uses_model: ClassVar[bool] = True

    def rates(self, observation: Observation, model: Model) -> tuple[Tensor, ...]:
        measured = observation["controlled"].rates
        currents: list[Tensor | None] = [None] * model.network.depth
        for index, connection in enumerate(model.network.connections):
            own, known = model.ahead(index, measured[connection.pre]), currents[connection.post - 1]
            currents[connection.post - 1] = own if known is None else known + own
        return tuple(
            model.transfer(index).rate(current + bias.unsqueeze(1))
            for index, (current, bias) in enumerate(zip(currents, model.bias, strict=True))
            if current is not None
        )
