"""Spiking neurons in Loihi's integers: scales, thresholds and the weights of spikes."""

from __future__ import annotations

from typing import final

import torch
from torch import Tensor

from root.errors import InputError
from spiking.blocks.bound import drives
from spiking.neurons.base import State, Values
from spiking.simulators.fixed_point.arithmetic import LIMIT, UNITY
from spiking.simulators.fixed_point.layers import Layers
from spiking.simulators.fixed_point.program import PAYLOAD_BITS, LayerScale
from spiking.simulators.fixed_point.ranges import RANGES, check
from spiking.simulators.fixed_point.registers import decay_register, weight_register

__all__ = ["SpikeRegisters"]

ACCUMULATOR = (1 << 15) - 1
"""The largest input that a neuron's dendritic accumulator holds."""

SHRINK = 0.95


@final
class SpikeRegisters(Layers):
    """Writes the layers of a network of spiking neurons.

    Every layer of every chip has the largest scale at which its thresholds (and those of its shadows) and its
    biases fit, and at which neither its accumulator nor its synaptic current can overflow even if all inputs
    spiked in every step.
    """

    zero = "reset"

    def layer(self, index: int) -> LayerScale:
        values, where, prefix = self.hardware.neurons[index], f"layer {index + 1}", f"layer.{index}"
        gain = self.leak(index, values, f"{prefix}.constant.", where)
        kept = self.network.layers[index].neuron.synapse_decay(values, self.network.dt_ms).unsqueeze(1)
        du, clipped = decay_register(kept, 1)
        self.note(where, "synaptic decay", kept, 1.0 - (du + 1) / UNITY, clipped)
        self.arrays[f"{prefix}.constant.synapse_decay"] = du + 1
        scale = LayerScale(
            self._weights(index, values, gain, du + 1, where), gain, values["reset"].unsqueeze(1)
        )
        self.emission(index, values, scale, f"{prefix}.constant.", where)
        self.inputs(index, scale)
        return scale

    def leak(self, index: int, values: Values, prefix: str, where: str) -> Tensor:
        """Write the leak and the refractory time."""
        gain = super().leak(index, values, prefix, where)
        constants = self.network.layers[index].neuron.constants(values, self.network.dt_ms)
        held = constants.get("refractory_steps", torch.zeros_like(gain))
        check("refractory_steps", held, where)
        self.arrays[prefix + "refractory_steps"] = held.double()
        return gain

    def emission(self, index: int, values: Values, scale: LayerScale, prefix: str, where: str) -> None:
        """Write the thresholds."""
        wanted = values["threshold"].unsqueeze(1) - scale.reset
        vth = torch.round(wanted * scale.scale / 64)
        check("vth", vth, where)
        self.arrays[prefix + "vth"] = vth
        self.note(where, "threshold", wanted, 64 * vth / scale.scale)

    def state(self, prefix: str, state: State, scale: LayerScale) -> None:
        super().state(prefix, state, scale)
        self.arrays[prefix + "refractory"] = state["refractory"].double()

    def _weights(self, index: int, values: Values, gain: Tensor, loss: Tensor, where: str) -> Tensor:
        """Choose the layer's scale and write the weights of all connections to it."""
        connections = [
            (i, c, self.network.emission_value(c.pre))
            for i, c in enumerate(self.network.connections)
            if c.post == index + 1 and not drives(c, self.block)
        ]
        per_unit = {
            i: self.hardware.weights[i].double() * value * (loss / UNITY) * gain / 64
            for i, c, value in connections
        }
        scale = self._scale_bound(values, gain)
        for _ in range(200):
            written = {i: weight_register(weight * scale) for i, weight in per_unit.items()}
            fits = self._fits(written, loss) & self._shadow_fits(index, scale)
            if bool(fits.all()):
                break
            scale = torch.where(fits.view(-1, 1, 1), scale, scale * SHRINK)
        else:
            raise InputError(where, "weights", "weights that some scale brings into Loihi's accumulator")
        for i, (register, exponent) in written.items():
            name = f"connection {self.network.connections[i].pre}-{index + 1}"
            self.write_weight(f"weight.{i}", register, exponent, name, per_unit[i] * scale)
        if self.direct and index == 0:
            wanted = self.hardware.weights[0].double() * gain * scale * 2.0**-PAYLOAD_BITS
            register, exponent = weight_register(wanted * 2.0**8)
            self.write_weight("weight.0", register, exponent - 8, "connection 0-1", wanted)
        return scale

    def _scale_bound(self, values: Values, gain: Tensor) -> Tensor:
        """Return the scale at which threshold and bias just fit, ``(chips, 1, 1)``."""
        height = (values["threshold"] - values["reset"]).amax(1)
        mantissa, exponent = RANGES["bias_mantissa"].high, RANGES["bias_exponent"].high
        bias = ((values["bias"] - values["reset"]) * gain.squeeze(1)).abs().amax(1)
        bound = torch.minimum(
            RANGES["vth"].high * 64.0 / height, mantissa * 2.0**exponent / bias.clamp(min=1e-300)
        )
        return bound.view(-1, 1, 1)

    def _shadow_fits(self, index: int, scale: Tensor) -> Tensor:
        """Say for each chip whether its shadows' thresholds fit at their neurons' scale."""
        if not self.block.shadow:
            return torch.ones(self.hardware.chips, dtype=torch.bool)
        own = self.hardware.shadows[index]
        height = (own["threshold"] - own["reset"]).amax(1)
        return torch.round(height * scale.flatten() / 64) <= RANGES["vth"].high

    def _fits(self, written: dict[int, tuple[Tensor, Tensor]], loss: Tensor) -> Tensor:
        """Say for each chip whether no input whatsoever can overflow accumulator and current."""
        chips = self.hardware.chips
        fits = torch.ones(chips, dtype=torch.bool)
        if not written:
            return fits
        effective = [w * (2.0**e).view(-1, 1, 1) for w, e in written.values()]
        sides = [torch.stack([s.clamp(min=0).sum(1) for s in side]).sum(0) for side in _both(effective)]
        largest = torch.maximum(*sides)
        fits &= (largest <= ACCUMULATOR).all(1)
        fits &= (64 * largest * UNITY / loss.squeeze(1) < LIMIT).all(1)
        for _, exponent in written.values():
            fits &= exponent <= RANGES["weight_exponent"].high
        return fits


def _both(weights: list[Tensor]) -> tuple[list[Tensor], list[Tensor]]:
    """Return the weights and their negatives."""
    return weights, [-weight for weight in weights]
