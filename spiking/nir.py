r"""Networks as NIR graphs, the interchange format of neuromorphic software, and back, bit for bit.

A layer becomes a ``CubaLIF`` (a ``LIF`` where there is no synaptic filter) with one value per neuron, a
connection a ``Linear`` that holds the weights as they are here, with a ``Delay`` before it where it takes
more than a step. To NIR's programs a spike is a current of 1 during its step, to us one spike per step is
the rate :math:`1 / (r_{max}\, dt)`; that factor stands in ``w_in`` (for LIF in ``r``), and exponential
Euler is exact for such a current:

.. math:: I \leftarrow I + (1 - e^{-dt/\tau_{syn}})\, w_{in}\, w, \qquad w_{in} = \frac{1}{r_{max}\, dt}

NIR has no field for the step, the refractory time, the nominal values, the chip or the exact
milliseconds (its own times are seconds): they stand in the metadata, and `NIRFile` takes them from there.
Graphs of other programs have none of this; `spiking.nir_graphs` reads them.

Source: Pedersen et al. 2024, doi:10.1038/s41467-024-52259-9.
"""

from __future__ import annotations

import hashlib
import io
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, final

import h5py
import nir
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from rate_bridge.errors import InputError, UnsupportedError
from rate_bridge.files import read_regular
from spiking import hdf5, nir_graphs
from spiking.network import Clock, Connection, Layer, Network
from spiking.neurons import LIF
from spiking.nir_graphs import KEY, Stored

__all__ = ["NIRFile", "Stored", "encode", "read", "write"]

VERSION = 1

MAX_BYTES = 1_000_000_000

BROKEN = (
    OSError,
    LookupError,
    AttributeError,
    TypeError,
    ValueError,
    ArithmeticError,
    AssertionError,
    MemoryError,
    RuntimeError,
    zlib.error,
)
"""What a damaged file makes HDF5, NIR and this module say."""


def write(path: Path, stored: Stored) -> None:
    """Write one chip as a NIR file; see `encode`."""
    path.write_bytes(encode(stored))


def encode(stored: Stored) -> bytes:
    """Return the content of a NIR file that holds one chip.

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
    content = io.BytesIO()
    nir.write(content, graph)
    return content.getvalue()


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
        "nominal": neuron.nominal,
    }
    if bool(filtered.all()):
        return nir.CubaLIF(
            tau_syn=_array(tau_syn),
            tau_mem=_array(tau_m),
            r=np.ones(layer.size),
            v_leak=_array(values["bias"]),
            v_threshold=_array(values["threshold"]),
            v_reset=_array(values["reset"]),
            w_in=np.full(layer.size, network.spike_value),
            metadata=metadata,
        )
    if bool(filtered.any()):
        raise UnsupportedError(
            "neuron.tau_syn_ms", 0, "all neurons of a layer with a synaptic filter, or none"
        )
    return nir.LIF(
        tau=_array(tau_m),
        r=np.full(layer.size, network.spike_value),
        v_leak=_array(values["bias"]),
        v_threshold=_array(values["threshold"]),
        v_reset=_array(values["reset"]),
        metadata=metadata,
    )


def _array(tensor: Tensor) -> NDArray[Any]:
    return np.ascontiguousarray(tensor.detach().cpu().double().numpy())


@final
class NIRFile:
    """A NIR file, read once.

    Args:
        path: where it is.

    Raises:
        InputError: there is no such file, or it is no NIR graph.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.content = read_regular(path, KEY, "NIR file", MAX_BYTES)
        try:
            with h5py.File(io.BytesIO(self.content), "r") as file:
                hdf5.check(file, self.content)
            self._graph = nir.read(io.BytesIO(self.content), type_check=False)
        except hdf5.RefusedError as error:
            allowed = "a NIR file that holds all of its values itself"
            raise InputError(KEY, str(path), allowed, f"{error}.") from None
        except BROKEN as error:
            raise self._wrong(error) from None
        if not isinstance(self._graph, nir.NIRGraph):
            raise InputError(KEY, str(path), "a NIR graph", f"It is a single {type(self._graph).__name__}.")

    @property
    def sha256(self) -> str:
        """What tells this content from any other."""
        return hashlib.sha256(self.content).hexdigest()

    @property
    def clock(self) -> Clock | None:
        """The step and the scale of rates, where `write` wrote the file; other programs' have none."""
        stored = self._graph.metadata.get("spiketrain")
        if stored is None:
            return None
        try:
            return Clock(*(float(stored[field]) for field in ("dt_ms", "max_rate_hz", "readout_tau_ms")))
        except (KeyError, TypeError, ValueError) as error:
            raise self._wrong(error) from None

    def chip(self, clock: Clock | None = None) -> Stored:
        """Return what the file holds.

        Args:
            clock: the step and the scale of rates for another program's graph, which has none.

        Raises:
            InputError: something in the file is not what it should be, or another program's graph
                comes without a clock.
            UnsupportedError: it has nodes, or loops, that a network here cannot have.
        """
        try:
            if self.clock is not None:
                return nir_graphs.checked(_stored(self._graph, self._graph.metadata["spiketrain"]))
            if clock is not None:
                return nir_graphs.checked(nir_graphs.stored(self._graph, clock))
        except BROKEN as error:
            raise (error if isinstance(error, InputError) else self._wrong(error)) from None
        fix = "Another program's graph does not say its time step and its scale of rates."
        raise InputError(KEY, str(self.path), "a NIR file made by spiketrain export", fix)

    def _wrong(self, error: Exception) -> InputError:
        return InputError(KEY, str(self.path), "a whole NIR file", f"{type(error).__name__}: {error}")


def read(path: Path, clock: Clock | None = None) -> Stored:
    """Read a file that `write` wrote, or with a clock that of another program; see `NIRFile`."""
    return NIRFile(path).chip(clock)


def _stored(graph: nir.NIRGraph, clock: Mapping[str, Any]) -> Stored:
    if int(clock["version"]) != VERSION:
        raise InputError(KEY, int(clock["version"]), f"version {VERSION} of the metadata")
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
