"""From a network's real parameters to Loihi's registers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from rate_bridge.filters import steps
from root.errors import InputError, UnsupportedError
from spiking.hardware import Hardware
from spiking.network import Network
from spiking.neurons.base import Neuron, Values
from spiking.presentation import CurrentDrive, SpikeDrive
from spiking.simulators.blocks import Block
from spiking.simulators.bound import bound_controller, readout_trace
from spiking.simulators.fixed_point.arithmetic import LIMIT, UNITY
from spiking.simulators.fixed_point.program import (
    INTEGRAL_BITS,
    PAYLOAD_BITS,
    RATE_BITS,
    LayerScale,
    Program,
    whole,
)
from spiking.simulators.fixed_point.ranges import RANGES, check
from spiking.simulators.fixed_point.rate_registers import RateRegisters
from spiking.simulators.fixed_point.registers import bias_register, decay_register, weight_register
from spiking.simulators.fixed_point.report import Rounding, compare

__all__ = ["MODELS", "check_input", "check_network", "check_neurons", "quantise"]

MODELS = frozenset({"lif", "rate"})
"""Neuron models that can be written in Loihi's integers."""

ACCUMULATOR = (1 << 15) - 1
"""The largest input that a neuron's dendritic accumulator holds."""

SHRINK = 0.95


def check_network(network: Network) -> None:
    """Raise `UnsupportedError` where `network` has neurons or delays that cannot be written in integers."""
    models = [layer.neuron.model for layer in network.layers]
    for model in models:
        if model not in MODELS:
            raise UnsupportedError("network.neuron.model", model, ", ".join(sorted(MODELS)))
    if len(set(models)) > 1:
        allowed = "one model for all layers: a message is a spike or the change of an activity"
        raise UnsupportedError("network.neuron.model", ", ".join(models), allowed)
    longest = max(connection.delay_steps for connection in network.connections)
    waits = RANGES["delay_steps"]
    if longest - 1 > waits.high:
        given = f"{longest * network.dt_ms:g} ms, {longest} steps"
        allowed = f"at most {waits.high + 1} steps; Loihi: {waits.meaning}"
        raise UnsupportedError("network.delay_ms", given, allowed, "Or a longer simulator.dt_ms.")
    for layer in network.layers:
        _check_held(layer.neuron, _as_tensors(layer.neuron.nominal), network.dt_ms, "network.neuron")


def check_neurons(network: Network, layers: Sequence[Values]) -> None:
    """Raise `UnsupportedError` where a drawn neuron does not fit the registers, whatever the weights.

    Args:
        network: the description.
        layers: per layer, parameter field to the values of the chips' neurons or shadows, ``(chips, n)``.
    """
    for layer, values in zip(network.layers, layers, strict=True):
        _check_held(layer.neuron, values, network.dt_ms, "mismatch")


def check_input(network: Network, largest: float) -> None:
    """Raise `UnsupportedError` where input currents do not fit a message of rate networks.

    Args:
        network: the description.
        largest: the largest absolute value.
    """
    if largest > 1 and not network.layers[0].neuron.emits_spikes:
        fix = "Weaker currents, and first weights that make up for it."
        raise UnsupportedError(
            "bridge.encoding", largest, "values from -1 to 1: they travel in messages", fix
        )


def _as_tensors(values: Mapping[str, float]) -> Values:
    return {name: torch.tensor(value, dtype=torch.float64) for name, value in values.items()}


def _check_held(neuron: Neuron, values: Values, dt_ms: float, section: str) -> None:
    """Refuse refractory times of more steps than their register holds."""
    held = RANGES["refractory_steps"]
    for parameter in neuron.parameters:
        if not parameter.stepped:
            continue
        longest = float(steps(values[parameter.field].double().max(), dt_ms))
        if longest > held.high:
            name = parameter.field if section == "network.neuron" else parameter.name
            given = f"{longest * dt_ms:g} ms, {longest:.0f} steps"
            allowed = f"at most {held.high} steps; Loihi: {held.meaning}"
            raise UnsupportedError(f"{section}.{name}", given, allowed, "Or a longer simulator.dt_ms.")


def quantise(network: Network, hardware: Hardware, block: Block, message_threshold: float = 0.0) -> Program:
    """Return `hardware` and what `block` starts from and is shown, in integers.

    Every layer of every chip of spiking neurons has the largest scale at which its thresholds (and those of
    its shadows) and its biases fit, and at which neither its accumulator nor its synaptic current can
    overflow even if all inputs spiked in every step. Rate neurons: see `rate_registers`.

    Args:
        network: the description.
        hardware: the effective parameters.
        block: what is run.
        message_threshold: of rate networks, the largest change of an activity that is not sent.

    Raises:
        InputError: something does not fit whatever the scale (a refractory time, an input value).
    """
    return _Quantiser(network, hardware, block).program(message_threshold)


class _Quantiser:
    def __init__(self, network: Network, hardware: Hardware, block: Block) -> None:
        self.network, self.hardware, self.block = network, hardware, block
        self.arrays: dict[str, Tensor] = {"window": block.window.double()}
        self.roundings: list[Rounding] = []
        self.direct = isinstance(block.drive, CurrentDrive)
        self.deltas = not network.layers[0].neuron.emits_spikes

    def program(self, message_threshold: float) -> Program:
        indices = range(self.network.depth)
        if self.deltas:
            rates = RateRegisters(self.network, self.hardware, self.block, self)
            layers = tuple(rates.layer(index) for index in indices)
            shadows = tuple(rates.shadow(i, layers[i]) for i in indices) if self.block.shadow else ()
            rates.messages(message_threshold)
        else:
            layers = tuple(self._layer(index) for index in indices)
            shadows = tuple(self._shadow(i, layers[i]) for i in indices) if self.block.shadow else ()
        self._drive()
        self._history()
        self._controller(layers)
        return Program(self.arrays, layers, shadows, tuple(self.roundings), self.deltas)

    # a layer: constants, scale, weights, biases, state

    def _layer(self, index: int) -> LayerScale:
        values, where = self.hardware.neurons[index], f"layer {index + 1}"
        prefix = f"layer.{index}"
        membrane = self._membrane(index, values, f"{prefix}.constant.", where)
        layer = self.network.layers[index].neuron
        du, clipped = decay_register(layer.synapse_decay(values, self.network.dt_ms).unsqueeze(1), 1)
        self.note(
            where,
            "synaptic decay",
            layer.synapse_decay(values, self.network.dt_ms).unsqueeze(1),
            1.0 - (du + 1) / UNITY,
            clipped,
        )
        reset = values["reset"].unsqueeze(1)
        scale = self._weights(index, values, membrane, du + 1, where)
        layer_scale = LayerScale(scale, membrane, reset)
        self.arrays[f"{prefix}.constant.synapse_decay"] = du + 1
        self._threshold(values, layer_scale, f"{prefix}.constant.", where)
        mantissa, exponent = bias_register((values["bias"].unsqueeze(1) - reset) * membrane * scale)
        self.arrays[f"{prefix}.bias"] = mantissa * 2.0**exponent
        self.note(
            where,
            "bias",
            values["bias"].unsqueeze(1),
            layer_scale.current(self.arrays[f"{prefix}.bias"]) + reset,
        )
        start = self.block.start
        self.arrays[f"{prefix}.state.synapse"] = whole(start.synapse[index].double(), scale * membrane)
        self._state(f"{prefix}.state.", start.neurons[index], layer_scale)
        if self.block.currents:
            self.arrays[f"{prefix}.injected"] = whole(self.block.currents[index].double(), scale * membrane)
        return layer_scale

    def _membrane(self, index: int, values: Values, prefix: str, where: str) -> Tensor:
        """Write leak and refractory time; return the membrane's gain, ``(chips, 1, n)``."""
        constants = self.network.layers[index].neuron.constants(values, self.network.dt_ms)
        dv, clipped = decay_register(constants["decay"], 0)
        self.note(where, "membrane decay", constants["decay"], 1.0 - dv / UNITY, clipped)
        held = constants.get("refractory_steps", torch.zeros_like(dv))
        check("refractory_steps", held, where)
        self.arrays[prefix + "dv"], self.arrays[prefix + "refractory_steps"] = dv, held.double()
        return torch.where(dv > 0, dv / UNITY, 1.0 - constants["decay"])

    def _threshold(self, values: Values, scale: LayerScale, prefix: str, where: str) -> None:
        wanted = values["threshold"].unsqueeze(1) - scale.reset
        vth = torch.round(wanted * scale.scale / 64)
        check("vth", vth, where)
        self.arrays[prefix + "vth"] = vth
        self.note(where, "threshold", wanted, 64 * vth / scale.scale)

    def _state(self, prefix: str, state: Values, scale: LayerScale) -> None:
        top = float(LIMIT - 1)
        self.arrays[prefix + "v"] = whole(state["v"].double() - scale.reset, scale.scale).clamp(-top, top)
        self.arrays[prefix + "refractory"] = state["refractory"].double()

    def _weights(self, index: int, values: Values, gain: Tensor, loss: Tensor, where: str) -> Tensor:
        """Choose the layer's scale and write the weights of all connections to it."""
        connections = [
            (i, c, self.network.emission_value(c.pre))
            for i, c in enumerate(self.network.connections)
            if c.post == index + 1 and not (c.pre == 0 and self.direct)
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

    def write_weight(self, key: str, register: Tensor, exponent: Tensor, where: str, wanted: Tensor) -> None:
        check("weight", register, where)
        self.arrays[key], self.arrays[f"{key}.exponent"] = register, exponent
        self.note(where, "weight", wanted, register * (2.0**exponent).view(-1, 1, 1))

    # shadows

    def _shadow(self, index: int, layer: LayerScale) -> LayerScale:
        values, own = self.hardware.neurons[index], self.hardware.shadows[index]
        prefix, where = f"shadow.{index}", f"shadow {index + 1}"
        gain = self._membrane(index, own, f"{prefix}.constant.", where)
        scale = LayerScale(layer.scale, gain, own["reset"].unsqueeze(1))
        self._threshold(own, scale, f"{prefix}.constant.", where)
        ratio = whole(gain / layer.gain, UNITY)
        self.arrays[f"{prefix}.ratio"] = ratio
        wanted = (own["bias"].unsqueeze(1) - scale.reset) * gain
        carried = (values["bias"].unsqueeze(1) - layer.reset) * layer.gain * ratio / UNITY
        self.arrays[f"{prefix}.extra_bias"] = whole(wanted - carried, layer.scale)
        self._state(f"{prefix}.state.", self.block.start.shadows[index], scale)
        return scale

    # input, spikes under way, controller

    def _drive(self) -> None:
        drive = self.block.drive
        if isinstance(drive, SpikeDrive):
            self.arrays["drive"] = drive.spikes.to(torch.uint8)
            return
        payload = whole(drive.values.double(), 2.0**PAYLOAD_BITS)
        check("payload", payload, "input")
        if self.deltas and bool((payload.abs() > 2.0**PAYLOAD_BITS).any()):
            fix = "Weaker currents (bridge.encoding), and first weights that make up for it."
            raise InputError("input", float(drive.values.abs().max()), "values from -1 to 1", fix)
        self.arrays["drive"] = payload

    def _history(self) -> None:
        for index, connection in enumerate(self.network.connections):
            if connection.delay_steps > 1:
                history = self.block.start.history[index].double() * self._unit(connection.pre)
                self.arrays[f"history.{index}"] = history[:1] if connection.pre == 0 else history

    def _unit(self, layer: int) -> float:
        """Return the whole number that stands for one unit of a layer's emission."""
        return 2.0**PAYLOAD_BITS if self.deltas and layer > 0 else 1.0

    def _controller(self, layers: tuple[LayerScale, ...]) -> None:
        network, block, arrays = self.network, self.block, self.arrays
        arrays["trace"] = whole(block.start.trace.double(), 2.0**RATE_BITS)
        arrays["integral"] = whole(block.start.integral.double(), 2.0**INTEGRAL_BITS)
        kept = torch.tensor(readout_trace(network).decay, dtype=torch.float64)
        loss = torch.round(UNITY * (1.0 - kept))
        arrays["controller.trace_decay"] = loss
        emission = network.emission_value(network.depth) / self._unit(network.depth)
        arrays["controller.trace_gain"] = whole(loss / UNITY, emission * 2.0**RATE_BITS)
        loop = bound_controller(network, self.hardware, block, Tensor.double)
        if loop is None:
            return
        units = {"target": 2.0**RATE_BITS, "kp": UNITY, "ki": 2.0**20, "leak": 2.0**20}
        for name, unit in (units | {"gain": UNITY, "offset": 2.0**RATE_BITS}).items():
            arrays[f"controller.{name}"] = whole(getattr(loop, name), unit)
        arrays["controller.on"] = loop.on
        for index, (weight, layer) in enumerate(zip(self.hardware.feedback, layers, strict=True)):
            # the same 8 bits as any synapse; the exponent is a shift in the receiving compartment
            wanted = weight.double() * layer.gain * layer.scale * 2.0**-RATE_BITS
            register, exponent = weight_register(wanted * 2.0**16)
            self.write_weight(f"feedback.{index}", register, exponent - 16, f"feedback {index + 1}", wanted)

    def note(self, where: str, name: str, wanted: Tensor, got: Tensor, clipped: int = 0) -> None:
        self.roundings.append(compare(where, name, wanted.double(), got, clipped))


def _both(weights: list[Tensor]) -> tuple[list[Tensor], list[Tensor]]:
    """Return the weights and their negatives."""
    return weights, [-weight for weight in weights]
