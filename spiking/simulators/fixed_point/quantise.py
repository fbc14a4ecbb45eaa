"""From a network's real parameters to Loihi's registers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from rate_bridge.filters import steps
from root.errors import InputError, UnsupportedError
from spiking.blocks.block import Block
from spiking.blocks.bound import bound_controller
from spiking.hardware import Hardware
from spiking.network import Network
from spiking.neurons.base import Neuron, Values
from spiking.presentation import Drive, SpikeDrive
from spiking.readout import readout_trace
from spiking.simulators.fixed_point.arithmetic import UNITY
from spiking.simulators.fixed_point.layers import Layers
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
from spiking.simulators.fixed_point.registers import weight_register
from spiking.simulators.fixed_point.spike_registers import SpikeRegisters

__all__ = ["MODELS", "check_input", "check_network", "check_neurons", "quantise"]

MODELS = frozenset({"lif", "rate"})
"""Neuron models that can be written in Loihi's integers."""


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

    See `SpikeRegisters` and `RateRegisters`.

    Args:
        network: the description.
        hardware: the effective parameters.
        block: what is run.
        message_threshold: of rate networks, the largest change of an activity that is not sent.

    Raises:
        InputError: something does not fit whatever the scale (a refractory time, an input value).
    """
    indices = range(network.depth)
    deltas = not network.layers[0].neuron.emits_spikes
    written = (RateRegisters if deltas else SpikeRegisters)(network, hardware, block)
    layers = tuple(written.layer(index) for index in indices)
    shadows = tuple(written.shadow(i, layers[i]) for i in indices) if block.shadow else ()
    if isinstance(written, RateRegisters):
        written.messages(message_threshold)
    written.arrays["drive"] = _drive(block.drive, deltas=deltas)
    unit = 2.0**PAYLOAD_BITS if deltas else 1.0  # stands for one unit of an emission
    for index, connection in enumerate(network.connections):
        if connection.delay_steps > 1:
            history = block.start.history[index].double()
            written.arrays[f"history.{index}"] = history * unit if connection.pre else history[:1]
    _controller(written, layers, unit)
    return Program(written.arrays, layers, shadows, tuple(written.roundings), deltas)


def _drive(drive: Drive, *, deltas: bool) -> Tensor:
    """Return the input: spikes, or payloads."""
    if isinstance(drive, SpikeDrive):
        return drive.spikes.to(torch.uint8)
    payload = whole(drive.values.double(), 2.0**PAYLOAD_BITS)
    check("payload", payload, "input")
    if deltas and bool((payload.abs() > 2.0**PAYLOAD_BITS).any()):
        fix = "Weaker currents (bridge.encoding), and first weights that make up for it."
        raise InputError("input", float(drive.values.abs().max()), "values from -1 to 1", fix)
    return payload


def _controller(written: Layers, layers: tuple[LayerScale, ...], unit: float) -> None:
    """Write the read-out trace, and the controller with its synapses."""
    network, block, arrays = written.network, written.block, written.arrays
    arrays["trace"] = whole(block.start.trace.double(), 2.0**RATE_BITS)
    arrays["integral"] = whole(block.start.integral.double(), 2.0**INTEGRAL_BITS)
    kept = torch.tensor(readout_trace(network).decay, dtype=torch.float64)
    loss = torch.round(UNITY * (1.0 - kept))
    arrays["controller.trace_decay"] = loss
    emission = network.emission_value(network.depth) / unit
    arrays["controller.trace_gain"] = whole(loss / UNITY, emission * 2.0**RATE_BITS)
    loop = bound_controller(network, written.hardware, block, Tensor.double)
    if loop is None:
        return
    units = {"target": 2.0**RATE_BITS, "kp": UNITY, "ki": 2.0**20, "leak": 2.0**20}
    for name, one in (units | {"gain": UNITY, "offset": 2.0**RATE_BITS}).items():
        arrays[f"controller.{name}"] = whole(getattr(loop, name), one)
    arrays["controller.on"] = loop.on
    for index, (weight, layer) in enumerate(zip(written.hardware.feedback, layers, strict=True)):
        # the same 8 bits as any synapse; the exponent is a shift in the receiving compartment
        wanted = weight.double() * layer.gain * layer.scale * 2.0**-RATE_BITS
        register, exponent = weight_register(wanted * 2.0**16)
        written.write_weight(f"feedback.{index}", register, exponent - 16, f"feedback {index + 1}", wanted)
