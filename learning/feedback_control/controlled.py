"""What all rules with a controller in the loop share: phases, and the local plasticity of the nudge."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import ClassVar

import torch

from learning.feedback_control.feedback_weights import FeedbackWeights, WeightProduct
from learning.feedback_control.gains import ControllerGains
from learning.feedback_control.gates import Active, Gate
from learning.feedback_control.prediction import Prediction, TwoPhase
from learning.feedback_control.with_feedback import RuleWithFeedback
from learning.model import Model
from learning.rule import Dense, Outer, Update, local
from learning.stimulus import Batch
from root.errors import InputError, UnsupportedError
from spiking.named import Named
from spiking.network import Network
from spiking.presentation import Controller, Observation, Phase, Relay

__all__ = ["ControlledRule"]


@dataclass(frozen=True)
class ControlledRule(RuleWithFeedback):
    r"""The controller pushes the chip's output to a target by feedback currents into every layer.

    What this changes in a neuron, beyond what its own feedforward input predicts, is its error:

    .. math::
        \Delta W_l \propto r_{l-1}^\top\, (r_l^{controlled} - \hat r_l)

    Args:
        controller: its gains.
        prediction: what the feedforward input alone would have given (``two_phase``, ``basal``,
            ``basal_affine``, ``basal_dendritic``, ``nominal``); or the feedback current itself is the
            error, its mean (``none``) or in every step (``apical_online``).
        feedback: where the feedback weights come from (``weight_product``, ``random``, ``given``,
            ``identified``, ``learned``, ``online``; with layered feedback ``transposed``, ``random``,
            ``given``, ``kolen_pollack``, ``identified_layers``).
        gate: how much of what a hidden neuron receives is its error, and is passed on to the layer below
            where feedback is layered (``active``, ``slope``, ``measured``).
        presynaptic: ``controlled``: the rate under control; ``predicted``: for the synapses of hidden
            layers' neurons onto the next layer, the predicted rate, which cannot leak the label.
        readout: which rates are compared: ``average`` over the window, or ``last``, those of the
            last step, for networks that settle.
        output: what the controller compares with the target: ``linear``, the output :math:`r_L` itself;
            ``softmax``, :math:`\mathrm{softmax}(r_L)`, for labels and a linear output layer. The first
            descends the squared error, the second the cross-entropy.
    """

    controller: ControllerGains = field(default_factory=ControllerGains)
    prediction: Prediction = field(default_factory=TwoPhase)
    feedback: FeedbackWeights = field(default_factory=WeightProduct)
    gate: Gate = field(default_factory=Active)
    presynaptic: str = "controlled"
    readout: str = "average"
    output: str = "linear"

    uses_feedback: ClassVar[bool] = True

    def __post_init__(self) -> None:
        if self.presynaptic not in ("controlled", "predicted"):
            raise InputError("rule.presynaptic", self.presynaptic, "controlled, predicted")
        if self.readout not in ("average", "last"):
            raise InputError("rule.readout", self.readout, "average, last")
        if self.output not in ("linear", "softmax"):
            raise InputError("rule.output", self.output, "linear, softmax")

    def without_effect(self) -> Iterator[tuple[str, str]]:
        """Yield fields that do nothing beside the others, and why."""
        if not self.prediction.predicts:
            yield "presynaptic", "this prediction predicts no rates"

    @property
    def uses_shadow(self) -> bool:
        return self.prediction.needs_shadow

    @property
    def uses_model(self) -> bool:
        return self.prediction.uses_model or self.feedback.uses_model or self.gate.uses_model

    @property
    def relays(self) -> bool:
        return True

    def start(self, model: Model) -> None:
        super().start(model)
        self.gate.start(model)

    def relay(self, model: Model) -> Relay | None:
        if not model.network.feedback.relayed:
            return None
        curves = [self.gate.curve(index, model) for index in range(model.network.depth - 1)]
        values, low, high = zip(*curves, strict=True)
        return Relay(self.feedback.strength(model, model.feedback), values, low, high)

    @property
    def gives_outer(self) -> bool:
        return self.prediction.gives_outer

    def trains_graphs(self, *, on_chip: bool) -> bool:
        """Return True: what a synapse learns of is at its own two ends."""
        return True

    def check(self, network: Network) -> None:
        spiking = any(layer.neuron.emits_spikes for layer in network.layers)
        if self.readout == "last" and spiking:
            raise UnsupportedError("rule.readout", "last", "average, for spiking neurons")
        if self.gate != Active() and not (self.prediction.uses_gate or network.feedback.relayed):
            allowed = "active (the default): no gate has an effect with this prediction and direct feedback"
            raise UnsupportedError("rule.gate.name", self.gate.origin, allowed)
        super().check(network)

    def abilities(self, *, on_chip: bool) -> frozenset[str]:
        wanted = self.prediction.abilities(on_chip=on_chip) | self.feedback.abilities
        return wanted | {"softmax"} if self.compares_softmax else wanted

    @property
    def compares_softmax(self) -> bool:
        """Whether the loop itself takes the soft-max of the output, which not every machine can."""
        return self.output == "softmax"

    @abstractmethod
    def target(self, batch: Batch) -> Controller:
        """Return the controller that this rule closes the loop with."""

    def presentation(self, batch: Batch, model: Model) -> tuple[Phase, ...]:
        controller, shadow = self.target(batch), self.prediction.needs_shadow
        predicting = self.prediction.phases(batch, model)
        if controller.nudge_from and not predicting:
            predicting = (model.stimulus.phase(controller.nudge_from, batch, shadow=shadow),)
        controlled = model.stimulus.phase(
            "controlled",
            batch,
            controller=controller,
            shadow=shadow,
            after=controller.nudge_from,
            noise=self.feedback.noise(batch, model),
        )
        controlled = replace(controlled, plasticity=self.prediction.plasticity(model))
        own = tuple(self._windowed(phase) for phase in (*predicting, controlled))
        return (*own, *self.feedback.phases(batch, model), *self.gate.phases(batch, model))

    def _windowed(self, phase: Phase) -> Phase:
        if self.readout == "average":
            return phase
        last = torch.zeros_like(phase.window)
        last[-1] = 1.0
        return replace(phase, window=last)

    def update(self, batch: Batch, observation: Observation, model: Model) -> Update:
        controlled = observation["controlled"]
        predicted = self.prediction.rates(observation, model)
        connections: Named[Outer | Dense | None]
        if controlled.changes:
            changed = (Dense(change.weight, change.bias) for change in controlled.changes)
            connections = Named(model.network.connection_names, changed)
        else:
            presynaptic = controlled.rates
            if self.presynaptic == "predicted":
                presynaptic = (controlled.rates[0], *predicted)
            errors = self.prediction.errors(observation, model, self.gate)
            late = model.stimulus.late(batch, "controlled")
            connections = local(model.network, presynaptic, errors, late=late)
        assert controlled.control is not None
        learned = self.feedback.estimate(batch, observation, model)
        reached = predicted[-1] if self.output == "linear" else predicted[-1].softmax(-1)
        return Update(
            connections=connections,
            feedback=learned.feedback,
            memory={
                **learned.memory,
                **self.prediction.learn(observation, model),
                **self.gate.learn(batch, observation, model),
            },
            residual=(batch.target - reached).abs().mean(dim=(1, 2)),
            measures={"control_effort": controlled.control.square().mean(dim=(1, 2)).sqrt()},
        )
