"""Backpropagation through time with surrogate gradients, on the design's equations, through snnTorch."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Annotated, Any, ClassVar, final

import torch
from torch import Tensor

from learning.losses import CrossEntropy, Loss
from learning.model import Model
from learning.rule import Dense, LearningRule, Update
from learning.stimulus import Batch
from rate_bridge.errors import UnsupportedError
from rate_bridge.ranges import GAIN, check_ranges
from spiking.network import Network
from spiking.neurons import LIF, Neuron
from spiking.presentation import Observation, Phase, SpikeDrive

__all__ = ["SurrogateBPTT"]

KEPT = 14
"""Numbers kept per neuron and step until the gradient is known: 11 to 14 were measured."""


@final
@dataclass(frozen=True)
class SurrogateBPTT(LearningRule):
    r"""Surrogate-gradient backpropagation through time.

    The design's equations are unrolled over the presentation (``snntorch.Leaky``); a spike's derivative
    with respect to the potential is replaced by that of a fast sigmoid,

    .. math:: \frac{\partial s}{\partial v} \approx \frac{1}{(1 + k\,|v - \theta|)^2},

    and the spikes themselves are those that the chip emitted: the forward pass is the chip's, the
    backward pass the design's. Trained ``offline``, the chip is the ideal one and this is ordinary BPTT.

    Source: Neftci, Mostafa & Zenke 2019, doi:10.1109/MSP.2019.2931595; Eshraghian et al. 2023
    (snnTorch), doi:10.1109/JPROC.2023.3308088; Cramer et al. 2022, doi:10.1073/pnas.2109194119, for
    the chip in the loop.

    Args:
        loss: what is descended, of the mean rates over the window.
        steepness: k > 0 of the fast sigmoid. Half a threshold below θ = 1 its slope is (1 + k/2)⁻² of the
            peak: .0055 for snnTorch's usual 25, .04 for 8, .08 for 5. In small steps of time a membrane
            spends most of them away from θ; a large k then favours neurons that wait without a spike.
    """

    loss: Loss = field(default_factory=CrossEntropy)
    steepness: Annotated[float, GAIN] = 25.0

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
        for layer in network.layers:
            neuron = layer.neuron
            if not isinstance(neuron, LIF):
                raise UnsupportedError("network.neuron.model", neuron.model, "lif, for this rule")
            for key in ("reset", "refractory_ms"):
                if getattr(neuron, key) != 0:
                    allowed = "0: snnTorch's neurons have no other"
                    raise UnsupportedError(f"network.neuron.{key}", getattr(neuron, key), allowed)

    def presentation(self, batch: Batch, model: Model) -> tuple[Phase, ...]:
        return (replace(model.stimulus.phase("free", batch), record=frozenset({"spikes"})),)

    def update(self, batch: Batch, observation: Observation, model: Model) -> Update:
        seen = observation["free"]
        spikes = [trace.to(model.dtype) for trace in seen.traces["spikes"]]
        weights = [w.detach().clone().requires_grad_() for w in model.chain_weights]
        biases = [b.detach().clone().requires_grad_() for b in model.bias]
        unrolled = _Unrolled(model, batch, weights, biases, self.steepness)
        rates = unrolled.rates(spikes)
        loss = self.loss.value(rates, batch.target.to(rates))
        loss.mean(1).sum().backward()  # type: ignore[no-untyped-call]
        changes = tuple(Dense(-_gradient(w), -_gradient(b)) for w, b in zip(weights, biases, strict=True))
        return Update(
            changes,
            residual=self.loss.error(seen.rates[-1], batch.target.to(seen.rates[-1])).abs().mean(dim=(1, 2)),
            measures={"loss": loss.detach().mean(1)},
        )


def _gradient(parameter: Tensor) -> Tensor:
    return torch.zeros_like(parameter) if parameter.grad is None else parameter.grad


class _Unrolled:
    """The design over a presentation, differentiable, in the step order of ``docs/model.md``."""

    def __init__(
        self,
        model: Model,
        batch: Batch,
        weights: Sequence[Tensor],
        biases: Sequence[Tensor],
        steepness: float,
    ) -> None:
        import snntorch  # noqa: PLC0415 (heavy, and only this rule needs it)
        from snntorch import surrogate  # noqa: PLC0415

        network = model.network
        self.network, self.weights, self.biases = network, weights, biases
        phase = model.stimulus.phase("free", batch)
        self.window, self.drive = phase.window.to(weights[0]), phase.drive
        constants = [
            _constants(layer.neuron, layer.size, network.dt_ms, weights[0]) for layer in network.layers
        ]
        self.decays = [decay for decay, _, _ in constants]
        self.synapse_decays = [synapse for _, synapse, _ in constants]
        self.membranes: list[Any] = [
            snntorch.Leaky(
                beta=decay,
                threshold=threshold,
                reset_mechanism="none",
                spike_grad=surrogate.fast_sigmoid(slope=steepness),
            )
            for decay, _, threshold in constants
        ]
        for membrane in self.membranes:  # snnTorch lists every module ever made, these are used once
            snntorch.SpikingNeuron.instances.remove(membrane)

    def rates(self, spikes: Sequence[Tensor]) -> Tensor:
        """Return the output's mean rates over the window, ``(chips, batch, n_out)``.

        Args:
            spikes: what the chip emitted, per layer 1 to L, ``(chips, batch, time, n)``; each takes the
                place of the design's own spike, whose surrogate derivative it keeps.
        """
        chips, samples = spikes[0].shape[:2]
        zeros = [bias.new_zeros(chips, samples, bias.shape[-1]) for bias in self.biases]
        potentials, currents = list(zeros), list(zeros)
        arriving = self._input().unbind(2)  # slices taken in the loop would each get a whole gradient
        under_way = [deque([zeros[c.pre - 1]] * (c.delay_steps - 1)) for c in self.network.connections[1:]]
        total = torch.zeros_like(zeros[-1])
        for t in range(len(self.window)):
            emitted = []
            for layer, (decay, bias) in enumerate(zip(self.decays, self.biases, strict=True)):
                current = currents[layer] + bias.unsqueeze(1)
                if layer == 0 and not isinstance(self.drive, SpikeDrive):
                    current = current + arriving[min(t, len(arriving) - 1)]
                own, potential = self.membranes[layer]((1.0 - decay) * current, potentials[layer])
                spike = own + (spikes[layer][:, :, t] - own).detach()
                potentials[layer] = potential * (1.0 - spike.detach())
                emitted.append(spike)
            currents = self._deliver(currents, emitted, arriving, under_way, t)
            total = total + self.window[t] * emitted[-1]
        for membrane in self.membranes:  # they refer to themselves, and would keep all that was unrolled
            membrane.mem = total.new_zeros(())
        return total * (self.network.spike_value / self.window.sum())

    def _input(self) -> Tensor:
        """Return the input times the first weights: per step for spikes and changing currents."""
        if isinstance(self.drive, SpikeDrive):
            values = self.drive.spikes.to(self.weights[0])
            delay = self.network.connections[0].delay_steps - 1
            values = torch.nn.functional.pad(values, (0, 0, delay, 0))[:, : values.shape[1]]
        else:
            values = self.drive.values.to(self.weights[0])
            values = values.unsqueeze(1) if values.ndim == 2 else values
        return torch.einsum("bti,cij->cbtj", values, self.weights[0])

    def _deliver(
        self,
        currents: list[Tensor],
        emitted: list[Tensor],
        arriving: Sequence[Tensor],
        under_way: list[deque[Tensor]],
        t: int,
    ) -> list[Tensor]:
        delivered = []
        for layer, (current, decay) in enumerate(zip(currents, self.synapse_decays, strict=True)):
            gain = (1.0 - decay) * self.network.spike_value
            if layer > 0:
                under_way[layer - 1].append(emitted[layer - 1])
                added = torch.matmul(under_way[layer - 1].popleft(), self.weights[layer])
            elif isinstance(self.drive, SpikeDrive):
                added = arriving[t]
            else:
                added = torch.zeros_like(current)
            delivered.append(current * decay + added * gain)
        return delivered


def _constants(neuron: Neuron, size: int, dt_ms: float, like: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Return a layer's membrane decay, synaptic decay and threshold, each ``(n,)``."""
    values = {p.field: like.new_full((1, size), float(getattr(neuron, p.field))) for p in neuron.parameters}
    constants = neuron.constants(values, dt_ms)
    synapse = neuron.synapse_decay(values, dt_ms)
    return constants["decay"].view(-1), synapse.view(-1), constants["threshold"].view(-1)
