r"""Rate neurons in Loihi's integers: potentials, tables of activations, messages with 12 binary digits.

A potential is written as :math:`V = S\,(v - o)` with the neuron's offset o and a power of two S, one per
chip and layer: the largest up to :math:`2^{18}` at which 24 bits hold what inputs of magnitude 1 and the
weights can bring about. An activation, with its neuron's gain, saturation and shape, is a table of 257 points
between which it is a straight line (so that ReLU and linear ones are exact), as a neuron's own microcode
would look it up. Activities have `PAYLOAD_BITS` binary digits; neurons send their changes, and a layer adds
up the products of these with its 8-bit weights in 32 bits, and scales the sum when it reads it: so nothing is
lost from one message to the next.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import final

import torch
from torch import Tensor

from root.errors import InputError
from spiking.blocks.block import Block
from spiking.blocks.bound import drives, emission_values
from spiking.hardware import Hardware
from spiking.network import Network
from spiking.neurons.activations import activation
from spiking.neurons.base import Values
from spiking.neurons.rate import Rate, RateTransfer
from spiking.simulators.fixed_point.arithmetic import LIMIT
from spiking.simulators.fixed_point.layers import Layers
from spiking.simulators.fixed_point.program import PAYLOAD_BITS, LayerScale, whole
from spiking.simulators.fixed_point.ranges import RANGES, check
from spiking.simulators.fixed_point.registers import weight_register
from spiking.simulators.sigma_delta import sent_before

__all__ = ["RateRegisters"]

SCALE_BITS = 18
"""Binary digits of a potential, where no larger potentials are possible than they leave room for."""

SEGMENTS = 256
"""Straight lines that a table consists of."""

RANGE_BITS = 3
"""Tables reach from -8 to 8, or further where a saturation is larger than 1."""

SHIFT = 24
"""What is added to exponents to bring weights into the range that `weight_register` searches."""


@final
class RateRegisters(Layers):
    """Writes the layers of a rate network."""

    zero = "offset"

    def __init__(self, network: Network, hardware: Hardware, block: Block) -> None:
        super().__init__(network, hardware, block)
        self.limits = {0: torch.ones(1, network.inputs, dtype=torch.float64)}
        """By layer, how large an activity can become, ``(chips or 1, n)``, as far as it is known."""
        activity = 2.0**-PAYLOAD_BITS
        self.value = [activity if self.direct else 1.0, *([activity] * network.depth)]
        """What a whole number in a message of layers 0 to L means."""
        self.rates = emission_values(network, block)
        """The rate that an activity of 1 counts as."""

    def layer(self, index: int) -> LayerScale:
        values, where, prefix = self.hardware.neurons[index], f"layer {index + 1}", f"layer.{index}"
        gain = self.leak(index, values, f"{prefix}.constant.", where)
        offset, reach = values["offset"].unsqueeze(1), self._reach(index, values)
        scale = LayerScale(self._scale(values, gain, reach), gain, offset)
        self.emission(index, values, scale, f"{prefix}.constant.", where)
        self.limits[index + 1] = self._limit(index, values, reach)
        exponent = self._weights(index, gain * scale.scale)
        self.arrays[f"{prefix}.exponent"] = exponent
        self.arrays[f"{prefix}.constant.synapse_decay"] = torch.zeros(1, 1, 1, dtype=torch.float64)
        read = replace(scale, exponent=exponent.view(-1, 1, 1))
        self.inputs(index, read)
        return read

    def messages(self, threshold: float) -> None:
        """Write what the layers have told each other, and from which change on they speak."""
        for layer, value in enumerate(sent_before(self.network, self.block)):
            unit = 1.0 / self.value[layer]
            self.arrays[f"sent.{layer}"] = whole(value.double(), unit)
            step = torch.tensor(threshold * unit, dtype=torch.float64)
            self.arrays[f"message_threshold.{layer}"] = torch.floor(step)
        self.arrays["heard"] = self.arrays[f"sent.{self.network.depth}"].clone()
        if self.direct:
            self.arrays["held"] = torch.matmul(self.arrays["sent.0"], self.arrays["weight.0"])

    # parts of a layer

    def _incoming(self, index: int, *, direct: bool) -> list[int]:
        """Return the connections onto a layer that act at once, or those that do not."""
        return [
            k
            for k, c in enumerate(self.network.connections)
            if c.post == index + 1 and drives(c, self.block) == direct
        ]

    def _reach(self, index: int, values: Values) -> Tensor:
        """Return how far potentials can be from their offsets, ``(chips, n)``, but for feedback."""
        reach = (values["bias"] - values["offset"]).abs()
        for k, c in enumerate(self.network.connections):
            if c.post == index + 1 and c.pre in self.limits:
                sizes = self.limits[c.pre] * self.rates[c.pre]
                reach = reach + torch.matmul(sizes.unsqueeze(1), self.hardware.weights[k].abs()).squeeze(1)
        return reach

    def _scale(self, values: Values, gain: Tensor, reach: Tensor) -> Tensor:
        """Return the largest scale at which potentials and biases fit, ``(chips, 1, 1)``."""
        largest = RANGES["bias_mantissa"].high * 2.0 ** RANGES["bias_exponent"].high
        bias = ((values["bias"] - values["offset"]) * gain.squeeze(1)).abs().amax(1)
        bound = torch.minimum((LIMIT - 1) / reach.amax(1), largest / bias.clamp(min=1e-300))
        return (2.0 ** torch.floor(torch.log2(bound)).clamp(max=SCALE_BITS)).view(-1, 1, 1)

    def _neuron(self, index: int) -> Rate:
        neuron = self.network.layers[index].neuron
        assert isinstance(neuron, Rate)  # `check_network` lets nothing else through
        return neuron

    def _curve(self, index: int, values: Values, dimensions: int) -> RateTransfer:
        """Return the activations of a layer, as functions of the distance from the offset."""
        shape = (..., *([None] * dimensions))
        own = {name: values[name][shape] for name in ("gain", "saturation", "shape") if name in values}
        return RateTransfer(self._neuron(index).activation, **own)

    def emission(self, index: int, values: Values, scale: LayerScale, prefix: str, where: str) -> None:
        """Write the tables, and how far apart in potential their points are."""
        reach = values.get("saturation", torch.ones_like(values["gain"])).amax(1).clamp(min=1.0)
        bits = RANGE_BITS + torch.ceil(torch.log2(reach)).view(-1, 1, 1)
        spacing = torch.log2(scale.scale) + bits + 1 - math.log2(SEGMENTS)
        if bool((spacing < 0).any()):
            allowed = f"potentials below 2^{23 + RANGE_BITS - 7} on every chip"
            raise InputError(where, "larger potentials", allowed, "Smaller weights.")
        points = torch.arange(SEGMENTS + 1, dtype=torch.float64) - SEGMENTS // 2
        x = points * (2.0**spacing / scale.scale)
        curve = self._curve(index, values, 1)
        table = whole(curve.rate(x), 2.0**PAYLOAD_BITS)
        clipped = int((table.abs() >= LIMIT).sum())
        table = table.clamp(1 - LIMIT, LIMIT - 1)
        if activation(self._neuron(index).activation).stretched:  # beyond its ends it is on its plateaus
            table[..., 0], table[..., -1] = table[..., 1], table[..., -2]
        between = (table[..., 1:] + table[..., :-1]) * 2.0 ** -(PAYLOAD_BITS + 1)
        self.note(where, "activation", curve.rate((x[..., 1:] + x[..., :-1]) / 2), between, clipped)
        self.arrays[prefix + "table"], self.arrays[prefix + "table_bits"] = table, spacing

    def _limit(self, index: int, values: Values, reach: Tensor) -> Tensor:
        curve = self._curve(index, values, 0)
        return torch.maximum(curve.rate(reach).abs(), curve.rate(-reach).abs())

    def _weights(self, index: int, unit: Tensor) -> Tensor:
        """Write the weights onto a layer; return the exponent that their sums share, ``(chips,)``."""
        if outside := self._incoming(index, direct=True):
            self.arrays["held.exponent"] = self._write(index, outside, unit)
        incoming = self._incoming(index, direct=False)
        if not incoming:
            return torch.zeros(self.hardware.chips, dtype=torch.float64)
        return self._write(index, incoming, unit)

    def _write(self, index: int, numbers: Sequence[int], unit: Tensor) -> Tensor:
        """Write connections whose products are added up, with one exponent for all of them."""
        connections = [self.network.connections[k] for k in numbers]
        wanted = [
            self.hardware.weights[k].double() * unit * (self.value[c.pre] * self.rates[c.pre])
            for k, c in zip(numbers, connections, strict=True)
        ]
        register, exponent = weight_register(torch.cat(wanted, 1) * 2.0**SHIFT)
        exponent = exponent - SHIFT
        rows = torch.split(register, [w.shape[1] for w in wanted], dim=1)
        largest = torch.zeros(())
        for k, c, row, weight in zip(numbers, connections, rows, wanted, strict=True):
            check("weight", row, f"connection {c.pre}-{c.post}")
            self.arrays[f"weight.{k}"] = row
            self.arrays[f"weight.{k}.exponent"] = torch.zeros_like(exponent)
            self.note(f"connection {c.pre}-{c.post}", "weight", weight, row * (2.0**exponent).view(-1, 1, 1))
            limit = self.limits.get(c.pre, torch.zeros(1, row.shape[1], dtype=torch.float64))
            product = torch.matmul(limit.unsqueeze(1), row.abs()) / self.value[c.pre]
            largest = largest + product.max()
        if float(largest) >= 2.0**31:
            allowed = "sums of graded messages that fit into 32 bits"
            raise InputError(f"layer {index + 1}", f"sums up to {float(largest):.3g}", allowed)
        return exponent
