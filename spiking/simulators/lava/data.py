"""A block as named arrays for the runtime, and the runtime's arrays as an outcome, in floating point.

Where synapses learn, a block is several presentations, one after the other in one run of Lava, all of as
many samples: a last one that has fewer is filled up with samples that no window counts.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from spiking.blocks.block import Block
from spiking.blocks.bound import (
    bound_controller,
    bound_relay,
    emission_values,
    gains,
    synapse_decays,
)
from spiking.hardware import Hardware
from spiking.network import Network
from spiking.neurons.base import Values
from spiking.presentation import CurrentDrive, Plasticity, SpikeDrive
from spiking.readout import readout_trace
from spiking.simulators.sigma_delta import sent_before

__all__ = ["arrays", "header", "integers", "results"]

Arrays = dict[str, NDArray[Any]]


def header(
    network: Network, hardware: Hardware, block: Block, arithmetic: str, *, deltas: bool = False
) -> dict[str, Any]:
    """Return what the runtime needs to know to build the network's processes.

    Args:
        network: the description.
        hardware: the effective parameters.
        block: what is run.
        arithmetic: Lava's tag of the process models.
        deltas: whether messages are changes of activities.
    """
    relay = bound_relay(network, hardware, block.start)
    return {
        "arithmetic": arithmetic,
        "sizes": list(network.sizes),
        "chips": hardware.chips,
        "batch": _together(block),
        "presentations": _presentations(block),
        "learning": _learns(block),
        "steps": block.steps,
        "drive": "spikes" if isinstance(block.drive, SpikeDrive) else "values",
        "connections": [[c.pre, c.post, c.delay_steps] for c in network.connections],
        "layers": _described(network, hardware.neurons),
        "shadows": _described(network, hardware.shadows) if block.shadow else [],
        "deltas": deltas,
        "shadow": block.shadow,
        "closed": block.target is not None,
        "record": sorted(block.record),
        "relay": None if relay is None else relay.every,
    }


def _described(network: Network, values: Sequence[Values]) -> list[dict[str, Any]]:
    """Return the model of every layer and the statements of its step."""
    described = []
    for layer, own in zip(network.layers, values, strict=True):
        neuron = layer.neuron
        program = neuron.program(neuron.constants(own, network.dt_ms))
        pairs = {key: [[s.target, s.value] for s in getattr(program, key)] for key in ("update", "reset")}
        step = {**pairs, "spike": program.spike, "emission": program.emission}
        described.append({"model": neuron.model, "program": step})
    return described


def _learns(block: Block) -> dict[str, bool] | None:
    """Return how synapses learn: whether they change, in every step, and biases with them."""
    plasticity = block.plasticity
    if plasticity is None:
        return None
    return {
        "changes": bool(plasticity.steps),
        "inside": plasticity.trace_ms is not None,
        "biases": plasticity.biases,
        "gated": plasticity.from_first_spike,
    }


def _together(block: Block) -> int:
    """Return the number of samples that are shown at a time."""
    return block.batch if block.plasticity is None else block.plasticity.batch or block.batch


def _presentations(block: Block) -> int:
    return math.ceil(block.batch / _together(block))


def _filled(block: Block) -> Block:
    """Return the block with whole presentations; what is added, its last sample again, counts nowhere."""
    total = _together(block) * _presentations(block)
    if total == block.batch:
        return block
    filled = block.part(torch.arange(total).clamp(max=block.batch - 1))
    window = filled.window.clone()
    window[block.batch :] = 0.0
    return replace(filled, window=window)


def numpy(tensor: Tensor) -> NDArray[Any]:
    """Return a tensor as a float64 array."""
    return tensor.detach().to("cpu", torch.float64).numpy()


def arrays(
    network: Network, hardware: Hardware, block: Block, message_threshold: float | None = None
) -> Arrays:
    """Return all numbers of a block; the names are those of `runtime.processes`.

    Args:
        network: the description.
        hardware: the effective parameters.
        block: what is run.
        message_threshold: the largest change of an activity that is not sent, or None where activities
            themselves are sent in every step.
    """
    samples, block = block.batch, _filled(block)
    data: dict[str, Tensor] = {"window": block.window}
    for index, layer in enumerate(network.layers):
        values = hardware.neurons[index]
        data |= _named(f"layer.{index}.state.", block.start.neurons[index])
        data |= _named(f"layer.{index}.constant.", layer.neuron.constants(values, network.dt_ms))
        data[f"layer.{index}.state.synapse"] = block.start.synapse[index]
        synapse_decay = layer.neuron.synapse_decay(values, network.dt_ms).unsqueeze(1)
        data[f"layer.{index}.constant.synapse_decay"] = synapse_decay
        data[f"layer.{index}.bias"] = values["bias"].unsqueeze(1)
        if block.currents:
            data[f"layer.{index}.injected"] = block.currents[index]
        if block.shadow:
            own = hardware.shadows[index]
            data |= _named(f"shadow.{index}.state.", block.start.shadows[index])
            data |= _named(f"shadow.{index}.constant.", layer.neuron.constants(own, network.dt_ms))
            data[f"shadow.{index}.extra_bias"] = (own["bias"] - values["bias"]).unsqueeze(1)
    data |= _synapses(network, hardware, block)
    data |= _controller(network, hardware, block) | _relays(network, hardware, block)
    if block.plasticity is not None:
        data |= _learning(network, hardware, block, block.plasticity, samples)
    if message_threshold is not None:
        data |= _deltas(network, hardware, block, message_threshold)
    return {name: numpy(tensor) for name, tensor in data.items()} | {"drive": _drive(block)}


def _deltas(network: Network, hardware: Hardware, block: Block, threshold: float) -> dict[str, Tensor]:
    """Return what was told so far, and synapses that keep what they are told."""
    sent = sent_before(network, block)
    data = {f"sent.{layer}": value for layer, value in enumerate(sent)}
    for index in range(network.depth):
        data[f"layer.{index}.constant.synapse_decay"] = torch.ones(1, 1, 1)
    if isinstance(block.drive, CurrentDrive):
        data["held"] = torch.matmul(sent[0], hardware.weights[0])
    for layer in range(network.depth + 1):
        data[f"message_threshold.{layer}"] = torch.tensor(threshold, dtype=torch.float64)
    return data | {"heard": sent[-1]}


def integers(program: Mapping[str, Tensor]) -> Arrays:
    """Return a fixed-point program's arrays as int64, but for the averaging window."""
    return {
        name: numpy(tensor) if name == "window" else numpy(tensor).astype(np.int64)
        for name, tensor in program.items()
    }


def _named(prefix: str, state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {prefix + name: tensor for name, tensor in state.items()}


def _drive(block: Block) -> NDArray[Any]:
    if isinstance(block.drive, SpikeDrive):
        return block.drive.spikes.cpu().numpy().astype(np.uint8)
    return numpy(block.drive.values)


def _synapses(network: Network, hardware: Hardware, block: Block) -> dict[str, Tensor]:
    data = {}
    for index, gain in enumerate(_gains(network, hardware, block)):
        connection = network.connections[index]
        data[f"weight.{index}"] = hardware.weights[index] * gain
        if connection.delay_steps > 1:
            history = block.start.history[index]
            data[f"history.{index}"] = history[:1] if connection.pre == 0 else history
    return data


def _gains(network: Network, hardware: Hardware, block: Block) -> list[Tensor]:
    return gains(network, synapse_decays(network, hardware), block)


def _learning(
    network: Network, hardware: Hardware, block: Block, plasticity: Plasticity, samples: int
) -> dict[str, Tensor]:
    """Return what synapses need to change: their programmed side, scales of sums, step sizes per sample.

    Those that learn in every step have scales of single emissions, and what traces take in of them.
    """
    first = torch.arange(_presentations(block)) * _together(block)
    shown = (samples - first).clamp(max=_together(block)).double()
    steps = torch.tensor(plasticity.steps or [1.0] * len(network.connections), dtype=torch.float64)
    values = torch.tensor(emission_values(network, block), dtype=torch.float64)
    total = block.window[0].sum().double()
    data = {"learning.factor": steps / shown.unsqueeze(1), "learning.scale": values}
    data["learning.factor" if plasticity.trace_ms else "learning.scale"] /= total
    if plasticity.trace_ms:
        share = 1.0 - math.exp(-network.dt_ms / plasticity.trace_ms)
        data["learning.share"] = torch.tensor(share, dtype=torch.float64)
    for index, gain in enumerate(_gains(network, hardware, block)):
        factor = hardware.synapses[index]
        data[f"plastic.{index}.weight"] = hardware.weights[index]
        data[f"plastic.{index}.factor"] = torch.ones(1, 1, 1) if factor is None else factor
        data[f"plastic.{index}.gain"] = gain
    return data


def _controller(network: Network, hardware: Hardware, block: Block) -> dict[str, Tensor]:
    start = block.start
    data = {"trace": start.trace, "integral": start.integral}
    trace, loop = readout_trace(network), bound_controller(network, hardware, block)
    data["controller.trace_decay"] = torch.tensor(trace.decay, dtype=torch.float64)
    data["controller.trace_gain"] = torch.tensor(trace.gain, dtype=torch.float64)
    if loop is None:
        return data
    for name in ("target", "kp", "ki", "leak", "on", "gain", "offset"):
        data[f"controller.{name}"] = getattr(loop, name)
    if block.course is not None:
        data["controller.course"] = block.course.unsqueeze(0)
    return data | {f"feedback.{index}": weight for index, weight in enumerate(hardware.feedback)}


def _relays(network: Network, hardware: Hardware, block: Block) -> dict[str, Tensor]:
    """Return what hidden layers need where feedback is layered."""
    relay = bound_relay(network, hardware, block.start)
    data = {}
    for index in range(0 if relay is None else network.depth - 1):
        assert relay is not None
        data[f"gates.{index}"] = relay.seen[index]
        data[f"relay.{index}.curve"] = relay.curves[index]
        data[f"relay.{index}.strength"] = relay.strength[index]
        numbers = {"low": relay.low[index], "scale": relay.scale[index], "added": relay.added[index]}
        for name, number in (numbers | {"kept": relay.kept}).items():
            data[f"relay.{index}.{name}"] = torch.tensor(number, dtype=torch.float64)
    return data


def results(block: Block, found: Mapping[str, NDArray[Any]]) -> dict[str, Tensor]:
    """Return what the runtime gave back, without samples that the last presentation was filled up with."""
    return {
        name: torch.from_numpy(np.ascontiguousarray(a if name.startswith("change.") else a[:, : block.batch]))
        for name, a in found.items()
    }
