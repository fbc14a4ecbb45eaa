"""The deviations of a population: what was drawn once, when the chips were made."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import final

import torch
from torch import Tensor

from mismatch.spec import MismatchSpec, nominal
from mismatch.streams import Streams
from root.seeds import SeedTree
from spiking.hardware import Hardware
from spiking.network import Network
from spiking.neurons.base import Parameter
from spiking.presentation import Weights

__all__ = ["Draw"]


@final
class Draw:
    """The deviations of a population, as factors and offsets on the nominal values.

    Args:
        network: the design, with nominal values.
        spec: which parameters deviate and how.
        device: where the values live.
    """

    def __init__(self, network: Network, spec: MismatchSpec, device: torch.device | None = None) -> None:
        self.network, self.spec = network, spec
        self.device = device or torch.device("cpu")
        self.streams = Streams(SeedTree(spec.seed).child("mismatch"), spec.numbers, device=self.device)
        self.neurons = [self._neurons(index, "neuron") for index in range(network.depth)]
        own = spec.shadow == "own"
        self.shadows = [self._shadows(index) for index in range(network.depth)] if own else self.neurons
        self.weights = [self._synapses(index) for index in range(len(network.connections))]
        self.shared = spec.weight_per == "parameter"
        self.feedback = [
            self._factors("feedback", ("layer", index), shape)
            for index, shape in enumerate(network.feedback_shapes)
        ]
        self.bias = [
            self._factors("bias_weight", ("layer", index), (layer.size,))
            for index, layer in enumerate(network.layers)
        ]
        self.readout = self._readout()
        self.delays = self._delays()

    def hardware(self, weights: Weights) -> Hardware:
        """Return the effective values of chips that `weights` were written to.

        Args:
            weights: with ``forward`` as `physical` returns it.
        """
        forward = _scaled(weights.forward, self.weights)
        if self.shared:
            pairs = zip(self.network.synapses, forward, strict=True)
            forward = tuple(synapses.physical(values) for synapses, values in pairs)
        return Hardware(
            neurons=self._biased(self.neurons, weights.bias),
            shadows=self._biased(self.shadows, weights.bias),
            weights=forward,
            feedback=_scaled(weights.feedback, self.feedback),
            readout=self.readout,
            delays=self.delays,
            synapses=tuple(self.weights) if self.network.dense else (),
            relay=weights.relay,
        )

    def physical(self, weights: Weights) -> Weights:
        """Return what is written to devices: to every synapse, or to every number that synapses share."""
        if self.shared or self.network.dense:
            return weights
        pairs = zip(self.network.synapses, weights.forward, strict=True)
        return replace(weights, forward=tuple(synapses.physical(values) for synapses, values in pairs))

    def _biased(
        self, layers: Sequence[Mapping[str, Tensor]], bias: Sequence[Tensor]
    ) -> tuple[Mapping[str, Tensor], ...]:
        written = _scaled(bias, self.bias)
        pairs = zip(layers, written, strict=True)
        return tuple({**values, "bias": values["bias"] + current} for values, current in pairs)

    def _neurons(self, index: int, place: str) -> dict[str, Tensor]:
        layer = self.network.layers[index]
        values = {}
        for parameter in layer.neuron.parameters:
            nominal = self._nominal(index, parameter)
            deviation = self._factors(parameter.name, (place, index), (layer.size,))
            values[parameter.field] = _effective(parameter, nominal, deviation, self._shape(layer.size))
        return values

    def _nominal(self, index: int, parameter: Parameter) -> Tensor:
        """Return what the design says, one value for all neurons or one each; biases are programmed."""
        if parameter.field == "bias":
            return torch.zeros((), dtype=torch.float64, device=self.device)
        return nominal(self.network, self.spec.neurons, index, parameter).to(self.device)

    def _shadows(self, index: int) -> dict[str, Tensor]:
        """Return what shadows are made of: values of their own, or on the way there from their neurons'."""
        own = self._neurons(index, "shadow")
        if self.spec.shadow_share == 1.0:
            return own
        return {k: torch.lerp(v, own[k], self.spec.shadow_share) for k, v in self.neurons[index].items()}

    def _synapses(self, index: int) -> Tensor | None:
        """Return the factors of a connection's weights; an input's gain multiplies all its synapses."""
        synapses = self.network.synapses[index]
        shared = self.spec.weight_per == "parameter"
        shape = synapses.parameters if shared else synapses.shape
        factors = self._factors("weight", self._place(index), shape)
        if index in self.network.between_neurons:
            return factors
        gains = self._factors("input_gain", ("input",), (self.network.inputs,))
        if gains is None:
            return factors
        gains = gains.unsqueeze(-1) if synapses.dense else gains[:, synapses.wiring.pre]
        return gains if factors is None else factors * gains

    def _place(self, index: int) -> tuple[str | int, ...]:
        """Return where a connection draws from: second ones between the same layers are numbered."""
        ends = [(c.pre, c.post) for c in self.network.connections[: index + 1]]
        before = ends[:-1].count(ends[-1])
        return ("connection", *ends[-1], *((before,) if before else ()))

    def _delays(self) -> tuple[Tensor, ...]:
        """Return whole steps per presynaptic neuron, one or more; nothing where none deviates."""
        steps = []
        for index, connection in enumerate(self.network.connections):
            factors = self._factors("delay", self._place(index), (self.network.sizes[connection.pre],))
            if factors is None:
                return ()
            steps.append((connection.delay_steps * factors).round().clamp(min=1).to(torch.int64))
        return tuple(steps)

    def _shape(self, *shape: int) -> tuple[int, ...]:
        return (self.spec.chips, *shape)

    def _readout(self) -> dict[str, Tensor]:
        shape = (self.network.outputs,)
        one = torch.ones(self._shape(*shape), dtype=torch.float64, device=self.device)

        def factor(name: str) -> Tensor:
            drawn = self._factors(name, ("readout",), shape)
            return one if drawn is None else drawn

        return {
            "gain": factor("readout_gain"),
            "offset": factor("readout_offset") - 1.0,
            "kp": factor("kp"),
            "ki": factor("ki"),
        }

    def _factors(self, name: str, place: tuple[str | int, ...], shape: tuple[int, ...]) -> Tensor | None:
        """Return factors of mean 1, ``(chips, *shape)``, or None where `name` does not deviate."""
        distribution = self.spec.deviations.get(name)
        if distribution is None:
            return None
        rows = [
            torch.from_numpy(distribution.factors(node.child(*place).generator(), node.generator(), shape))
            for node in self.streams.nodes(name)
        ]
        return torch.stack(rows).to(self.device)


def _effective(
    parameter: Parameter, nominal: Tensor, factors: Tensor | None, shape: tuple[int, ...]
) -> Tensor:
    if factors is None:
        return nominal.expand(shape).clone()
    return nominal + (factors - 1.0) if parameter.additive else nominal * factors


def _scaled(values: Sequence[Tensor], factors: Sequence[Tensor | None]) -> tuple[Tensor, ...]:
    """Multiply what was written by the deviations; a copy either way, so that nothing is shared."""
    return tuple(
        value.detach().clone() if factor is None else value.detach() * factor
        for value, factor in zip(values, factors, strict=False)
    )
