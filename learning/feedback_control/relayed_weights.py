"""Feedback weights between neighbouring layers: those of layered feedback, which the layers relay through."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Annotated, ClassVar, final

import torch
from torch import Tensor

from learning.feedback_control.feedback_weights import Estimate, FeedbackWeights, identity, random_weights
from learning.feedback_control.probing import Probe
from learning.model import Model
from learning.state import RuleState
from learning.stimulus import Batch
from root.errors import InputError
from root.ranges import BATCHES, INNER, PROBE, SHARE
from spiking.presentation import Observation, Phase

__all__ = ["IdentifiedLayers", "KolenPollack", "Transposed"]


@final
@dataclass(frozen=True)
class Transposed(FeedbackWeights):
    r""":math:`B_{l+1} = W_{l+1}^\top` of the programmed weights, anew for every batch.

    Weights are transported. With the gates of `Slope` the layers then relay the gradient, as far as the rule
    knows the chip.
    """

    origin: ClassVar[str] = "transposed"
    uses_model: ClassVar[bool] = True
    relayed: ClassVar[bool | None] = True

    def current(self, model: Model) -> tuple[Tensor, ...]:
        known = [model.known(index) for index in range(1, model.network.depth)]
        above = [synapses.turned(synapses.physical(weights.detach())) for synapses, weights in known]
        return (*above, identity(model))

    def end_to_end(self, model: Model, feedback: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        """Return products of the weights; where synapses share numbers, as the forward ones do them."""
        products = [feedback[-1]]
        for layer in range(model.network.depth - 1, 0, -1):
            own, before = model.network.feedback_synapses[layer - 1], products[-1]
            if not own.dense:
                products.append(model.back(layer, before).detach())
            else:
                weights = feedback[layer - 1]
                products.append(own.apply(weights, before) if len(products) > 1 else weights)
        return tuple(reversed(products))


@final
@dataclass(frozen=True)
class KolenPollack(FeedbackWeights):
    r"""Learned from random by the same local products as the forward weights; nothing is transported.

    A forward synapse changes by the activity before it times the error behind it. The feedback synapse
    between the same two neurons has both at its ends too, so it makes the same step, and both decay:

    .. math::
        W \leftarrow (1 - \lambda)(W + \Delta W), \qquad B \leftarrow (1 - \lambda)(B + \Delta W^\top)

    whence :math:`B - W^\top` falls by :math:`1 - \lambda` in every batch. Weights from the input do not
    decay.

    Source: Kolen & Pollack 1994, doi:10.1109/ICNN.1994.374486; Akrout et al. 2019, arXiv 1904.05391.

    Args:
        decay: λ per batch, in (0, 1).
    """

    decay: Annotated[float, INNER] = 1e-4

    origin: ClassVar[str] = "kolen_pollack"
    relayed: ClassVar[bool | None] = True
    follows: ClassVar[bool] = True

    def start(self, model: Model) -> tuple[Tensor, ...]:
        return (*random_weights(model, None), identity(model))

    def current(self, model: Model) -> tuple[Tensor, ...]:
        return model.feedback

    def follow(self, changes: tuple[Tensor, ...], model: Model) -> tuple[Tensor, ...]:
        keep = 1.0 - self.decay
        learned = []
        for index, (b, synapses) in enumerate(
            zip(model.feedback[:-1], model.network.synapses[1:], strict=False)
        ):
            change = synapses.turned(synapses.physical(changes[index + 1]))
            learned.append((b + change.to(b)) * keep)
            if model.network.connections[index + 1].pattern.trained:
                model.forward_weights[index + 1].data.mul_(keep)
        return (*learned, model.feedback[-1])


@final
@dataclass(frozen=True)
class LayerAnswers(RuleState):
    """What neurons answered to currents, running means.

    Args:
        shown: batches so far.
        measured: those that were measured on.
        own: answers of the neurons themselves, per layer 1 to L, ``(chips, n)``.
        answer: answers of the layer above, per layer 1 to L - 1, ``(chips, n_above, n)``.
    """

    shown: int
    measured: int
    own: tuple[Tensor, ...]
    answer: tuple[Tensor, ...]

    prefix: ClassVar[str] = "feedback"


LEAST = 0.25
"""Answers of a neuron to its own current count as at least about this part of its layer's mean."""


@final
@dataclass(frozen=True)
class IdentifiedLayers(FeedbackWeights):
    r"""Identified layer by layer on the chip: what a current into layer l does to layer l + 1.

    Two presentations from one state get the currents :math:`\pm n` into all neurons, of random signs. The
    answers of the layer above and of the neurons themselves,

    .. math::
        \hat A_{l} = \frac{\langle \Delta r_{l+1}^\top n_l \rangle}{\sigma^2}, \qquad
        \hat s_l = \frac{\langle \Delta r_l \odot n_l \rangle}{\sigma^2}, \qquad \Delta r = (r^+ - r^-)/2

    are about :math:`\tilde w_{ij}` of the true synapse times the mean slopes of the true neurons at both its
    ends, and those slopes. So :math:`B_{l+1} = \hat A_l / (\hat s_{l+1}\, \hat s_l)` is an estimate of
    :math:`\tilde W_{l+1}^\top`, mismatch included, where a slope near 0 divides by about a quarter of its
    layer's mean. Running means with :math:`\eta_k = \max(\eta, 1/k)`.

    Source: simultaneous perturbation, Spall 1992, doi:10.1109/9.119632; identifying layer by layer is that
    of the weight mirror, Akrout et al. 2019, arXiv 1904.05391.

    Args:
        warmup: batches shown before training, to measure on.
        every: one in how many training batches is also measured on; 0 for none.
        eta: weight of a new measurement in the running mean, in (0, 1].
        sigma: size of the currents, > 0.
    """

    warmup: Annotated[int, BATCHES] = 40
    every: Annotated[int, BATCHES] = 2
    eta: Annotated[float, SHARE] = 0.005
    sigma: Annotated[float, PROBE] = 0.5

    origin: ClassVar[str] = "identified_layers"
    relayed: ClassVar[bool | None] = True

    def __post_init__(self) -> None:
        FeedbackWeights.__post_init__(self)
        if self.warmup == self.every == 0:
            raise InputError("rule.feedback.every", 0, "1 or more, or a warmup", "nothing is ever measured")

    @property
    def probe(self) -> Probe:
        """The presentations with known currents into all layers."""
        return Probe("identify", self.sigma, outputs=True)

    @property
    def warmup_batches(self) -> int:
        return self.warmup

    def start(self, model: Model) -> tuple[Tensor, ...]:
        self.begin(model, random_weights(model, None))
        return self.current(model)

    def begin(self, model: Model, weights: Sequence[Tensor]) -> None:
        """Set the memory to what is known before anything was measured.

        Args:
            model: whose memory.
            weights: between layers l and l + 1, from l = 1 on, ``(chips, n_above, n)``.
        """
        own = tuple(
            torch.ones(model.chips, layer.size, dtype=torch.float64, device=model.device)
            for layer in model.network.layers
        )
        answer = tuple(weight.clone() for weight in weights)
        model.memory |= LayerAnswers(0, 0, own, answer).entries()

    def current(self, model: Model) -> tuple[Tensor, ...]:
        known = LayerAnswers.of(model.memory)
        own = [_inverse(answer) for answer in known.own]
        found = []
        pairs = zip(model.network.feedback_synapses, known.answer, strict=False)
        for i, (synapses, answer) in enumerate(pairs):
            above, below = own[i + 1].unsqueeze(2), own[i].unsqueeze(1)
            if not synapses.dense:
                above, below = own[i + 1][:, synapses.wiring.pre], own[i][:, synapses.wiring.post]
            found.append(answer * above * below)
        return (*found, identity(model))

    def warmup_phases(self, batch: Batch, model: Model) -> tuple[Phase, ...]:
        return self.probe.phases(batch, model)

    def phases(self, batch: Batch, model: Model) -> tuple[Phase, ...]:
        shown = LayerAnswers.of(model.memory).shown
        return self.probe.phases(batch, model) if self.every and shown % self.every == 0 else ()

    def estimate(self, batch: Batch, observation: Observation, model: Model) -> Estimate:
        known = LayerAnswers.of(model.memory)
        known = replace(known, shown=known.shown + 1)
        if not self.probe.was_shown(observation):
            return Estimate(memory=known.entries())
        keep = 1.0 - max(self.eta, 1.0 / (known.measured + 1))
        own, answer = [], []
        currents = self.probe.currents(batch, model)
        answers = [self.probe.answers(observation, i)[1].double() for i in range(model.network.depth)]
        scale = 1.0 / (self.sigma**2 * len(batch.x))
        for index, (n, now) in enumerate(zip(currents, answers, strict=True)):
            given = n.to(now)
            own.append(((now * given).sum(1) * scale).lerp(known.own[index], keep))
            if index + 1 < len(answers):
                synapses = model.network.feedback_synapses[index]
                above = synapses.correlate(answers[index + 1], given.expand_as(now)) * scale
                answer.append(above.lerp(known.answer[index], keep))
        known = replace(known, measured=known.measured + 1, own=tuple(own), answer=tuple(answer))
        return Estimate(memory=known.entries())


def _inverse(slope: Tensor) -> Tensor:
    """Return about 1 / `slope`, which is noisy and may be near or below 0."""
    floor = LEAST * slope.mean(1, keepdim=True).clamp(min=1e-6)
    positive = slope.clamp(min=0.0)
    return positive / (positive.square() + floor.square())
