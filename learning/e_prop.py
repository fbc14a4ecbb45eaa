"""e-prop: what a synapse remembers of its own neuron, times a learning signal from the output."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Annotated, ClassVar, Literal, final

import torch
from torch import Tensor

from learning.answers import answer, later
from learning.error_feedback import carried_back, random_matrices
from learning.model import Model
from learning.rule import Update
from learning.state import RuleState
from learning.stimulus import Batch
from learning.through_time import Leaves, Unrolling, fast_sigmoid
from learning.unrolled import Surrogate
from learning.window_means import spread
from root.errors import InputError, UnsupportedError
from root.ranges import GAIN, INNER, check_ranges
from spiking.network import Network
from spiking.presentation import Observation

__all__ = ["EProp"]


@final
@dataclass(frozen=True)
class Broadcast(RuleState):
    """Weights from the output's errors to the neurons.

    Args:
        weights: by the place of a hidden layer from 0, ``(chips, n_out, n)``.
    """

    weights: Mapping[int, Tensor]

    prefix: ClassVar[str] = "backward"


@final
@dataclass(frozen=True)
class EProp(Unrolling):
    r"""e-prop: eligibility traces times learning signals.

    What a weight does to the state h (potential, synaptic current, adaptation, ...) of its own neuron alone,
    spikes of others taken as they came, is its eligibility; the rest of the chain rule is a signal that every
    neuron is told:

    .. math::
        \epsilon_{ij}^t = \frac{\partial h_j^t}{\partial h_j^{t-1}} \epsilon_{ij}^{t-1}
            + \frac{\partial h_j^t}{\partial w_{ij}}, \qquad
        e_{ij}^t = \psi_j^t\, \nabla_{\!h} m_j^t \cdot \epsilon_{ij}^t, \qquad
        \Delta w_{ij} \propto \sum_t S_j^t\, e_{ij}^t

    with the derivative ψ of a fast sigmoid of the distance m from the threshold. The output's own signal is
    its error in the windows, :math:`S_L^t = -\partial L / \partial s_L^t`; to hidden neurons it is broadcast,

    .. math:: S_l^t = \sum_k B_{l,kj} \sum_{t' \ge t} \kappa^{t'-t} S_{L,k}^{t'},

    where κ is the output's answer to a spike, its synapse and its membrane (of a spiking output, below the
    threshold, with a sum of 1). Bellec et al. filter the traces with it, which is the same number. With an
    output that does not spike and ``symmetric`` B this is backpropagation through time in which no gradient
    goes from one hidden neuron to another, over recurrent weights or from layer to layer. Errors are those
    of the measured rates, one for each window of a presentation.

    The sum is computed from its end, neuron by neuron instead of synapse by synapse: a neuron's states have
    far fewer numbers than its synapses have traces (``tests/learning/test_e_prop.py`` compares with traces
    that run forwards). Spikes are the chip's, states between them the design's.

    Source: Bellec et al. 2020, doi:10.1038/s41467-020-17236-y, with the three kinds of broadcast weights.

    Args:
        loss: what is descended, of the mean rates over the windows.
        steepness: k of the fast sigmoid; see `SurrogateBPTT`.
        feedback: B is ``symmetric`` (the weights on the way to the output, as programmed), ``random``, or
            ``adaptive`` (random at first; it makes the steps of the forward weights, and both decay).
        scale: standard deviation of a random B times the root of the number of its columns.
        decay: of adaptive B and of the weights onto the output, per batch, in (0, 1).
        voltages: whether potentials are measured too, in every step, and take the place of the design's.
    """

    steepness: Annotated[float, GAIN] = 5.0
    feedback: Literal["symmetric", "random", "adaptive"] = "symmetric"
    scale: Annotated[float, GAIN] = 1.0
    decay: Annotated[float, INNER] = 1e-4
    voltages: bool = False

    name: ClassVar[str] = "e_prop"
    kept: ClassVar[float] = 10
    """One more than backpropagation through time: the signal."""

    def __post_init__(self) -> None:
        check_ranges(self, "rule")
        if self.feedback not in ("symmetric", "random", "adaptive"):
            raise InputError("rule.feedback", self.feedback, "symmetric, random, adaptive")

    def without_effect(self) -> Iterator[tuple[str, str]]:
        """Yield what does nothing with this feedback."""
        if self.feedback == "symmetric":
            yield "scale", "symmetric feedback has the weights themselves"
        if self.feedback != "adaptive":
            yield "decay", f"{self.feedback} feedback does not learn"

    @property
    def requests(self) -> frozenset[str]:
        return frozenset({"spikes", "voltage"} if self.voltages else {"spikes"})

    def check(self, network: Network) -> None:
        Unrolling.check(self, network)
        if self.feedback == "adaptive":
            _check_adaptive(network)

    def start(self, model: Model) -> None:
        if self.feedback == "symmetric":
            return
        network = model.network
        sizes = {index: (network.outputs, hidden) for index, hidden in enumerate(network.sizes[1:-1])}
        model.memory |= Broadcast(random_matrices(model, sizes, self.scale)).entries()

    @property
    def follows(self) -> bool:
        return self.feedback == "adaptive"

    def follow(self, changes: tuple[Tensor, ...], model: Model) -> None:
        keep, network = 1.0 - self.decay, model.network
        weights = dict(Broadcast.of(model.memory).weights)
        for index, connection in enumerate(network.connections):
            if connection.post == network.depth and 0 < connection.pre < network.depth:
                place = connection.pre - 1
                weights[place] = (weights[place] + changes[index].transpose(1, 2).to(weights[place])) * keep
                model.forward_weights[index].data.mul_(keep)
        model.memory |= Broadcast(weights).entries()

    def update(self, batch: Batch, observation: Observation, model: Model) -> Update:
        seen, leaves = observation["free"], Leaves(model)
        emitted = [trace.to(model.dtype) for trace in seen.traces["spikes"]]
        potentials = [trace.to(model.dtype) for trace in seen.traces["voltage"]] if self.voltages else None
        rates = seen.rates[-1].to(model.dtype)
        target = batch.target.to(rates)
        wanted = self.loss.error(rates, target)
        unrolled = leaves.unrolled(batch, Surrogate(fast_sigmoid(self.steepness)), between=False)
        value = model.network.emission_value(model.network.depth)
        signals = self._signals(spread(unrolled.phase, wanted / wanted.shape[1], value), model)
        gained = wanted.new_zeros(())
        for t, own in enumerate(unrolled.emissions(emitted, potentials)):
            for signal, emission in zip(signals, own, strict=True):
                gained = gained + (signal[t] * emission).sum()
        return Update(
            leaves.descent(-gained),
            residual=wanted.abs().mean(dim=(1, 2)),
            measures={"loss": self.loss.value(rates, target).mean(1)},
        )

    def _signals(self, output: Tensor, model: Model) -> list[tuple[Tensor, ...]]:
        """Return the signal of layers 1 to L, step by step.

        Args:
            output: that of the output, ``(chips, batch, time, n_out)``.
            model: what the rule knows.
        """
        network = model.network
        if network.depth == 1:
            return [output.unbind(2)]
        chips, samples, steps, _ = output.shape
        told = later(output, answer(model, steps)).reshape(chips, samples * steps, -1)
        found: dict[int, Tensor] = {network.depth: told}
        for layer in range(network.depth - 1, 0, -1):
            own = self._broadcast(layer, found, model)
            found[layer] = (
                told.new_zeros(chips, samples * steps, network.sizes[layer]) if own is None else own
            )
        found[network.depth] = output
        return [found[n + 1].view(chips, samples, steps, -1).unbind(2) for n in range(network.depth)]

    def _broadcast(self, layer: int, errors: Mapping[int, Tensor], model: Model) -> Tensor | None:
        """Return what a hidden layer is told, ``(chips, samples, n)``."""
        if self.feedback == "symmetric":
            return carried_back(model, layer, errors, model.back)
        told = errors[model.network.depth]
        return torch.matmul(told, Broadcast.of(model.memory).weights[layer - 1].to(told))


def _check_adaptive(network: Network) -> None:
    """Raise `UnsupportedError` where a hidden layer has no weights onto the output that B could follow."""
    found = {
        c.pre
        for c, synapses in zip(network.connections, network.synapses, strict=True)
        if c.post == network.depth and synapses.dense
    }
    missing = [network.names[layer] for layer in range(1, network.depth) if layer not in found]
    if missing:
        allowed = "symmetric or random, where a hidden layer has no all-to-all connection onto the output"
        raise UnsupportedError("rule.feedback", f"adaptive, with {', '.join(missing)}", allowed)
