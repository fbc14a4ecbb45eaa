"""Dual propagation: every neuron is measured twice, pushed either way; the difference is its error."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Annotated, ClassVar, final

import torch
from torch import Tensor

from learning.error_feedback import carried_back
from learning.losses import Loss, Squared
from learning.model import Model
from learning.rule import LearningRule, Update, local
from learning.stimulus import SHARED, Batch
from root.errors import UnsupportedError
from root.ranges import GAIN, check_ranges
from spiking.network import Network
from spiking.presentation import Observation, Phase

__all__ = ["DualPropagation"]

FREE = "free"


@final
@dataclass(frozen=True)
class DualPropagation(LearningRule):
    r"""Dual propagation, on the chip layer by layer from the output down.

    A neuron has two states, :math:`r^\pm`. Their mean goes forward, half their difference goes back,

    .. math::
        r_l^\pm = \phi\big(\bar r_{l-1} W_l \pm \tfrac12 (r_{l+1}^+ - r_{l+1}^-) W_{l+1}^\top\big), \qquad
        r_L^\pm = \phi\big(\bar r_{L-1} W_L \mp \beta\, \partial L / \partial r_L\big)

    and :math:`\Delta W_l \propto \bar r_{l-1}^\top (r_l^+ - r_l^-) / 2\beta`. A chip can be shown a sample
    again and again, so the two states are two presentations, with the push as a known current into one
    layer, which leaves the layers before it as they were. A layer's push is computed from what was measured
    of the layers above it. The curves of the neurons and their slopes are the chip's own, nobody's model;
    weights are the programmed ones on the way back. Where synapses do what was programmed this is the
    gradient of what the chip does, up to β² (``tests/learning/test_dual_propagation.py``).

    A step costs 2 L + 1 presentations of every sample. Without `output_slope` the output is not pushed: its
    error is :math:`-\partial L / \partial r_L` (see `ErrorFeedback`), and two presentations fewer are needed.

    Source: Høier, Staudt & Zach 2023, arXiv 2302.01228, with α = ½; in a single pass down from the output.

    Args:
        loss: what is descended.
        beta: strength β of the push, > 0; in the counts of few spikes a small one drowns.
        output_slope: whether the output is pushed as well, so that its slope is a factor of its error.
    """

    loss: Loss = field(default_factory=Squared)
    beta: Annotated[float, GAIN] = 0.1
    output_slope: bool = True

    name: ClassVar[str] = "dual_propagation"

    def __post_init__(self) -> None:
        check_ranges(self, "rule")

    def check(self, network: Network) -> None:
        if not network.feedforward:
            allowed = "connections to later layers alone: a push must not come back to where it came from"
            raise UnsupportedError("network.connections", "ones that lead back", allowed)
        if not self.output_slope and network.depth == 1:
            allowed = "true: without a hidden layer nothing would be pushed"
            raise UnsupportedError("rule.output_slope", False, allowed)

    def trains_graphs(self, *, on_chip: bool) -> bool:
        return True

    def presentation(self, batch: Batch, model: Model) -> tuple[Phase, ...]:
        return (model.stimulus.phase(FREE, batch, shared_input=True),)

    def further(self, batch: Batch, observation: Observation, model: Model) -> tuple[Phase, ...]:
        depth = model.network.depth
        first = depth if self.output_slope else depth - 1
        waiting = [layer for layer in range(first, 0, -1) if _pushed(layer, 1.0) not in observation]
        if not waiting:
            return ()
        layer = waiting[0]
        pushes = self._arriving(layer, batch, observation, model) * self.beta
        return tuple(
            model.stimulus.phase(
                _pushed(layer, sign),
                batch,
                start=f"pushed {layer}",
                shared_input=True,
                currents=tuple(sign * pushes if n == layer else None for n in range(1, depth + 1)),
            )
            for sign in (1.0, -1.0)
        )

    def update(self, batch: Batch, observation: Observation, model: Model) -> Update:
        free = observation[FREE].rates
        rates, errors = list(free), []
        for layer in range(1, model.network.depth + 1):
            errors.append(self._error(layer, batch, observation))
            if _pushed(layer, 1.0) in observation:
                rates[layer] = torch.stack(list(_both(layer, observation))).mean(0)
        target = batch.target.to(free[-1])
        wanted = self.loss.error(free[-1], target)
        return Update(
            local(model.network, rates, errors, late=model.stimulus.late(batch, SHARED)),
            residual=wanted.abs().mean(dim=(1, 2)),
            measures={"loss": self.loss.value(free[-1], target).mean(1)},
        )

    def _wanted(self, batch: Batch, observation: Observation) -> Tensor:
        """Return where the output's rates should go, ``(chips, batch, n_out)``."""
        rates = observation[FREE].rates[-1]
        return self.loss.error(rates, batch.target.to(rates))

    def _error(self, layer: int, batch: Batch, observation: Observation) -> Tensor:
        """Return what a push did to a layer, over its strength, ``(chips, batch, n)``."""
        if _pushed(layer, 1.0) not in observation:
            return self._wanted(batch, observation)
        high, low = _both(layer, observation)
        return (high - low) / (2.0 * self.beta)

    def _arriving(self, layer: int, batch: Batch, observation: Observation, model: Model) -> Tensor:
        """Return the push of a layer over its strength, ``(chips, batch, n)``."""
        depth = model.network.depth
        if layer == depth:
            return self._wanted(batch, observation)
        errors = {n: self._error(n, batch, observation) for n in range(layer + 1, depth + 1)}
        found = carried_back(model, layer, errors, model.back)
        rates = observation[FREE].rates[layer]
        return torch.zeros_like(rates) if found is None else found.to(rates)


def _pushed(layer: int, sign: float) -> str:
    return f"{'up' if sign > 0 else 'down'} {layer}"


def _both(layer: int, observation: Observation) -> Sequence[Tensor]:
    """Return the rates of a layer that was pushed up, and down."""
    return [observation[_pushed(layer, sign)].rates[layer] for sign in (1.0, -1.0)]
