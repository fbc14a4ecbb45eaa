"""How much of a neuron's error passes it: one class per origin of the slope, found by name."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar, NamedTuple, final

import torch
from torch import Tensor

from learning.model import Model
from learning.stimulus import Batch
from rate_bridge.transfer import Transfer
from spiking.presentation import Observation, Phase

__all__ = ["Active", "Curve", "Gate", "Slope", "rate_range"]

POINTS = 33
"""Points of a programmed curve."""

WIDEST = 2.0
"""Rates beyond which a gate does not change any more, 1 = ``max_rate_hz``."""

AWAKE = 0.02
"""The activity from which a gate of `Active` is fully open: less than one spike leaves in a trace for
long."""


@final
class Curve(NamedTuple):
    """A gate as it is programmed; see :class:`spiking.presentation.Relay`.

    Args:
        values: ``(chips or 1, n or 1, points)``.
        low: the rate of the first point.
        high: the rate of the last.
    """

    values: Tensor
    low: float
    high: float


@dataclass(frozen=True)
class Gate(ABC):
    r"""The gates :math:`g_l` of hidden layers, where feedback is layered or its current is the error.

    An error at a neuron's output counts as much at its input as the neuron's curve is steep.
    """

    plugin_group: ClassVar[str] = "gates"
    origin: ClassVar[str]
    uses_model: ClassVar[bool] = False
    """Whether curves are used as the rule knows them, so that knowing the true ones matters."""

    def start(self, model: Model) -> None:  # noqa: B027 (most gates remember nothing)
        """Set the model's memory before the first batch."""

    @abstractmethod
    def values(self, index: int, rate: Tensor, model: Model) -> Tensor:
        """Return the gates of layer ``index + 1`` at its mean rates, ``(chips, batch, n)``."""

    @abstractmethod
    def curve(self, index: int, model: Model) -> Curve:
        """Return the gates of layer ``index + 1`` as curves for the chips."""

    def phases(self, batch: Batch, model: Model) -> tuple[Phase, ...]:
        """Return what a training batch must show for the gates."""
        return ()

    def learn(self, batch: Batch, observation: Observation, model: Model) -> Mapping[str, Tensor]:
        """Return entries to set in the model's memory: what the batch taught about the gates."""
        return {}


def rate_range(transfer: Transfer) -> tuple[float, float]:
    """Return the lowest and the highest rate that a curve can give, at most `WIDEST` from 0."""
    ends = transfer.rate(torch.tensor([-1e3, 1e3], dtype=torch.float64).view(1, 2, 1)).flatten()
    low, high = (float(end) for end in (ends.min(), ends.max()))
    return max(low, -WIDEST), min(high, WIDEST)


@final
@dataclass(frozen=True)
class Active(Gate):
    """1 where the neuron is active, 0 elsewhere: no curve has to be known.

    A neuron is active in a presentation where its mean rate is not 0, and in the machine where its activity
    has not died down.

    Source: Saponati et al. 2026, arXiv 2602.13261.
    """

    origin: ClassVar[str] = "active"

    def values(self, index: int, rate: Tensor, model: Model) -> Tensor:
        return (rate != 0).to(rate)

    def curve(self, index: int, model: Model) -> Curve:
        spikes = model.network.layers[index].neuron.emits_spikes
        return Curve(torch.tensor([[[0.0 if spikes else 1.0, 1.0]]], dtype=torch.float64), 0.0, AWAKE)


@final
@dataclass(frozen=True)
class Slope(Gate):
    """The slope of the neuron's curve as the rule knows it, at the measured rate.

    It is the design's curve; the neuron's own where it was measured before (``training.arm: calibrated``).

    Source: the closed form of Meulemans et al. 2021, arXiv 2106.07887, lemma 1.
    """

    origin: ClassVar[str] = "slope"
    uses_model: ClassVar[bool] = True

    def values(self, index: int, rate: Tensor, model: Model) -> Tensor:
        return model.slope(index, rate)

    def curve(self, index: int, model: Model) -> Curve:
        network = model.network
        low, high = rate_range(model.nominal(index))
        rates = torch.linspace(low, high, POINTS, dtype=torch.float64, device=model.device)
        size, chips = (network.layers[index].size, model.chips) if model.has_own_curves else (1, 1)
        slopes = model.slope(index, rates.view(1, -1, 1).expand(chips, -1, size))
        return Curve(slopes.transpose(1, 2).contiguous(), low, high)
