"""Basal shadows that are not their neuron's twins, calibrated by comparing the two in free presentations."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Annotated, ClassVar, final

import torch
from torch import Tensor

from learning.feedback_control.prediction import Prediction
from learning.model import Model
from learning.state import RuleState
from learning.stimulus import Batch
from root.ranges import COUNT, SHARE, STEP, check_ranges
from spiking.presentation import Observation, Phase, Recording

__all__ = ["AffineShadow", "CalibratedShadow", "DendriticShadow"]

FREE = "free"


@final
@dataclass(frozen=True)
class Compared(RuleState):
    """What free presentations have taught about shadows: running means over samples, per layer 1 to L.

    Args:
        shown: batches so far.
        measured: those that were shown without the controller too.
        shadow: rates of the shadows, ``(chips, n)``.
        neuron: rates of the neurons.
        square: squares of the shadows' rates.
        product: shadows' rates times neurons'.
        before: rates of the layer before, ``(chips, n_pre)``; empty where they are of no use.
        dendrite: the synapses beside the shadows, ``(chips, n_pre, n)``; empty where there are none.
    """

    shown: int = 0
    measured: int = 0
    shadow: tuple[Tensor, ...] = ()
    neuron: tuple[Tensor, ...] = ()
    square: tuple[Tensor, ...] = ()
    product: tuple[Tensor, ...] = ()
    before: tuple[Tensor, ...] = ()
    dendrite: tuple[Tensor, ...] = ()

    prefix: ClassVar[str] = "prediction"


@dataclass(frozen=True)
class CalibratedShadow(Prediction):
    r"""A shadow with its own mismatch, whose rate is corrected by what free presentations teach.

    Without a controller a neuron and its shadow should agree. Every so many batches they are shown one
    without, and how they differ there is kept, neuron by neuron, in running means with the weight
    :math:`\max(\eta, 1/k)` in the k-th of them: only rates that the chip gives are used.

    Args:
        every: one in how many batches is shown without the controller too, 1 or more.
        eta: η, weight of a new measurement, in (0, 1].
    """

    every: Annotated[int, COUNT] = 1
    eta: Annotated[float, SHARE] = 0.05

    needs_shadow: ClassVar[bool] = True

    def __post_init__(self) -> None:
        check_ranges(self, "rule.prediction")

    def phases(self, batch: Batch, model: Model) -> tuple[Phase, ...]:
        shown = Compared.of(model.memory).shown
        return (model.stimulus.phase(FREE, batch, shadow=True),) if shown % self.every == 0 else ()

    def rates(self, observation: Observation, model: Model) -> tuple[Tensor, ...]:
        seen, known = observation["controlled"], Compared.of(model.memory)
        return tuple(self.corrected(index, seen, known) for index in range(len(seen.basal)))

    def learn(self, observation: Observation, model: Model) -> Mapping[str, Tensor]:
        known = Compared.of(model.memory)
        known = replace(known, shown=known.shown + 1)
        if FREE in observation and observation[FREE].basal:
            known = replace(known, measured=known.measured + 1)
            known = self.compared(observation[FREE], known, max(self.eta, 1.0 / known.measured))
        return known.entries()

    @abstractmethod
    def corrected(self, index: int, seen: Recording, known: Compared) -> Tensor:
        """Return the predicted rate of layer ``index + 1``, ``(chips, batch, n)``.

        Args:
            index: of the layer, from 0.
            seen: what was recorded under control.
            known: what free presentations have taught.
        """

    @abstractmethod
    def compared(self, free: Recording, known: Compared, share: float) -> Compared:
        """Return what is known after a free presentation.

        Args:
            free: what was recorded in it.
            known: what was known before.
            share: how much it weighs.
        """


def _mixed(known: tuple[Tensor, ...], values: Sequence[Tensor], share: float) -> tuple[Tensor, ...]:
    """Return running means with new values in them, which they begin with."""
    if not known:
        return tuple(values)
    return tuple(old.lerp(new, share) for old, new in zip(known, values, strict=True))


def _regression(index: int, seen: Recording, known: Compared) -> Tensor:
    """Return the neuron's rate by its regression on the shadow's; before any measurement, the shadow's."""
    shadow = seen.basal[index]
    if not known.shadow:
        return shadow
    moments = (known.shadow, known.neuron, known.square, known.product)
    mean, own, square, product = (moment[index].unsqueeze(1) for moment in moments)
    variance = square - mean.square()
    slope = (product - mean * own) / variance.clamp(min=1e-4)
    return own + slope * (shadow - mean)


def _moments(free: Recording, known: Compared, share: float) -> Compared:
    pairs = [*zip(free.basal, free.rates[1:], strict=True)]
    return replace(
        known,
        shadow=_mixed(known.shadow, [shadow.mean(1) for shadow, _ in pairs], share),
        neuron=_mixed(known.neuron, [own.mean(1) for _, own in pairs], share),
        square=_mixed(known.square, [shadow.square().mean(1) for shadow, _ in pairs], share),
        product=_mixed(known.product, [(shadow * own).mean(1) for shadow, own in pairs], share),
    )


@final
@dataclass(frozen=True)
class AffineShadow(CalibratedShadow):
    r"""The neuron's rate by linear regression on its shadow's, over the samples of free presentations.

    .. math::
        \hat r = \langle r\rangle + \frac{\mathrm{cov}(r, s)}{\mathrm{var}(s)}\,(s - \langle s\rangle)

    with the shadow's rate s. It makes the error's mean over samples zero and uncorrelated with the
    shadow, but not with what the synapses learn by: the rates before them.
    """

    origin: ClassVar[str] = "basal_affine"

    def corrected(self, index: int, seen: Recording, known: Compared) -> Tensor:
        return _regression(index, seen, known)

    def compared(self, free: Recording, known: Compared, share: float) -> Compared:
        return _moments(free, known, share)


@final
@dataclass(frozen=True)
class DendriticShadow(CalibratedShadow):
    r"""The same, and plastic synapses beside the shadow that learn what it still gets wrong.

    .. math::
        \hat r = \hat r_{affine} + (r_{l-1} - m)\, C, \qquad
        \Delta C = \kappa\,
        \frac{\langle (r_{l-1} - m)^\top (r - \hat r)\rangle}{1 + \langle|r_{l-1} - m|^2\rangle}

    in free presentations only, with the mean m of the presynaptic rates. A fixed point of C is where the
    error of free presentations is uncorrelated with every presynaptic rate, so that an update without a
    controller is zero on average, as it is for a shadow that is an exact twin.

    Source: dendritic prediction of somatic spiking, Urbanczik & Senn 2014,
    doi:10.1016/j.neuron.2013.11.030; the normalised step is that of `CentredNLMS`.

    Args:
        step: κ, in (0, 2).
    """

    step: Annotated[float, STEP] = 0.5

    origin: ClassVar[str] = "basal_dendritic"

    def corrected(self, index: int, seen: Recording, known: Compared) -> Tensor:
        affine = _regression(index, seen, known)
        if not known.dendrite:
            return affine
        before = seen.rates[index] - known.before[index].unsqueeze(1)
        return affine + torch.matmul(before, known.dendrite[index])

    def compared(self, free: Recording, known: Compared, share: float) -> Compared:
        chips = free.rates[1].shape[0]
        before = [rates.expand(chips, -1, -1) for rates in free.rates[:-1]]
        means = _mixed(known.before, [rates.mean(1) for rates in before], share)
        found = replace(_moments(free, known, share), before=means)
        grown = (self._grown(index, free, rates, found) for index, rates in enumerate(before))
        return replace(found, dendrite=tuple(grown))

    def _grown(self, index: int, free: Recording, before: Tensor, found: Compared) -> Tensor:
        """Return the plastic synapses beside a layer's shadows after a step."""
        error = free.rates[index + 1] - self.corrected(index, free, found)
        centred = before - found.before[index].unsqueeze(1)
        power = 1.0 + centred.square().sum(2).mean(1)
        change = torch.matmul(centred.transpose(1, 2), error) / before.shape[1]
        step = self.step * change / power.view(-1, 1, 1)
        return found.dendrite[index] + step if found.dendrite else step
