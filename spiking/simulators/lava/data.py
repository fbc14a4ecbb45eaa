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

from spiking.feedback import Layered
from spiking.hardware import Hardware
from spiking.network import Network
from spiking.neurons.base import State, Values
from spiking.presentation import Change, CurrentDrive, Plasticity, Snapshot, SpikeDrive
from spiking.simulators.blocks import Block
from spiking.simulators.bound import bound_controller, drives, gains, readout_trace, synapse_decays
from spiking.simulators.recordings import Outcome
from spiking.simulators.relay import gate_trace
from spiking.simulators.sigma_delta import messages, sent_before
from spiking.simulators.snapshots import oldest_first

__all__ = ["arrays", "header", "integers", "outcome"]

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
        "relay": _every(network, hardware),
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


def _every(network: Network, hardware: Hardware) -> int | None:
    """Return the steps between two refreshes of layered feedback, or None where it is direct."""
    path = network.feedback
    return path.refresh_steps(network.dt_ms) if isinstance(path, Layered) and hardware.relay else None


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
    values = [1.0 if isinstance(block.drive, CurrentDrive) else network.emission_value(0)]
    values += [network.emission_value(layer + 1) for layer in range(network.depth)]
    total = block.window[0].sum().double()
    data = {"learning.factor": steps / shown.unsqueeze(1), "learning.scale": torch.tensor(values).double()}
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
    path, relay = network.feedback, hardware.relay
    if not isinstance(path, Layered) or relay is None:
        return {}
    kept, added = gate_trace(network, path)
    data = {}
    for index, (low, high) in enumerate(zip(relay.low, relay.high, strict=True)):
        given = block.start.gates
        data[f"gates.{index}"] = given[index] if given else torch.zeros_like(block.start.synapse[index])
        data[f"relay.{index}.curve"] = relay.gates[index]
        data[f"relay.{index}.strength"] = relay.strength[index].view(-1, 1, 1)
        numbers = {
            "low": low,
            "scale": (relay.points - 1) / (high - low),
            "kept": kept,
            "added": added[index],
        }
        for name, number in numbers.items():
            data[f"relay.{index}.{name}"] = torch.tensor(number, dtype=torch.float64)
    return data


def outcome(network: Network, block: Block, results: Mapping[str, NDArray[Any]]) -> Outcome:
    """Return what came out; see `Outcome`."""
    found = {
        name: torch.from_numpy(np.ascontiguousarray(a if name.startswith("change.") else a[:, : block.batch]))
        for name, a in results.items()
    }
    layers = range(network.depth)
    traces = {}
    for name in block.record:
        one = (found[f"record.{name}"],) if f"record.{name}" in found else ()
        traces[name] = one or tuple(found[f"record.{name}.{index}"] for index in layers)
    return Outcome(
        sums=tuple(found[f"sum.{index}"] for index in layers),
        basal=tuple(found[f"sum.shadow.{index}"] for index in layers) if block.shadow else (),
        control=found["sum.control"] if block.target is not None else None,
        final=_final(network, block, found),
        traces=traces,
        changes=_changes(network, block, found),
        messages=messages(network, found),
        apical=_hidden(network, found, "sum.apical") if block.target is not None else (),
    )


def _changes(network: Network, block: Block, found: Mapping[str, Tensor]) -> tuple[Change, ...]:
    """Return what the synapses summed: all that was changed, or the mean over the presentations."""
    if block.plasticity is None:
        return ()
    share = 1.0 if block.plasticity.steps else 1.0 / _presentations(block)
    return tuple(
        Change(found[f"change.weight.{index}"] * share, found[f"change.bias.{index}"] * share)
        for index in range(len(network.connections))
    )


def _final(network: Network, block: Block, found: Mapping[str, Tensor]) -> Snapshot:
    neurons = tuple(_state(found, f"layer.{index}.state.") for index in range(network.depth))
    return Snapshot(
        neurons=neurons,
        shadows=tuple(_state(found, f"shadow.{index}.state.") for index in range(network.depth)),
        synapse=tuple(state.pop("synapse") for state in neurons),
        history=tuple(_history(network, block, found, index) for index in range(len(network.connections))),
        trace=found["trace"],
        integral=found["integral"],
        sent=tuple(found[f"sent.{i}"] for i in range(network.depth + 1)) if "sent.0" in found else (),
        gates=_hidden(network, found, "gates"),
    )


def _hidden(network: Network, found: Mapping[str, Tensor], name: str) -> tuple[Tensor, ...]:
    """Return what every hidden layer has where feedback is layered; empty elsewhere."""
    return tuple(found[f"{name}.{index}"] for index in range(network.depth - 1) if f"{name}.{index}" in found)


def _state(found: Mapping[str, Tensor], prefix: str) -> State:
    return {name[len(prefix) :]: value for name, value in found.items() if name.startswith(prefix)}


def _history(network: Network, block: Block, found: Mapping[str, Tensor], index: int) -> Tensor:
    """Return what is under way, oldest first: the runtime keeps it as a ring."""
    connection, start = network.connections[index], block.start.history[index]
    if connection.delay_steps == 1 or drives(connection, block):
        return start
    return oldest_first(found[f"history.{index}"], block.steps).expand(start.shape)
