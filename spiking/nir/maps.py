"""Linear nodes between neurons, composed into one map per pair of layers.

Affine maps, scales, convolutions and poolings are all linear: between two populations of neurons they are
one matrix and one bias, whatever their number and however they branch and join. A convolution, or a pooling
of squares, that stands alone between two populations stays one, a `Kernel`; any other becomes part of a
dense matrix, which is exact, and refused where it would not be bearable.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, final

import nir
import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn import functional

from root.errors import InputError, UnsupportedError
from spiking.nir.flat import Flat
from spiking.nir.kernels import Kernel, kernel_of
from spiking.nir.shapes import image_shape, input_shape, neurons_shape
from spiking.nir.stored import KEY

__all__ = ["MOST_VALUES", "NEURONS", "Map", "Maps", "Term", "check_identity", "dense"]

Array = NDArray[np.float64]

Term = Array | Kernel | None
"""What leads from a source to a place: a matrix, a kernel, or each value to its own."""

NEURONS = (nir.LIF, nir.CubaLIF, nir.LI, nir.CubaLI, nir.IF, nir.I, nir.Threshold)

MOST_WEIGHTS = 20_000_000
"""Of a matrix between two layers."""

MOST_VALUES = 10_000_000
"""Of a population or an input."""

THROUGH = (nir.Input, nir.Output, nir.Flatten)


@final
@dataclass(frozen=True)
class Map:
    """What reaches a place, as a sum over the neurons it comes from.

    Args:
        shape: of the place.
        terms: matrix ``(n, n_source)``, or a kernel, by the source's name and a delay in s; None is the
            identity.
        bias: ``(n,)``.
    """

    shape: tuple[int, ...]
    terms: Mapping[tuple[str, float], Term]
    bias: Array

    @property
    def size(self) -> int:
        """Number of values."""
        return math.prod(self.shape)


@final
@dataclass
class Maps:
    """The maps of a graph.

    Args:
        graph: the graph.
        notes: filled with what was odd.
    """

    graph: Flat
    notes: list[str] = field(default_factory=list)
    _out: dict[str, Map] = field(default_factory=dict)
    _open: list[str] = field(default_factory=list)

    def into(self, name: str) -> Map:
        """Return what reaches a node.

        Raises:
            InputError: sizes do not fit.
            UnsupportedError: a node is not known here, or a matrix too large.
        """
        found = [self._after(before) for before in self.graph.before[name]]
        if not found:
            raise UnsupportedError(
                KEY, f"the node {name!r}, to which nothing leads", "nodes that are reached"
            )
        return found[0] if len(found) == 1 else self._sum(name, found)

    def shape_of(self, name: str) -> tuple[int, ...]:
        """Return the axes of what a node passes on."""
        return self._after(name).shape

    def _after(self, name: str) -> Map:
        if name not in self._out:
            node = self.graph.nodes[name]
            if name == self.graph.entry or isinstance(node, NEURONS):
                self._out[name] = self._source(name)
            else:
                if name in self._open:
                    loop = " -> ".join([*self._open[self._open.index(name) :], name])
                    raise UnsupportedError(KEY, f"a loop without neurons, {loop}", "loops through neurons")
                self._open.append(name)
                self._out[name] = self._apply(name, node, self.into(name))
                self._open.pop()
        return self._out[name]

    def _source(self, name: str) -> Map:
        if name == self.graph.entry:
            shape, notes = input_shape(self.graph)
            self.notes += notes
        else:
            shape = neurons_shape(self.graph, name)
        if math.prod(shape) > MOST_VALUES:
            raise UnsupportedError(KEY, f"{shape} values of {name!r}", f"at most {MOST_VALUES}")
        return Map(shape, {(name, 0.0): None}, np.zeros(math.prod(shape)))

    def _sum(self, name: str, found: list[Map]) -> Map:
        terms: dict[tuple[str, float], Term] = {}
        for one in found:
            if any(matrix is None for matrix in one.terms.values()):
                check_identity(name, one.size)
            if one.size != found[0].size:
                given = f"{found[0].size} and {one.size} values that meet at {name!r}"
                raise InputError(KEY, given, "branches of one size")
            for key, term in one.terms.items():
                if key in terms:
                    terms[key] = dense(terms[key], one.size, name) + dense(term, one.size, name)
                else:
                    terms[key] = term
        return Map(found[0].shape, terms, np.sum([one.bias for one in found], axis=0))

    def _apply(self, name: str, node: nir.NIRNode, given: Map) -> Map:
        if isinstance(node, THROUGH):
            return given  # the order of values stays
        if isinstance(node, nir.Delay):
            late = _delay(name, node)
            moved = {(source, one + late): matrix for (source, one), matrix in given.terms.items()}
            return Map(given.shape, moved, given.bias)
        if isinstance(node, nir.Linear | nir.Affine):
            return _affine(name, node, given)
        if isinstance(node, nir.Scale):
            return _scale(name, node, given)
        if isinstance(node, nir.Conv1d | nir.Conv2d | nir.SumPool2d | nir.AvgPool2d):
            return _image(name, node, given)
        allowed = "Affine, Linear, Scale, Conv1d, Conv2d, SumPool2d, AvgPool2d, Flatten, Delay and neurons"
        raise UnsupportedError(KEY, f"the node {name!r}, {type(node).__name__}", allowed)


def _affine(name: str, node: Any, given: Map) -> Map:
    weight = np.asarray(node.weight, np.float64)
    if weight.ndim != 2:
        raise InputError(KEY, f"weights {weight.shape} in {name!r}", "a matrix (n_post, n_pre)")
    if weight.shape[1] != given.size:
        at = f"{given.size} values, {given.shape}, reach {name!r}, whose weights are for {weight.shape[1]}"
        raise InputError(KEY, at, "a graph whose sizes fit")
    _check_size(name, len(weight), given)
    terms: dict[tuple[str, float], Term] = {
        key: weight if m is None else weight @ dense(m, given.size, name) for key, m in given.terms.items()
    }
    bias = weight @ given.bias + _each(name, getattr(node, "bias", 0.0), len(weight), "bias")
    return Map((len(weight),), terms, bias)


def _scale(name: str, node: Any, given: Map) -> Map:
    shape = np.shape(node.scale)
    try:
        factor = np.broadcast_to(np.asarray(node.scale, np.float64), given.shape).ravel()
    except ValueError:
        allowed = f"{given.shape}, or what stretches to it"
        raise InputError(KEY, f"a scale {shape} in {name!r}", allowed) from None
    terms: dict[tuple[str, float], Term] = {}
    for key, term in given.terms.items():
        alike = bool((factor == factor[0]).all())
        kept = term.scaled(float(factor[0])) if alike and isinstance(term, Kernel) else None
        if kept is not None:
            terms[key] = kept
            continue
        _check_size(name, given.size, given)
        terms[key] = np.diag(factor) if term is None else factor[:, None] * dense(term, given.size, name)
    return Map(given.shape, terms, factor * given.bias)


def _image(name: str, node: Any, given: Map) -> Map:
    """Apply a convolution or a pooling to every column of the matrices."""
    axes = 2 if isinstance(node, nir.Conv1d) else 3
    if len(given.shape) != axes:
        allowed = "channels and length" if axes == 2 else "channels, height and width"
        raise InputError(KEY, f"values of shape {given.shape} at {name!r}, {type(node).__name__}", allowed)
    operate = _operation(name, node, given.shape)
    shape = image_shape(node, given.shape)
    if shape is None or min(shape) < 1:
        raise InputError(KEY, f"an empty result of {name!r}", "a kernel that fits into its input")

    def columns(matrix: Array, *, bias: bool) -> Array:
        images = torch.from_numpy(np.ascontiguousarray(matrix.T)).reshape(-1, *given.shape)
        return np.asarray(operate(images, bias).flatten(1).T.numpy())

    kernel = kernel_of(node, given.shape)
    terms: dict[tuple[str, float], Term] = {}
    for key, term in given.terms.items():
        if term is None and kernel is not None:
            terms[key] = kernel
        else:
            _check_size(name, max(math.prod(shape), given.size if term is None else 1), given)
            terms[key] = columns(dense(term, given.size, name), bias=False)
    return Map(shape, terms, columns(given.bias[:, None], bias=True)[:, 0])


def _operation(name: str, node: Any, shape: tuple[int, ...]) -> Callable[[torch.Tensor, bool], torch.Tensor]:
    """Return what a node does to images, ``(batch, channels, ...)``, with its bias or without."""
    space = len(shape) - 1
    if isinstance(node, nir.SumPool2d | nir.AvgPool2d):
        kernel, stride, padding = (
            _whole(name, getattr(node, key), key, space) for key in ("kernel_size", "stride", "padding")
        )
        _check_extent(name, shape, kernel, padding)
        divisor = 1 if isinstance(node, nir.SumPool2d) else None
        return lambda x, _: functional.avg_pool2d(x, kernel, stride, padding, divisor_override=divisor)
    weight = torch.from_numpy(np.array(node.weight, np.float64))
    groups = _whole(name, node.groups, "groups", 1)[0]
    if weight.ndim != space + 2 or groups < 1 or weight.shape[1] * groups != shape[0]:
        at = f"{shape[0]} channels at {name!r}, whose weights are {tuple(weight.shape)} in {groups} groups"
        raise InputError(KEY, at, "a graph whose sizes fit")
    stride, dilation = (_whole(name, getattr(node, key), key, space) for key in ("stride", "dilation"))
    named = node.padding.decode() if isinstance(node.padding, bytes) else node.padding
    around: Any = named if isinstance(named, str) else _whole(name, named, "padding", space)
    if not isinstance(around, str):
        extent = [1 + d * (k - 1) for d, k in zip(dilation, weight.shape[2:], strict=True)]
        _check_extent(name, shape, extent, around)
    bias = torch.from_numpy(_each(name, node.bias, len(weight), "bias").copy())
    convolve = functional.conv1d if space == 1 else functional.conv2d
    return lambda x, whole: convolve(x, weight, bias if whole else None, stride, around, dilation, groups)


def _whole(name: str, value: Any, key: str, count: int) -> list[int]:
    numbers = np.ravel(np.asarray(value))
    low = 0 if key == "padding" else 1
    fits = numbers.size in (1, count) and np.issubdtype(numbers.dtype, np.number)
    if not fits or (numbers != np.floor(numbers)).any() or (numbers < low).any() or (numbers > 10_000).any():
        raise InputError(KEY, f"{key} {value!r} of {name!r}", f"{count} whole numbers from {low} to 10000")
    return [int(n) for n in np.broadcast_to(numbers, (count,))]


def _check_extent(name: str, shape: tuple[int, ...], extent: list[int], padding: list[int]) -> None:
    for side, long, beyond in zip(shape[1:], extent, padding, strict=True):
        if long > side + 2 * beyond or side + 2 * beyond > 20_000:
            at = f"a kernel over {long} of {side} values with {beyond} around them, in {name!r}"
            raise InputError(KEY, at, "a kernel that fits into its input")


def _each(name: str, value: Any, size: int, key: str) -> Array:
    numbers = np.ravel(np.asarray(value, np.float64))
    if numbers.size not in (1, size):
        raise InputError(KEY, f"{numbers.size} values of {key} in {name!r}", f"{size}, or one for all")
    return np.broadcast_to(numbers, (size,))


def _delay(name: str, node: Any) -> float:
    delays = np.ravel(np.asarray(node.delay, np.float64))
    if delays.size == 0 or (delays != delays[0]).any():
        given = f"the Delay {name!r}, which differs from neuron to neuron"
        raise UnsupportedError(KEY, given, "one delay for a layer")
    return float(delays[0])


def check_identity(name: str, size: int) -> None:
    """Refuse populations so large that the identity between them is no bearable matrix."""
    if size * size > MOST_WEIGHTS:
        at = f"{size} × {size} weights at {name!r}"
        raise UnsupportedError(KEY, at, f"at most {MOST_WEIGHTS} between two layers")


def dense(term: Term, size: int, name: str) -> Array:
    """Return a term as a matrix.

    Args:
        term: of a map.
        size: of what it reaches.
        name: of the node, to blame where the matrix would not be bearable.
    """
    if isinstance(term, Kernel):
        _bearable(name, size, term.sources)
        return term.matrix
    return np.eye(size) if term is None else term


def _check_size(name: str, size: int, given: Map) -> None:
    for term in given.terms.values():
        sources = given.size if term is None else term.sources if isinstance(term, Kernel) else term.shape[1]
        _bearable(name, size, sources)


def _bearable(name: str, size: int, sources: int) -> None:
    if size * sources > MOST_WEIGHTS:
        at = f"{size} × {sources} weights at {name!r}"
        fix = "These convolutions and poolings become dense here; smaller images, or fewer channels, do."
        raise UnsupportedError(KEY, at, f"at most {MOST_WEIGHTS} between two layers", fix)
