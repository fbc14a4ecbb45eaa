r"""Networks as NIR graphs, the interchange format of neuromorphic software, and back, bit for bit.

A layer becomes a ``CubaLIF`` (a ``LIF`` where there is no synaptic filter) with one value per neuron, a
connection a ``Linear`` that holds the weights as they are here, with a ``Delay`` before it where it takes
more than a step. NIR's currents are driven by impulses, ours by rates; the difference is a factor per
neuron in ``w_in`` (for LIF in ``r``):

.. math:: w_{in} = \frac{1 - e^{-dt/\tau_{syn}}}{r_{max}\, dt} \tau_{syn}

NIR has no field for the step, the refractory time, the nominal values, the chip or the exact
milliseconds (its own times are seconds): they stand in the metadata, and `read` takes them from there.

Source: Pedersen et al. 2024, doi:10.1038/s41467-024-52259-9.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, final

import nir
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from rate_bridge.errors import InputError, UnsupportedError
from rate_bridge.filters import decay
from spiking.network import Connection, Layer, Network
from spiking.neurons import LIF

__all__ = ["Stored", "read", "write"]

VERSION = 1


@final
@dataclass(frozen=True)
class Stored:
    """One chip as a file holds it.

    Args:
        network: the design, with nominal values.
        weights: per connection, ``(n_pre, n_post)``.
        neurons: per layer, parameter field to value, ``(n,)``; ``bias`` is among them.
        chip: its number.
        content: ``programmed`` or ``effective``: what the weights are.
    """

    network: Network
    weights: tuple[Tensor, ...]
    neurons: tuple[Mapping[str, Tensor], ...]
    chip: int = 0
    content: str = "programmed"


def write(path: Path, stored: Stored) -> None:
    """Write one chip as a NIR file.

    Raises:
        UnsupportedError: NIR has no such neuron.
    """
    network = stored.network
    nodes: dict[str, nir.NIRNode] = {"input": nir.Input({"input": np.array([network.inputs])})}
    edges: list[tuple[str, str]] = []
    for index, layer in enumerate(network.layers, start=1):
        nodes[f"layer_{index}"] = _neurons(network, layer, stored.neurons[index - 1])
    for index, (connection, weight) in enumerate(zip(network.connections, stored.weights, strict=True)):
        source = "input" if connection.pre == 0 else f"layer_{connection.pre}"
        if connection.delay_steps > 1:
            late = np.full(network.sizes[connection.pre], 1e-3 * network.dt_ms * connection.delay_steps)
            nodes[f"delay_{index}"] = nir.Delay(late)
            edges.append((source, f"delay_{index}"))
            source = f"delay_{index}"
        nodes[f"connection_{index}"] = nir.Linear(
            _array(weight.t()), metadata={"delay_steps": connection.delay_steps}
        )
        edges += [(source, f"connection_{index}"), (f"connection_{index}", f"layer_{connection.post}")]
    nodes["output"] = nir.Output({"output": np.array([network.outputs])})
    edges.append((f"layer_{network.depth}", "output"))
    graph = nir.NIRGraph(nodes, edges, metadata={"spiketrain": _clock(stored)}, type_check=False)
    nir.write(path, graph)


def _clock(stored: Stored) -> dict[str, Any]:
    network = stored.network
    return {
        "version": VERSION,
        "dt_ms": network.dt_ms,
        "max_rate_hz": network.max_rate_hz,
        "readout_tau_ms": network.readout_tau_ms,
        "chip": stored.chip,
        "weights": stored.content,
    }


def _neurons(network: Network, layer: Layer, values: Mapping[str, Tensor]) -> nir.NIRNode:
    neuron = layer.neuron
    if not isinstance(neuron, LIF):
        raise UnsupportedError("network.neuron.model", neuron.model, "lif", "NIR has no such neuron.")
    tau_m, tau_syn = 1e-3 * values["tau_m_ms"], 1e-3 * values["tau_syn_ms"]
    filtered = tau_syn > 0
    metadata = {
        "parameters": {field: _array(value) for field, value in values.items()},
        "nominal": {p.field: float(getattr(neuron, p.field)) for p in neuron.parameters},
    }
    if bool(filtered.all()):
        jump = network.spike_value * (1.0 - decay(values["tau_syn_ms"], network.dt_ms)) * tau_syn
        return nir.CubaLIF(
            tau_syn=_array(tau_syn),
            tau_mem=_array(tau_m),
            r=np.ones(layer.size),
            v_leak=_array(values["bias"]),
            v_threshold=_array(values["threshold"]),
            v_reset=_array(values["reset"]),
            w_in=_array(jump),
            metadata=metadata,
        )
    if bool(filtered.any()):
        raise UnsupportedError(
            "neuron.tau_syn_ms", 0, "all neurons of a layer with a synaptic filter, or none"
        )
    return nir.LIF(
        tau=_array(tau_m),
        r=_array(network.spike_value * (1.0 - decay(values["tau_m_ms"], network.dt_ms)) * tau_m),
        v_leak=_array(values["bias"]),
        v_threshold=_array(values["threshold"]),
        v_reset=_array(values["reset"]),
        metadata=metadata,
    )


def _array(tensor: Tensor) -> NDArray[Any]:
    return np.ascontiguousarray(tensor.detach().cpu().double().numpy())


def read(path: Path) -> Stored:
    """Read a file that `write` wrote.

    Raises:
        InputError: it is no NIR file, or not one of ours: another program's graph does not say what step,
            rate scale and initial nominal values belong to it.
    """
    try:
        graph = nir.read(path, type_check=False)
        clock = graph.metadata["spiketrain"]
        return _stored(graph, clock)
    except (OSError, KeyError, AttributeError, TypeError, ValueError, AssertionError) as error:
        if isinstance(error, InputError):
            raise
        allowed = "a NIR file made by spiketrain export"
        raise InputError("network.nir", str(path), allowed, f"{type(error).__name__}: {error}") from None


def _stored(graph: nir.NIRGraph, clock: Mapping[str, Any]) -> Stored:
    if int(clock["version"]) != VERSION:
        raise InputError("network.nir", int(clock["version"]), f"version {VERSION} of the metadata")
    nodes = graph.nodes
    targets = dict(graph.edges)
    sources = {after: before for before, after in graph.edges}
    layers, values = [], []
    for index in range(1, 1 + sum(name.startswith("layer_") for name in nodes)):
        node = nodes[f"layer_{index}"]
        nominal = {name: float(value) for name, value in node.metadata["nominal"].items()}
        layers.append(Layer(len(node.v_threshold), LIF(**nominal)))
        values.append({k: torch.from_numpy(np.array(v)) for k, v in node.metadata["parameters"].items()})
    connections, weights = [], []
    for index in range(sum(name.startswith("connection_") for name in nodes)):
        node = nodes[f"connection_{index}"]
        before = sources[f"connection_{index}"]
        before = sources[before] if before.startswith("delay_") else before
        pre, post = (_number(name) for name in (before, targets[f"connection_{index}"]))
        connections.append(Connection(pre, post, int(node.metadata["delay_steps"])))
        weights.append(torch.from_numpy(np.array(node.weight)).t().contiguous())
    network = Network(
        int(np.ravel(nodes["input"].input_type["input"])[0]),
        tuple(layers),
        tuple(connections),
        float(clock["dt_ms"]),
        float(clock["max_rate_hz"]),
        float(clock["readout_tau_ms"]),
    )
    return Stored(network, tuple(weights), tuple(values), int(clock["chip"]), _text(clock["weights"]))


def _number(name: str) -> int:
    return 0 if name == "input" else int(name.removeprefix("layer_"))


def _text(value: object) -> str:
    return value.decode() if isinstance(value, bytes) else str(value)
