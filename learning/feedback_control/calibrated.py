"""Basal shadows that are not their neuron's twins, calibrated by comparing the two in free presentations."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, ClassVar, final

import torch
from torch import Tensor

from learning.feedback_control.prediction import Prediction
from learning.model import Model
from learning.stimulus import Batch
from rate_bridge.ranges import COUNT, SHARE, STEP, check_ranges
from spiking.presentation import Observation, Phase, Recording

__all__ = ["AffineShadow", "CalibratedShadow", "DendriticShadow"]

FREE, SHOWN, MEASURED = "free", "prediction.shown", "prediction.measured"


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
        shown = int(model.memory.get(SHOWN, torch.zeros(())))
        return (model.stimulus.phase(FREE, batch, shadow=True),) if shown % self.every == 0 else ()

    def rates(self, observation: Observation, model: Model) -> tuple[Tensor, ...]:
        seen = observation["controlled"]
        return tuple(self.corrected(index, seen, model.memory) for index in range(len(seen.basal)))

    def learn(self, observation: Observation, model: Model) -> Mapping[str, Tensor]:
        shown = model.memory.get(SHOWN, torch.zeros((), dtype=torch.int64))
        memory: dict[str, Tensor] = {SHOWN: shown + 1}
        if FREE in observation and observation[FREE].basal:
            measured = model.memory.get(MEASURED, torch.zeros((), dtype=torch.int64)) + 1
            memory[MEASURED] = measured
            share = max(self.eta, 1.0 / int(measured))
            free = observation[FREE]
            for index in range(len(free.basal)):
                memory |= self.compared(index, free, model.memory, share)
        return memory

    @abstractmethod
    def corrected(self, index: int, seen: Recording, memory: Mapping[str, Tensor]) -> Tensor:
        """Return the predicted rate of layer ``index + 1``, ``(chips, batch, n)``."""

    @abstractmethod
    def compared(
        self, index: int, free: Recording, memory: Mapping[str, Tensor], share: float
    ) -> dict[str, Tensor]:
        """Return the layer's new entries of the memory, where a measurement weighs `share`."""


def _mixed(memory: Mapping[str, Tensor], name: str, value: Tensor, share: float) -> Tensor:
    """Return the running mean called `name` with `value` in it."""
    return memory[name].lerp(value, share) if name in memory else value


def _regression(index: int, seen: Recording, memory: Mapping[str, Tensor]) -> Tensor:
    """Return the neuron's rate by its regression on the shadow's; before any measurement, the shadow's."""
    shadow = seen.basal[index]
    if f"shadow.{index}" not in memory:
        return shadow
    mean, own, square, product = (
        memory[f"{name}.{index}"].unsqueeze(1) for name in ("shadow", "neuron", "square", "product")
    )
    variance = square - mean.square()
    slope = (product - mean * own) / variance.clamp(min=1e-4)
    return own + slope * (shadow - mean)


def _moments(index: int, free: Recording, memory: Mapping[str, Tensor], share: float) -> dict[str, Tensor]:
    shadow, own = free.basal[index], free.rates[index + 1]
    moments = {"shadow": shadow, "neuron": own, "square": shadow.square(), "product": shadow * own}
    return {
        f"{name}.{index}": _mixed(memory, f"{name}.{index}", value.mean(1), share)
        for name, value in moments.items()
    }


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

    def corrected(self, index: int, seen: Recording, memory: Mapping[str, Tensor]) -> Tensor:
        return _regression(index, seen, memory)

    def compared(
        self, index: int, free: Recording, memory: Mapping[str, Tensor], share: float
    ) -> dict[str, Tensor]:
        return _moments(index, free, memory, share)


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

    def corrected(self, index: int, seen: Recording, memory: Mapping[str, Tensor]) -> Tensor:
        affine = _regression(index, seen, memory)
        if f"dendrite.{index}" not in memory:
            return affine
        before = seen.rates[index] - memory[f"before.{index}"].unsqueeze(1)
        return affine + torch.matmul(before, memory[f"dendrite.{index}"])

    def compared(
        self, index: int, free: Recording, memory: Mapping[str, Tensor], share: float
    ) -> dict[str, Tensor]:
        found = _moments(index, free, memory, share)
        chips, samples, size = free.rates[index + 1].shape
        before = free.rates[index].expand(chips, -1, -1)
        found[f"before.{index}"] = _mixed(memory, f"before.{index}", before.mean(1), share)
        error = free.rates[index + 1] - self.corrected(index, free, {**memory, **found})
        centred = before - found[f"before.{index}"].unsqueeze(1)
        power = 1.0 + centred.square().sum(2).mean(1)
        change = torch.matmul(centred.transpose(1, 2), error) / samples
        old = memory.get(f"dendrite.{index}", centred.new_zeros(chips, centred.shape[2], size))
        found[f"dendrite.{index}"] = old + self.step * change / power.view(-1, 1, 1)
        return found
