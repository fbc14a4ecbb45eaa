"""NIR graphs of other programs as networks: the linear nodes composed, the neurons in a row.

A network here is a row of layers, with the input at its begin, and any connections beside those from each to
the next. Populations of a graph that work side by side stand in that row one after the other, with nothing
between them (the kind of connection ``none``).

Source: Pedersen et al. 2024, doi:10.1038/s41467-024-52259-9.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import nir
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from rate_bridge.filters import spike_value
from root.errors import InputError, UnsupportedError
from spiking.connections import Dense, Pattern, Unconnected
from spiking.network import Clock, Connection, Layer, Network
from spiking.nir.flat import Flat, flat
from spiking.nir.foreign import Foreign, Reading, readout
from spiking.nir.kernels import Kernel
from spiking.nir.maps import NEURONS, Map, Maps, Term, check_identity, dense
from spiking.nir.stored import KEY, Stored

__all__ = ["stored"]

READOUT = "(read-out)"
"""The name of neurons that are added where a graph ends without any."""

IMAGE = 3
"""Axes of a population that is an image: channels, height, width."""

MOST_LAYERS = 100
MOST_TRIES = 20_000

DIALECT = (
    "whether a reset subtracts the threshold: NIR does not say it, and sinabs, Rockpool and snnTorch's "
    "default do (network.reset: subtract, or subtract_late for snnTorch)"
)


def stored(graph: nir.NIRGraph, clock: Clock, reading: Reading) -> Stored:
    """Return another program's graph as a network; its nominal values are the means over a layer.

    Raises:
        InputError: shapes or values do not fit.
        UnsupportedError: no network here can be it.
    """
    one = flat(graph)
    maps = Maps(one)
    into, last = _into(one, maps)
    names = _row(one, into, last)
    axes = {name: maps.shape_of(name) if name in one.nodes else into[name].shape for name in names}
    layers, values, gains, notes = _layers(one, into, axes, clock, reading)
    emits = {one.entry: True} | {n: layer.neuron.emits_spikes for n, layer in zip(names, layers, strict=True)}
    places = {one.entry: 0} | {name: place for place, name in enumerate(names, start=1)}
    found = []
    for post in names:
        for (pre, late), term in into[post].terms.items():
            value = spike_value(clock.max_rate_hz, clock.dt_ms) if emits[pre] else 1.0
            pattern, weight = _joined(post, term, gains[post] / value)
            steps = _steps(late, clock.dt_ms)
            found.append((Connection(places[pre], places[post], steps, pattern), weight))
    found = _chain_first(found, len(names))
    begin = maps.shape_of(one.entry)
    network = Network(
        math.prod(begin),
        tuple(layers),
        tuple(connection for connection, _ in found),
        clock.dt_ms,
        clock.max_rate_hz,
        clock.readout_tau_ms,
        input_shape=begin if len(begin) == IMAGE else (),
    )
    said = dict.fromkeys([*one.notes, *maps.notes, *_left_out(one, names), *notes])
    return Stored(network, tuple(weight for _, weight in found), tuple(values), notes=tuple(said))


def _into(one: Flat, maps: Maps) -> tuple[dict[str, Map], str]:
    """Return what reaches every population that leads to the output, and the last of them."""
    end = maps.into(one.exit)
    (source, late), matrix = next(iter(end.terms.items()))
    plain = len(end.terms) == 1 and matrix is None and late == 0 and not end.bias.any()
    last = source if plain and source != one.entry else READOUT
    into = {} if last != READOUT else {READOUT: end}
    front = [last] if last != READOUT else [pre for pre, _ in end.terms]
    while front:
        name = front.pop()
        if name not in into and name != one.entry:
            into[name] = maps.into(name)
            front += [pre for pre, _ in into[name].terms]
    return into, last


def _row(one: Flat, into: Mapping[str, Map], last: str) -> list[str]:
    """Return the populations in an order of computation: each leads to the next, if there is such an order.

    Otherwise spikes go forward in it but for those that go round a loop.
    """
    after: dict[str, list[str]] = {name: [] for name in (one.entry, *into)}
    for post, reached in into.items():
        for pre in dict.fromkeys(pre for pre, _ in reached.terms):
            after[pre].append(post)
    first = after[one.entry]
    if not first:
        raise UnsupportedError(KEY, "an Input that leads to no neurons", "a population that takes the input")
    if len(into) > MOST_LAYERS:
        raise UnsupportedError(KEY, f"{len(into)} populations", f"{MOST_LAYERS} at most")
    rows = (_path(after, name, last, len(into)) for name in first)
    return next(filter(None, rows), None) or [
        *(name for name in _forward(after, one.entry, into) if name != last),
        last,
    ]


def _forward(after: Mapping[str, Sequence[str]], entry: str, into: Mapping[str, Map]) -> list[str]:
    """Return populations in the order in which what the input began reaches them, loops left aside."""
    done: list[str] = []
    seen: set[str] = set()
    for begin in (entry, *into):  # those that no input reaches have a bias, or a loop, of their own
        stack = [] if begin in seen else [(begin, iter(after[begin]))]
        seen.add(begin)
        while stack:
            name, rest = stack[-1]
            following = next((n for n in rest if n not in seen), None)
            if following is None:
                done.append(name)
                stack.pop()
            else:
                seen.add(following)
                stack.append((following, iter(after[following])))
    return [name for name in reversed(done) if name != entry]


def _path(after: Mapping[str, Sequence[str]], first: str, last: str, count: int) -> list[str] | None:
    """Return a path from one population to another through all of them, or None."""
    path, tries = [first], [iter(after[first])]
    for _ in range(MOST_TRIES):
        if len(path) == count and path[-1] == last:
            return path
        following = next((n for n in tries[-1] if n not in path), None) if tries else None
        if following is not None:
            path.append(following)
            tries.append(iter(after[following]))
        elif tries:
            path.pop()
            tries.pop()
    return None


def _layers(
    one: Flat,
    into: Mapping[str, Map],
    axes: Mapping[str, tuple[int, ...]],
    clock: Clock,
    reading: Reading,
) -> tuple[list[Layer], list[dict[str, Tensor]], dict[str, NDArray[Any]], list[str]]:
    """Return the layers, every neuron's values, the gain of a layer's input, and what is to be said."""
    layers, values, notes = [], [], []
    gains: dict[str, NDArray[Any]] = {}
    for name, shape in axes.items():
        bias = into[name].bias
        if name == READOUT:
            neuron, own = readout(len(bias), clock.dt_ms, bias)
            gains[name] = np.ones(len(bias))
            notes.append("it ends without neurons: the last layer here emits its current as it is")
        else:
            found = Foreign(name, one.nodes[name], bias, clock.dt_ms, reading)
            neuron, own, gains[name] = found.neuron, found.values, found.gain
            notes += found.notes
        layers.append(Layer(len(bias), neuron, shape if len(shape) == IMAGE else ()))
        values.append(own)
    spiking = any(isinstance(one.nodes.get(name), nir.LIF | nir.CubaLIF | nir.IF) for name in axes)
    return layers, values, gains, [*notes, *([DIALECT] if spiking and reading.reset == "value" else [])]


def _left_out(one: Flat, names: Sequence[str]) -> list[str]:
    left = [name for name, node in one.nodes.items() if isinstance(node, NEURONS) and name not in names]
    return [f"{name!r} is left out: it does not lead to the Output" for name in left]


def _joined(name: str, term: Term, gain: NDArray[Any]) -> tuple[Pattern, Tensor]:
    """Return a connection's kind and what is programmed: a convolution or a pooling, or a matrix."""
    kept = term.joined(gain) if isinstance(term, Kernel) else None
    if kept is not None:
        return kept
    if term is None:
        check_identity(name, len(gain))
    matrix = np.diag(gain) if term is None else dense(term, len(gain), name).T * gain
    return Dense(), torch.from_numpy(np.ascontiguousarray(matrix))


def _chain_first(found: list[tuple[Connection, Tensor]], depth: int) -> list[tuple[Connection, Tensor]]:
    """Return the connections from layer to layer first, as a network has them, or nothing in their place."""
    first = []
    for place in range(depth):
        ends = (place, place + 1)
        nothing = (Connection(*ends, pattern=Unconnected()), torch.zeros(0, dtype=torch.float64))
        first.append(next((one for one in found if (one[0].pre, one[0].post) == ends), nothing))
    return [*first, *(one for one in found if not any(one is other for other in first))]


def _steps(late_s: float, dt_ms: float) -> int:
    """Return the delay of a connection; without a Delay it takes the step that a spike takes here."""
    late = 1e3 * late_s
    if not np.isfinite(late) or late < 0 or abs(round(late / dt_ms) * dt_ms - late) > 1e-6 * dt_ms:
        raise InputError(KEY, f"a Delay of {late:g} ms", f"a multiple of simulator.dt_ms ({dt_ms:g} ms)")
    return max(1, round(late / dt_ms))
