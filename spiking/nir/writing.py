"""From a chip to the content of a NIR file."""

from __future__ import annotations

import io
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import nir
import numpy as np
import torch
from torch import Tensor

from spiking.network import Network
from spiking.nir.forms import PORTABLE, Form, Part, array, node_of
from spiking.nir.stored import Stored

__all__ = ["VERSION", "encode", "write"]

VERSION = 2
"""Of the metadata; 1 had the weights of the nodes themselves."""


def write(path: Path, stored: Stored, form: Form = PORTABLE) -> None:
    """Write one chip as a NIR file; see `encode`."""
    path.write_bytes(encode(stored, form))


def encode(stored: Stored, form: Form = PORTABLE) -> bytes:
    """Return the content of a NIR file that holds one chip.

    Args:
        stored: the chip.
        form: how its numbers are written; the exact ones stand in the metadata in any case.

    Raises:
        UnsupportedError: NIR has no such neuron.
    """
    network = stored.network
    parts = [
        node_of(network, layer, values, form)
        for layer, values in zip(network.layers, stored.neurons, strict=True)
    ]
    nodes: dict[str, nir.NIRNode] = {"input": nir.Input({"input": np.array([network.inputs])})}
    edges: list[tuple[str, str]] = []
    given: set[int] = set()
    for index, (connection, weight) in enumerate(zip(network.connections, stored.weights, strict=True)):
        source = "input" if connection.pre == 0 else f"layer_{connection.pre}"
        if connection.delay_steps > 1:
            late = np.full(network.sizes[connection.pre], 1e-3 * network.dt_ms * connection.delay_steps)
            nodes[f"delay_{index}"] = nir.Delay(late)
            edges.append((source, f"delay_{index}"))
            source = f"delay_{index}"
        nodes[f"connection_{index}"] = node = _linear(
            parts[connection.post - 1],
            weight,
            network.emission_value(connection.pre),
            network.spike_value,
            first=connection.post not in given,
        )
        node.metadata = {"delay_steps": connection.delay_steps, "weight": array(weight.t())}
        given.add(connection.post)
        edges += [(source, f"connection_{index}"), (f"connection_{index}", f"layer_{connection.post}")]
    for index, (layer, values) in enumerate(zip(network.layers, stored.neurons, strict=True)):
        node = parts[index].node
        node.metadata = _exact(layer.neuron.model, layer.neuron.nominal, values)
        nodes[f"layer_{index + 1}"] = node
    nodes["output"] = nir.Output({"output": np.array([network.outputs])})
    edges.append((f"layer_{network.depth}", "output"))
    graph = nir.NIRGraph(nodes, edges, metadata={"spiketrain": _clock(stored)}, type_check=False)
    content = io.BytesIO()
    nir.write(content, graph)
    return content.getvalue()


def _linear(part: Part, weight: Tensor, value: float, spike: float, *, first: bool) -> nir.NIRNode:
    """Return the map onto a layer; the first one that reaches it brings the bias."""
    if part.bias is None:  # the value of a spike stands in the gain
        return nir.Linear(array((weight * (value / spike)).t()))
    return nir.Affine(
        array((weight * (value * part.scale)).t()), array(part.bias if first else torch.zeros_like(part.bias))
    )


def _exact(model: str, nominal: Mapping[str, float], values: Mapping[str, Tensor]) -> dict[str, Any]:
    parameters = {field: array(value) for field, value in values.items()}
    return {"model": model, "parameters": parameters, "nominal": dict(nominal)}


def _clock(stored: Stored) -> dict[str, Any]:
    network: Network = stored.network
    return {
        "version": VERSION,
        "dt_ms": network.dt_ms,
        "max_rate_hz": network.max_rate_hz,
        "readout_tau_ms": network.readout_tau_ms,
        "chip": stored.chip,
        "weights": stored.content,
    }
