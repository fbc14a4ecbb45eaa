r"""NIR graphs of other programs: chains of linear maps and integrate-and-fire neurons, as our networks.

To NIR's programs (snnTorch, Norse, Lava and others, and the comparison in the paper) a spike is a current
of 1 during its step. Of a graph with step dt, in which one spike per step is the rate
:math:`\rho = 1/(r_{max}\, dt)`,

.. math:: w = W^T\, w_{in}\, r / \rho, \qquad b = v_{leak} + r\, w_{in}\, b_{affine}

with :math:`w_{in} = 1` for ``LIF``. The dynamics are those of NIR's equations, solved by exponential
Euler; programs that solve them by Euler (snnTorch: :math:`\beta = 1 - dt/\tau`) differ by terms in
:math:`(dt/\tau)^2`. There is no refractory time in NIR.

Source: Pedersen et al. 2024, doi:10.1038/s41467-024-52259-9.
"""

from __future__ import annotations

import graphlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, final

import nir
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from rate_bridge import ranges
from rate_bridge.errors import InputError, UnsupportedError
from rate_bridge.filters import spike_value
from spiking.network import Clock, Connection, Layer, Network
from spiking.neurons import LIF

__all__ = ["KEY", "Stored", "checked", "stored"]

KEY = "network.nir"
"""The key of a config that names the file."""

LINEAR = (nir.Linear, nir.Affine)
NEURONS = (nir.LIF, nir.CubaLIF)
BETWEEN = (nir.Delay, nir.Flatten)
ALLOWED = "a chain of Input, Flatten, Linear or Affine, Delay, LIF or CubaLIF, Output"


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


def stored(graph: nir.NIRGraph, clock: Clock) -> Stored:
    """Return another program's graph as a network; its nominal values are the means over a layer.

    Raises:
        InputError: shapes or values do not fit.
        UnsupportedError: it is no chain of nodes that are known here.
    """
    names = _chain(graph)
    nodes = [graph.nodes[name] for name in names]
    places = [i for i, node in enumerate(nodes) if isinstance(node, NEURONS)]
    layers, values, weights, delays = [], [], [], []
    for first, last in pairwise([0, *places]):
        linear = _linear(names[first + 1 : last], nodes[first + 1 : last])
        neuron = _Neurons(names[last], nodes[last], len(nodes[linear + first + 1].weight))
        weight = neuron.weight(nodes[linear + first + 1], clock)
        values.append(neuron.values(nodes[linear + first + 1]))
        layers.append(Layer(neuron.size, _nominal(names[last], values[-1])))
        weights.append(weight)
        delays.append(_delay_steps(nodes[first + 1 : last], clock.dt_ms))
    _check_sizes(names, nodes, weights)
    connections = tuple(Connection(i, i + 1, delay) for i, delay in enumerate(delays))
    network = Network(
        len(weights[0]),
        tuple(layers),
        connections,
        clock.dt_ms,
        clock.max_rate_hz,
        clock.readout_tau_ms,
    )
    return Stored(network, tuple(weights), tuple(values))


def _chain(graph: nir.NIRGraph) -> list[str]:
    """Return the names of the nodes from the input to the output."""
    known = (nir.Input, nir.Output, *LINEAR, *NEURONS, *BETWEEN)
    for name, node in graph.nodes.items():
        if not isinstance(node, known):
            raise UnsupportedError(KEY, f"the node {name!r}, {type(node).__name__}", ALLOWED)
    before: dict[str, list[str]] = {name: [] for name in graph.nodes}
    for source, target in graph.edges:
        before[target].append(source)
    try:
        names = list(graphlib.TopologicalSorter(before).static_order())
    except graphlib.CycleError as error:
        loop = " -> ".join(reversed(error.args[1]))
        raise UnsupportedError(KEY, f"a recurrent graph, {loop}", ALLOWED) from None
    edges = {(str(a), str(b)) for a, b in graph.edges}
    if edges != set(pairwise(names)) or len(graph.edges) != len(edges):
        odd = next((n for n in names if len(before[n]) > 1), names[-1])
        raise UnsupportedError(KEY, f"a graph that branches, at {odd!r}", ALLOWED)
    ends = (type(graph.nodes[names[0]]), type(graph.nodes[names[-1]]))
    if ends != (nir.Input, nir.Output) or not isinstance(graph.nodes[names[-2]], NEURONS):
        given = " -> ".join(names[-3:])
        raise UnsupportedError(KEY, f"a graph that ends in {given}", f"{ALLOWED}; neurons before the Output")
    return names


def _linear(names: Sequence[str], nodes: Sequence[nir.NIRNode]) -> int:
    """Return the place of the one linear map between two layers of neurons."""
    places = [i for i, node in enumerate(nodes) if isinstance(node, LINEAR)]
    if len(places) != 1:
        given = f"{len(places)} linear maps between two layers, in {', '.join(names) or 'nothing'}"
        raise UnsupportedError(KEY, given, "one Linear or Affine before every layer of neurons")
    if np.ndim(nodes[places[0]].weight) != 2:
        shape = np.shape(nodes[places[0]].weight)
        raise InputError(KEY, f"weights {shape} in {names[places[0]]!r}", "a matrix (n_post, n_pre)")
    return places[0]


@final
class _Neurons:
    """A layer's node, its values written out for every neuron."""

    def __init__(self, name: str, node: nir.NIRNode, size: int) -> None:
        self.name, self.node, self.size = name, node, size

    def _value(self, field: str) -> NDArray[Any]:
        value = np.asarray(getattr(self.node, field), dtype=np.float64).ravel()
        if value.size not in (1, self.size):
            given = f"{value.size} values of {field} in {self.name!r}"
            raise InputError(KEY, given, f"{self.size}, one per neuron, or one for all")
        return np.broadcast_to(value, (self.size,))

    def _gain(self) -> NDArray[Any]:
        """Return the current that an input of 1 comes to."""
        return self._value("r") * (self._value("w_in") if isinstance(self.node, nir.CubaLIF) else 1.0)

    def weight(self, linear: nir.NIRNode, clock: Clock) -> Tensor:
        scale = self._gain() / spike_value(clock.max_rate_hz, clock.dt_ms)
        return torch.from_numpy(np.ascontiguousarray(np.asarray(linear.weight, np.float64).T * scale))

    def values(self, linear: nir.NIRNode) -> dict[str, Tensor]:
        constant = np.asarray(getattr(linear, "bias", 0.0), np.float64).ravel()
        filtered = isinstance(self.node, nir.CubaLIF)
        fields = {
            "threshold": self._value("v_threshold"),
            "reset": self._value("v_reset"),
            "tau_m_ms": 1e3 * self._value("tau_mem" if filtered else "tau"),
            "tau_syn_ms": 1e3 * self._value("tau_syn") if filtered else np.zeros(self.size),
            "refractory_ms": np.zeros(self.size),
            "bias": self._value("v_leak") + self._gain() * constant,
        }
        return {field: torch.from_numpy(np.array(value)) for field, value in fields.items()}


def _nominal(name: str, values: Mapping[str, Tensor]) -> LIF:
    _check_values(repr(name), values)
    mean = {f: float(v[0] if bool((v == v[0]).all()) else v.mean()) for f, v in values.items()}
    return LIF(**mean)


def _delay_steps(nodes: Sequence[nir.NIRNode], dt_ms: float) -> int:
    """Return the delay of a connection; NIR's nodes without one take the step that a spike takes here."""
    total = 0.0
    for node in nodes:
        if isinstance(node, nir.Delay):
            delays = np.ravel(1e3 * np.asarray(node.delay, np.float64))
            if delays.size == 0 or (delays != delays[0]).any():
                raise UnsupportedError(KEY, "a Delay that differs from neuron to neuron", "one for a layer")
            total += float(delays[0])
    steps = round(total / dt_ms)
    if abs(steps * dt_ms - total) > 1e-6 * dt_ms:
        raise InputError(KEY, f"a Delay of {total:g} ms", f"a multiple of simulator.dt_ms ({dt_ms:g} ms)")
    return max(1, steps)


def _check_sizes(names: Sequence[str], nodes: Sequence[nir.NIRNode], weights: Sequence[Tensor]) -> None:
    shape = np.ravel(nodes[0].input_type["input"])
    sizes = [int(np.prod(shape.astype(np.int64))), *(weight.shape[1] for weight in weights)]
    for index, weight in enumerate(weights):
        if weight.shape[0] != sizes[index]:
            given = f"weights for {weight.shape[0]} inputs after {sizes[index]} of them"
            raise InputError(KEY, given, f"a graph whose sizes fit, in {' -> '.join(names)}")


def checked(chip: Stored) -> Stored:
    """Return `chip`, whose every value was found to be possible.

    Raises:
        InputError: naming the layer, the parameter and the neuron.
    """
    sizes = chip.network.sizes
    for connection, weight in zip(chip.network.connections, chip.weights, strict=True):
        wanted = (sizes[connection.pre], sizes[connection.post])
        if tuple(weight.shape) != wanted or not bool(weight.isfinite().all()):
            given = f"weights {tuple(weight.shape)} from layer {connection.pre} to {connection.post}"
            raise InputError(KEY, given, f"finite weights, {wanted}")
    for index, (layer, values) in enumerate(zip(chip.network.layers, chip.neurons, strict=True), start=1):
        fields = {p.field for p in layer.neuron.parameters}
        shapes = {field: tuple(value.shape) for field, value in values.items()}
        if shapes != dict.fromkeys(fields, (layer.size,)):
            raise InputError(
                KEY, f"parameters {shapes} of layer {index}", f"{sorted(fields)}, one per neuron"
            )
        _check_values(f"layer {index}", values)
    return chip


def _check_values(place: str, values: Mapping[str, Tensor]) -> None:
    for field, limits in ranges.of(LIF).items():
        wrong = torch.tensor([not limits.holds(value) for value in values[field].tolist()])
        _refuse_any(place, field, values[field], wrong, limits.allowed)
    high = values["reset"] >= values["threshold"]
    _refuse_any(place, "reset", values["reset"], high, "a number below the neuron's threshold")


def _refuse_any(place: str, field: str, value: Tensor, wrong: Tensor, allowed: str) -> None:
    if bool(wrong.any()):
        neuron = int(wrong.nonzero()[0, 0])
        raise InputError(KEY, f"{field} {float(value[neuron]):g} of neuron {neuron} of {place}", allowed)
