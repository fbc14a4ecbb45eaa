"""What every kind of connection must do: three adjoint operations, and synapses that say the same."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, is_dataclass, replace
from functools import cache
from typing import final

import torch
from torch import Tensor

from root.plugins import load
from spiketrain.testing.agreement import LAST_DIGIT, close
from spiketrain.testing.cases import Case, require, skip
from spiketrain.testing.neurons import agreeing, in_time
from spiketrain.testing.problems import pair
from spiketrain.testing.simulators import exact
from spiking.connections import Pattern, Synapses
from spiking.connections.base import Axes
from spiking.network import Connection, Layer, Network
from spiking.neurons import LIF

__all__ = ["connection_cases"]

CHIPS, BATCH = 3, 4
MOST = 400
"""Neurons on either side up to which whole networks are run: machines without a wiring take matrices."""


@final
@dataclass(frozen=True)
class _Drawn:
    """Synapses with random numbers: what is programmed, before them, and behind them."""

    synapses: Synapses
    weights: Tensor
    x: Tensor
    y: Tensor


def connection_cases(
    pattern: Pattern, pre: Axes, post: Axes, *, simulators: Sequence[str] | None = None
) -> list[Case]:
    """Return what every kind of connection must do, one check after the other.

    Args:
        pattern: the connection.
        pre: axes of a population before it, ``(n,)``, ``(height, width)`` or ``(height, width, channels)``.
        post: axes of a population behind it.
        simulators: names of those that must run it alike; by default all that compute in time.
    """

    @cache
    def drawn() -> _Drawn:
        synapses = pattern.between(pre, post)
        g = torch.Generator().manual_seed(1)

        def normal(*shape: int) -> Tensor:
            return torch.randn(*shape, generator=g, dtype=torch.float64)

        return _Drawn(
            synapses,
            normal(CHIPS, *synapses.parameters),
            normal(CHIPS, BATCH, synapses.inputs),
            normal(CHIPS, BATCH, synapses.outputs),
        )

    def run(name: str) -> Case:
        return Case(f"{name} runs it as tensors do", lambda: _in_a_network(pattern, pre, post, name))

    return [
        Case("it is a value, and says the size behind it", lambda: _described(pattern, pre, post, drawn())),
        Case("three operations are adjoint", lambda: _adjoint(drawn())),
        Case("the wiring says the same, synapse by synapse", lambda: _wired(drawn())),
        Case("numbers that synapses share are summed", lambda: _shared(drawn())),
        Case("one input for all chips is enough", lambda: _broadcast(drawn())),
        Case("power is how far a step goes", lambda: _power(drawn())),
        Case("initial weights have its shape", lambda: _initial(pattern, drawn())),
        *(run(name) for name in (in_time() if simulators is None else simulators)),
    ]


def _described(pattern: Pattern, pre: Axes, post: Axes, drawn: _Drawn) -> None:
    require(is_dataclass(pattern), "no dataclass")
    require(hash(pattern) == hash(replace(pattern)), "not frozen: @dataclass(frozen=True)")
    own = drawn.synapses
    ends = (math.prod(pre), math.prod(post))
    require((own.inputs, own.outputs) == ends, f"synapses from {own.inputs} to {own.outputs}, not {ends}")
    follows = pattern.reaches(pre)
    if follows is not None:
        require(math.prod(follows) == ends[1], f"it reaches {follows}, and takes {post}")
        require(
            pattern.between(pre, follows).outputs == ends[1], f"it does not take what it reaches, {follows}"
        )


def _adjoint(drawn: _Drawn) -> None:
    own, weights, x, y = drawn.synapses, drawn.weights, drawn.x, drawn.y
    forward = (y * own.apply(weights, x)).sum((1, 2))
    backward = (own.transposed(weights, y) * x).sum((1, 2))
    change = (own.correlate(x, y) * weights).flatten(1).sum(1)
    close(backward, forward, "transposed", LAST_DIGIT, LAST_DIGIT)
    close(change, forward, "correlate", LAST_DIGIT, LAST_DIGIT)


def _wired(drawn: _Drawn) -> None:
    """With no operation of the connection's own."""
    own, weights, x = drawn.synapses, drawn.weights, drawn.x
    pre, post, parameter = own.wiring
    flat = weights.flatten(1)
    wanted = torch.zeros(CHIPS, BATCH, own.outputs, dtype=torch.float64)
    for i, j, k in zip(pre.tolist(), post.tolist(), parameter.tolist(), strict=True):
        wanted[..., j] += x[..., i] * flat[:, k, None]
    close(own.apply(weights, x), wanted, "apply", LAST_DIGIT, LAST_DIGIT)
    matrix = own.matrix(own.physical(weights))
    close(torch.matmul(x, matrix), wanted, "matrix", LAST_DIGIT, LAST_DIGIT)
    order = (pre * own.outputs + post).diff()
    require(bool((order > 0).all()), "synapses that are not sorted, or two between the same neurons")
    most = float(torch.bincount(post).max())
    require(own.fan_in == most, f"a fan-in of {own.fan_in}, where {most} synapses reach a neuron")
    require(own.count == len(pre), f"a count of {own.count}, where there are {len(pre)} synapses")


def _shared(drawn: _Drawn) -> None:
    g = torch.Generator().manual_seed(2)
    changes = torch.randn(CHIPS, *drawn.synapses.shape, generator=g, dtype=torch.float64)
    ours = (drawn.synapses.physical(drawn.weights) * changes).flatten(1).sum(1)
    theirs = (drawn.weights * drawn.synapses.programmed(changes)).flatten(1).sum(1)
    close(theirs, ours, "programmed", LAST_DIGIT, LAST_DIGIT)


def _broadcast(drawn: _Drawn) -> None:
    own, weights, one = drawn.synapses, drawn.weights, drawn.x[:1]
    every = one.expand_as(drawn.x)
    close(own.apply(weights, one), own.apply(weights, every), "apply", LAST_DIGIT, LAST_DIGIT)
    change, wanted = own.correlate(one, drawn.y), own.correlate(every, drawn.y)
    close(change, wanted, "correlate", LAST_DIGIT, LAST_DIGIT)


def _power(drawn: _Drawn) -> None:
    """A step along what was correlated changes all that is behind by that much, for one sample."""
    own, x, y = drawn.synapses, drawn.x[:, :1], drawn.y[:, :1]
    power = own.power(x)
    require(bool((power >= 0).all()), "a negative power")
    if own.dense:  # every neuron has numbers of its own
        moved = own.apply(own.correlate(x, y), x)
        close(moved, power.unsqueeze(2) * y, "power", 1e-10, 1e-10)


def _initial(pattern: Pattern, drawn: _Drawn) -> None:
    g = torch.Generator().manual_seed(3)
    noise = torch.randn(*drawn.synapses.parameters, generator=g, dtype=torch.float64)
    first = pattern.initial(drawn.synapses, 1.0, noise)
    close(first, first, "initial", 0.0)
    require(tuple(first.shape) == drawn.synapses.parameters, f"initial weights of the shape {first.shape}")


def _in_a_network(pattern: Pattern, pre: Axes, post: Axes, name: str) -> None:
    """From a layer of neurons and from the input itself, in a machine that takes the wiring or a matrix."""
    before, behind = math.prod(pre), math.prod(post)
    if max(before, behind) > MOST:
        skip(f"populations of more than {MOST} neurons")
    simulator, neuron = exact(load("simulators", name)), LIF(bias=1.1, refractory_ms=1.0)
    layers = (Layer(before, neuron, pre), Layer(behind, neuron, post), Layer(3, neuron))
    connections = (Connection(0, 1), Connection(1, 2, 2, pattern), Connection(2, 3))
    agreeing(pair(Network(5, layers, connections), 2, 2, 40), simulator)
    first = (Connection(0, 1, 1, pattern), Connection(1, 2))
    from_input = Network(before, layers[1:], first, input_shape=pre)
    agreeing(pair(from_input, 2, 2, 40), simulator)
    agreeing(pair(from_input, 2, 2, 40, currents=1), simulator)
