"""NIR files: opened without trust, and read back as they were written."""

from __future__ import annotations

import hashlib
import io
import zlib
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, final

import h5py
import nir
import numpy as np
import torch

from root.errors import InputError
from root.files import read_regular
from root.plugins import load
from spiking import hdf5
from spiking.network import Clock, Connection, Layer, Network
from spiking.neurons.base import Neuron
from spiking.nir import graphs, netx
from spiking.nir.foreign import Reading
from spiking.nir.odd import unreadable
from spiking.nir.stored import KEY, Stored, checked
from spiking.nir.writing import VERSION

__all__ = ["NIRFile", "read"]

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
                self._layers = netx.layers(file)
                given = {} if self._layers is not None else _content(file)
        except hdf5.RefusedError as error:
            allowed = "a NIR file that holds all of its values itself"
            raise InputError(KEY, str(path), allowed, f"{error}.") from None
        except BROKEN as error:
            raise self._wrong(error) from None
        self._graph = (
            nir.NIRGraph({}, [], type_check=False) if self._layers is not None else self._read(given)
        )

    def _read(self, given: dict[str, Any]) -> nir.NIRGraph:
        """Return the graph in the content of a file."""
        if str(given.get("type")) != "NIRGraph":
            fix = f"It is a single {given.get('type', 'something else')}."
            raise InputError(KEY, str(self.path), "a NIR graph", fix)
        odd = unreadable(given)
        if odd:
            allowed = f"a graph that nir {nir.version} can read"
            raise InputError(KEY, str(self.path), allowed, f"{odd}.")
        try:
            with np.errstate(all="ignore"):  # shapes that cannot be are found below
                graph: nir.NIRGraph = nir.dict2NIRNode(_unchecked(given))
        except BROKEN as error:
            allowed = f"a graph that nir {nir.version} can read"
            raise InputError(KEY, str(self.path), allowed, f"{type(error).__name__}: {error}.") from None
        return graph

    @property
    def sha256(self) -> str:
        """What tells this content from any other."""
        return hashlib.sha256(self.content).hexdigest()

    @property
    def kind(self) -> str:
        """What the file is, in words."""
        if self._layers is not None:
            return "a network of lava-dl"
        return "a chip of spiketrain" if self.clock is not None else "a NIR graph of another program"

    @property
    def nodes(self) -> dict[str, int]:
        """How many nodes of which type it holds, those of inner graphs too."""
        if self._layers is not None:
            return dict(Counter(layer.kind for layer in self._layers))
        return dict(Counter(_types(self._graph)))

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

    @property
    def likely_dt_ms(self) -> float:
        """The step that another program's file is probably meant for, in ms.

        snnTorch, SpikingJelly and Rockpool write gains that cancel it; nothing else in a file tells.
        """
        found = [node for node in self._graph.nodes.values() if isinstance(node, nir.LIF | nir.CubaLIF)]
        times = [np.ravel(node.tau if isinstance(node, nir.LIF) else node.tau_mem) for node in found]
        gains = [np.ravel(node.r) for node in found]
        fits = [t.size == g.size and bool((g > 1.001).all()) for t, g in zip(times, gains, strict=True)]
        if not found or not all(fits):
            return 1.0
        steps = 1e3 * np.concatenate([t / g for t, g in zip(times, gains, strict=True)])
        near = float(f"{float(np.median(steps)):.1g}")  # Rockpool's gains have a factor exp(-dt / tau)
        return near if 1e-3 <= near <= 1e3 and np.allclose(steps, near, rtol=0.1) else 1.0

    def chip(self, clock: Clock | None = None, reading: Reading | None = None) -> Stored:
        """Return what the file holds.

        Args:
            clock: the step and the scale of rates for another program's graph, which has none.
            reading: how another program's graph is meant; by default as NIR's equations have it.

        Raises:
            InputError: something in the file is not what it should be, another program's graph
                comes without a clock, or a reading would have no effect.
            UnsupportedError: it has nodes, or branches, that a network here cannot have.
        """
        own = self.clock is not None
        if (own or self._layers is not None) and reading is not None and reading != Reading():
            changed = "solver" if reading.solver != "exponential" else "reset"
            allowed = f"{getattr(Reading(), changed)} (the default): {self.kind} says how it is meant"
            raise InputError(f"network.{changed}", getattr(reading, changed), allowed)
        try:
            if own:
                return checked(_stored(self._graph, self._graph.metadata["spiketrain"]))
            if clock is not None and self._layers is not None:
                return checked(netx.stored(self._layers, clock))
            if clock is not None:
                return checked(graphs.stored(self._graph, clock, reading or Reading()))
        except BROKEN as error:
            raise (error if isinstance(error, InputError) else self._wrong(error)) from None
        fix = "Another program's graph does not say its time step and its scale of rates."
        raise InputError(KEY, str(self.path), "a NIR file made by spiketrain export", fix)

    def _wrong(self, error: Exception) -> InputError:
        return InputError(KEY, str(self.path), "a whole NIR file", f"{type(error).__name__}: {error}")


def read(path: Path, clock: Clock | None = None, reading: Reading | None = None) -> Stored:
    """Read a file that `write` wrote, or with a clock that of another program; see `NIRFile`."""
    return NIRFile(path).chip(clock, reading)


def _content(file: h5py.File) -> dict[str, Any]:
    """Return the groups and values below ``node``, texts as texts."""

    def below(group: h5py.Group) -> dict[str, Any]:
        return {
            name: below(item) if isinstance(item, h5py.Group) else _plain(item[()])
            for name, item in group.items()
        }

    return below(file["node"])


def _unchecked(given: dict[str, Any]) -> dict[str, Any]:
    """Return the content of a graph with a word to nir that it, and those in it, are taken as they are."""
    nodes = {
        name: _unchecked(node) if node.get("type") == "NIRGraph" else node
        for name, node in given["nodes"].items()
    }
    return {**given, "nodes": nodes, "type_check": False}


def _plain(value: Any) -> Any:
    return value.decode() if isinstance(value, bytes) else value


def _types(graph: nir.NIRGraph) -> Iterator[str]:
    for node in graph.nodes.values():
        if isinstance(node, nir.NIRGraph):
            yield from _types(node)
        elif not isinstance(node, nir.Input | nir.Output):
            yield type(node).__name__


def _stored(graph: nir.NIRGraph, clock: Mapping[str, Any]) -> Stored:
    if not 1 <= int(clock["version"]) <= VERSION:
        raise InputError(KEY, int(clock["version"]), f"version 1 to {VERSION} of the metadata")
    nodes = graph.nodes
    targets = dict(graph.edges)
    sources = {after: before for before, after in graph.edges}
    layers, values = [], []
    for index in range(1, 1 + sum(name.startswith("layer_") for name in nodes)):
        node = nodes[f"layer_{index}"]
        nominal = {name: float(value) for name, value in node.metadata["nominal"].items()}
        values.append({k: torch.from_numpy(np.array(v)) for k, v in node.metadata["parameters"].items()})
        model: type[Neuron] = load("neurons", _text(node.metadata.get("model", "lif")), KEY)
        layers.append(Layer(len(values[-1]["bias"]), model(**nominal)))
    connections, weights = [], []
    for index in range(sum(name.startswith("connection_") for name in nodes)):
        node = nodes[f"connection_{index}"]
        before = sources[f"connection_{index}"]
        before = sources[before] if before.startswith("delay_") else before
        pre, post = (_number(name) for name in (before, targets[f"connection_{index}"]))
        connections.append(Connection(pre, post, int(node.metadata["delay_steps"])))
        weight = np.array(node.metadata.get("weight", node.weight))
        weights.append(torch.from_numpy(weight).t().contiguous())
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
