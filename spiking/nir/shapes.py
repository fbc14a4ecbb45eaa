"""Shapes of what a graph begins with and of its neurons, which files say in many ways or not at all."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import nir
import numpy as np

from root.errors import InputError
from spiking.nir.flat import Flat
from spiking.nir.stored import KEY

__all__ = ["image_shape", "input_shape", "neurons_shape"]

FIELDS = ("tau", "tau_mem", "tau_syn", "r", "v_leak", "v_threshold", "v_reset", "w_in", "threshold")


def input_shape(graph: Flat) -> tuple[tuple[int, ...], list[str]]:
    """Return the shape of the input, and what was odd about it.

    Some programs write the shape of a whole sample, with axes of time and batch before the channels': what
    the first nodes take says which axes are meant.

    Raises:
        InputError: the file says another one than its first nodes take.
    """
    said = np.ravel(np.asarray(graph.nodes[graph.entry].input_type["input"]))
    try:
        shape = tuple(int(length) for length in said)
    except (TypeError, ValueError):
        shape = ()
    wanted = list(_wanted(graph))
    if not shape or min(shape) < 1:
        if not wanted:
            raise InputError(KEY, f"the shape {said} of the Input", "whole numbers from 1")
        return wanted[0], [f"the Input says no shape; its first nodes take {wanted[0]}"]
    for one in wanted:
        if math.prod(one) == math.prod(shape):
            return (one if len(one) > 1 else shape), []
    for one in wanted:
        if len(one) < len(shape) and shape[-len(one) :] == one:
            left = shape[: -len(one)]
            return one, [
                f"the Input says {shape} and its first nodes take {one}: {left} is taken for batch and time"
            ]
    if wanted:
        at = f"an Input of shape {shape}, while {_first(graph)!r} takes {math.prod(wanted[0])} values"
        raise InputError(KEY, at, "an Input with the shape of one step of one sample")
    return shape, []


def neurons_shape(graph: Flat, name: str, seen: frozenset[str] = frozenset()) -> tuple[int, ...]:
    """Return the shape of a population: that of what reaches it, or of its parameters.

    Raises:
        InputError: neither says one, or they say different ones.
    """
    node: Any = graph.nodes[name]
    values: list[Any] = [getattr(node, key, None) for key in FIELDS]
    shapes = [np.shape(value) for value in values if value is not None]
    own: tuple[int, ...] = max(shapes, key=math.prod, default=())
    for before in graph.before[name]:
        given = _leaving(graph, before, seen | {name})
        if given is not None:
            if math.prod(own) not in (1, math.prod(given)):
                at = f"{math.prod(own)} values in {name!r}"
                raise InputError(KEY, at, f"{math.prod(given)}, one per neuron, or one for all")
            same = math.prod(own) == math.prod(given)
            return own if same and len(own) > len(given) else given
    if not own:
        raise InputError(KEY, f"neurons {name!r} of no known number", "parameters with one value per neuron")
    return own


def _leaving(graph: Flat, name: str, seen: frozenset[str]) -> tuple[int, ...] | None:
    """Return the shape of what a node passes on; None where only a loop would say it."""
    if name in seen:
        return None
    node: Any = graph.nodes[name]
    if name == graph.entry:
        return input_shape(graph)[0]
    if isinstance(node, nir.Linear | nir.Affine):
        return (len(node.weight),)
    kept = isinstance(node, nir.Scale | nir.Delay | nir.Input | nir.Output | nir.Flatten)
    if not kept and not isinstance(node, nir.Conv1d | nir.Conv2d | nir.SumPool2d | nir.AvgPool2d):
        return neurons_shape(graph, name, seen)
    found = (_leaving(graph, before, seen | {name}) for before in graph.before[name])
    given = next((shape for shape in found if shape is not None), None)
    return given if kept or given is None else image_shape(node, given)


def image_shape(node: Any, given: tuple[int, ...]) -> tuple[int, ...] | None:
    """Return the shape that a convolution or a pooling makes of another; None where it does not fit."""
    space = len(given) - 1

    def numbers(value: Any) -> Any:
        return np.broadcast_to(np.ravel(np.asarray(value)), (space,))

    if space != (1 if isinstance(node, nir.Conv1d) else 2):
        return None
    convolution = isinstance(node, nir.Conv1d | nir.Conv2d)
    kernel = node.weight.shape[2:] if convolution else numbers(node.kernel_size)
    dilation = numbers(node.dilation) if convolution else np.ones(space, int)
    channels = node.weight.shape[0] if convolution else given[0]
    padding = node.padding.decode() if isinstance(node.padding, bytes) else node.padding
    if isinstance(padding, str) and padding == "same":
        return (channels, *given[1:])
    around = np.zeros(space, int) if isinstance(padding, str) else numbers(padding)
    if (numbers(node.stride) < 1).any():
        return None
    sides = (np.array(given[1:]) + 2 * around - dilation * (np.array(kernel) - 1) - 1) // numbers(node.stride)
    return (channels, *(int(side) + 1 for side in sides)) if (sides >= 0).all() else None


def _wanted(graph: Flat) -> Iterator[tuple[int, ...]]:
    """Yield the shapes that the first nodes after the input take, as far as they say them."""
    for _, node in _firsts(graph):
        if isinstance(node, nir.Linear | nir.Affine):
            yield (np.shape(node.weight)[-1],)
        elif isinstance(node, nir.Conv2d | nir.Conv1d):
            channels = int(node.weight.shape[1] * int(np.ravel(node.groups)[0]))
            if node.input_shape is not None:
                yield (channels, *(int(side) for side in np.ravel(node.input_shape)))
            else:
                space = 2 if isinstance(node, nir.Conv2d) else 1
                said = tuple(int(n) for n in np.ravel(graph.nodes[graph.entry].input_type["input"]))
                yield (channels, *said[-space:])
        else:
            shapes = [np.shape(getattr(node, key)) for key in FIELDS if hasattr(node, key)]
            yield from (shape for shape in shapes if math.prod(shape) > 1)


def _first(graph: Flat) -> str:
    return next(name for name, _ in _firsts(graph))


def _firsts(graph: Flat) -> Iterator[tuple[str, Any]]:
    reached, front = {graph.entry}, [graph.entry]
    while front:
        last = front.pop()
        for name, before in graph.before.items():
            if last in before and name not in reached:
                reached.add(name)
                node = graph.nodes[name]
                if isinstance(node, nir.Flatten | nir.Input | nir.Output | nir.Delay | nir.Scale):
                    front.append(name)
                elif not isinstance(node, nir.SumPool2d | nir.AvgPool2d):
                    yield name, node
