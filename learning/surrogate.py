"""Backpropagation through time with surrogate gradients, on the design's equations."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Annotated, ClassVar, final

import torch
from torch import Tensor

from learning.losses import CrossEntropy, Loss
from learning.model import Model
from learning.rule import Dense, LearningRule, Update
from learning.stimulus import Batch
from learning.unrolled import Unrolled, check_unrolled
from root.ranges import GAIN, check_ranges
from spiking.named import Named
from spiking.network import Network
from spiking.presentation import Observation, Phase
from spiking.programs.to_torch import Fire

__all__ = ["SurrogateBPTT"]

KEPT = 9
"""Numbers kept per neuron and step until the gradient is known: 4 (LIF) to 8.5 (QIF) were measured."""


@final
@dataclass(frozen=True)
class SurrogateBPTT(LearningRule):
    r"""Surrogate-gradient backpropagation through time.

    The design's equations, whatever its neurons and connections, are unrolled over the presentation; a
    spike's derivative with respect to the distance m from the threshold (v - θ for a LIF) is that of a fast
    sigmoid (snnTorch's),

    .. math:: \frac{\partial s}{\partial m} \approx \frac{1}{(1 + k\,|m|)^2},

    and what is emitted is what the chip emitted: the forward pass is the chip's, the backward pass the
    design's. Trained ``offline``, the chip is the ideal one and this is ordinary BPTT. Neurons that do not
    spike have the derivative that they have.

    Source: Neftci, Mostafa & Zenke 2019, doi:10.1109/MSP.2019.2931595; Eshraghian et al. 2023
    (snnTorch), doi:10.1109/JPROC.2023.3308088; Cramer et al. 2022, doi:10.1073/pnas.2109194119, for
    the chip in the loop.

    Args:
        loss: what is descended, of the mean rates over the window.
        steepness: k > 0 of the fast sigmoid. Half a threshold below θ = 1 its slope is (1 + k/2)⁻² of the
            peak: .0055 for snnTorch's usual 25, .04 for 8, .08 for 5. In small steps of time a membrane
            spends most of them away from θ; a large k then favours neurons that wait without a spike.
        through_reset: whether what a spike resets (a potential, an adaptation) depends on the spike too;
            otherwise a reset is taken as it happened, which is steadier (Zenke & Vogels 2021,
            doi:10.1162/neco_a_01367).
    """

    loss: Loss = field(default_factory=CrossEntropy)
    steepness: Annotated[float, GAIN] = 25.0
    through_reset: bool = False

    name: ClassVar[str] = "surrogate_bptt"

    def __post_init__(self) -> None:
        check_ranges(self, "rule")

    @property
    def gives_outer(self) -> bool:
        return False

    @property
    def requests(self) -> frozenset[str]:
        return frozenset({"spikes"})

    def kept_numbers(self, network: Network, steps: int) -> int:
        return KEPT * steps * sum(network.sizes[1:])

    def check(self, network: Network) -> None:
        check_unrolled(network)

    def trains_graphs(self, *, on_chip: bool) -> bool:
        return True

    def presentation(self, batch: Batch, model: Model) -> tuple[Phase, ...]:
        return (replace(model.stimulus.phase("free", batch), record=frozenset({"spikes"})),)

    def update(self, batch: Batch, observation: Observation, model: Model) -> Update:
        seen = observation["free"]
        emitted = [trace.to(model.dtype) for trace in seen.traces["spikes"]]
        known = [model.known(index) for index in range(len(model.network.connections))]
        weights = [weight.detach().clone().requires_grad_() for _, weight in known]
        biases = [bias.detach().clone().requires_grad_() for bias in model.bias]
        unrolled = Unrolled(
            model,
            batch,
            weights,
            biases,
            self.derivative(),
            through_reset=self.through_reset,
            synapses=[synapses for synapses, _ in known],
        )
        rates = unrolled.rates(emitted)
        loss = self.loss.value(rates, batch.target.to(rates))
        loss.mean(1).sum().backward()  # type: ignore[no-untyped-call]
        return Update(
            _changes(model, weights, biases),
            residual=self.loss.error(seen.rates[-1], batch.target.to(seen.rates[-1])).abs().mean(dim=(1, 2)),
            measures={"loss": loss.detach().mean(1)},
        )

    def derivative(self) -> Fire:
        """Return what makes a spike of a distance from the threshold."""
        from snntorch import surrogate  # noqa: PLC0415 (heavy, and only this rule needs it)

        fire: Fire = surrogate.fast_sigmoid(slope=self.steepness)
        return fire


def _changes(model: Model, weights: list[Tensor], biases: list[Tensor]) -> Named[Dense]:
    """Return the descent of every connection; the first one onto a layer teaches its bias."""
    taught: set[int] = set()
    changes = []
    parts = zip(model.network.connections, model.network.synapses, weights, strict=True)
    for connection, synapses, weight in parts:
        change = -_gradient(weight)
        if model.truth is not None:  # every synapse had a number of its own
            change = synapses.programmed(change)
        post = connection.post - 1
        bias = None if post in taught else -_gradient(biases[post])
        taught.add(post)
        changes.append(Dense(change if connection.pattern.trained else torch.zeros_like(change), bias))
    return Named(model.network.connection_names, changes)


def _gradient(parameter: Tensor) -> Tensor:
    return torch.zeros_like(parameter) if parameter.grad is None else parameter.grad
