"""What every kind of connection is: the numbers that are programmed, and the synapses that carry them."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import ClassVar, Literal, NamedTuple, final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from root.errors import InputError

__all__ = ["Axes", "Image", "Order", "Pattern", "Synapses", "Wiring", "image", "same_shape"]

Axes = tuple[int, ...]
"""The axes of a population: ``(n,)``, ``(height, width)`` or ``(height, width, channels)``, row by row."""

Order = Literal["channels_last", "channels_first"]
"""Whether the channels of an image are its last axis or, as in PyTorch's arrays, its first."""


class Wiring(NamedTuple):
    """Physical synapses, sorted by `pre`, then `post`: the one definition that every machine can run.

    Args:
        pre: presynaptic neuron of every synapse, ``(S,)``, int64.
        post: postsynaptic neuron.
        parameter: which of the programmed numbers, counted in their written order, it carries.
    """

    pre: Tensor
    post: Tensor
    parameter: Tensor

    @classmethod
    def of(cls, pre: NDArray[np.int64], post: NDArray[np.int64], parameter: NDArray[np.int64]) -> Wiring:
        """Return synapses in any order, sorted."""
        order = np.lexsort((post, pre))
        return cls(*(torch.from_numpy(np.ascontiguousarray(part[order])) for part in (pre, post, parameter)))


class Synapses:
    r"""The synapses of one connection, between populations of known sizes.

    What is *programmed* are `parameters` numbers per chip; what is *physical* are the synapses of `wiring`,
    each of which carries one of them. Three operations on programmed numbers are adjoint to each other:

    .. math:: \langle y, W x\rangle = \langle W^\top y, x\rangle = \langle \mathrm{correlate}(x, y), W\rangle

    A kind that says no more than its wiring computes them with matrices.

    Args:
        parameters: shape of what is programmed.
        inputs: presynaptic neurons.
        outputs: postsynaptic neurons.
        wire: makes the synapses; None where all are joined to all, and the matrix is what is programmed.
    """

    def __init__(
        self, parameters: Axes, inputs: int, outputs: int, wire: Callable[[], Wiring] | None
    ) -> None:
        self.parameters, self.inputs, self.outputs = parameters, inputs, outputs
        self.dense = wire is None
        self._wire = wire

    @cached_property
    def wiring(self) -> Wiring:
        """The physical synapses."""
        if self._wire is not None:
            return self._wire()
        every = torch.arange(self.inputs * self.outputs)
        return Wiring(every // self.outputs, every % self.outputs, every)

    @property
    def shape(self) -> Axes:
        """The shape of the physical synapses of a chip: the matrix, or ``(S,)``."""
        return (self.inputs, self.outputs) if self.dense else (len(self.wiring.pre),)

    @property
    def count(self) -> int:
        """Number of physical synapses."""
        return math.prod(self.shape)

    @property
    def fan_in(self) -> float:
        """Synapses of a postsynaptic neuron that has any: the most there are."""
        return float(self.inputs if self.dense else torch.bincount(self.wiring.post, minlength=1).max())

    @cached_property
    def unshared(self) -> Synapses:
        """The same synapses, each with a number of its own: what is programmed is what is physical."""
        if self.dense:
            return self
        pre, post, number = self.wiring
        every = Wiring(pre, post, torch.arange(len(number)))
        return _Unshared((len(number),), self.inputs, self.outputs, lambda: every)

    @cached_property
    def backward(self) -> Synapses:
        """Synapses the other way, one where each of these is, each with a number of its own."""
        if self.dense:
            return Synapses((self.outputs, self.inputs), self.outputs, self.inputs, None)
        pre, post, _ = self.wiring
        turned = Wiring(post[self._turned], pre[self._turned], torch.arange(len(pre)))
        return _Unshared((len(pre),), self.outputs, self.inputs, lambda: turned)

    def turned(self, values: Tensor) -> Tensor:
        """Return the values of physical synapses in the order of `backward`, ``(chips, *backward.shape)``.

        Args:
            values: of every synapse, ``(chips, *shape)``.
        """
        return values.transpose(1, 2).contiguous() if self.dense else values[:, self._turned]

    @cached_property
    def _turned(self) -> Tensor:
        """Which synapse comes first, second, … when sorted by the neuron behind, then the one before."""
        pre, post, _ = self.wiring
        return torch.from_numpy(np.lexsort((pre.numpy(), post.numpy())))

    def physical(self, weights: Tensor) -> Tensor:
        """Return the weight of every physical synapse, ``(chips, *shape)``.

        Args:
            weights: what is programmed, ``(chips, *parameters)``.
        """
        return weights if self.dense else weights.flatten(1)[:, self.wiring.parameter]

    def programmed(self, changes: Tensor) -> Tensor:
        """Return sums over synapses that share a number, ``(chips, *parameters)``; adjoint to `physical`."""
        if self.dense:
            return changes
        chips = changes.shape[0]
        sums = changes.new_zeros(chips, math.prod(self.parameters))
        sums.index_add_(1, self.wiring.parameter.to(changes.device), changes)
        return sums.view(chips, *self.parameters)

    def matrix(self, values: Tensor) -> Tensor:
        """Return physical synapses as a matrix, ``(chips, n_pre, n_post)``.

        Args:
            values: of every synapse, ``(chips, *shape)``.
        """
        if self.dense:
            return values
        flat = values.new_zeros(values.shape[0], self.inputs * self.outputs)
        flat.index_add_(1, self._places.to(values.device), values)
        return flat.view(-1, self.inputs, self.outputs)

    def of_matrix(self, matrix: Tensor) -> Tensor:
        """Return the entries of ``(chips, n_pre, n_post)`` where there are synapses, ``(chips, *shape)``."""
        return matrix if self.dense else matrix.flatten(1)[:, self._places]

    @cached_property
    def _places(self) -> Tensor:
        return self.wiring.pre * self.outputs + self.wiring.post

    def apply(self, weights: Tensor, x: Tensor) -> Tensor:
        """Return what presynaptic rates give, ``(chips, batch, n_post)``.

        Args:
            weights: what is programmed, ``(chips, *parameters)``.
            x: ``(chips or 1, batch, n_pre)``.
        """
        return self.applied(weights.to(x))(x)

    def applied(self, weights: Tensor) -> Callable[[Tensor], Tensor]:
        """Return `apply` for weights that are used many times, differentiable in them and in x.

        Args:
            weights: what is programmed, ``(chips, *parameters)``, of the type of x.
        """
        matrix = self.matrix(self.physical(weights))
        return lambda x: torch.matmul(x, matrix)

    def transposed(self, weights: Tensor, y: Tensor) -> Tensor:
        """Return what errors behind the synapses come to before them, ``(chips, batch, n_pre)``.

        Args:
            weights: what is programmed, ``(chips, *parameters)``.
            y: ``(chips, batch, n_post)``.
        """
        return torch.matmul(y, self.matrix(self.physical(weights)).transpose(1, 2).to(y))

    def correlate(self, x: Tensor, y: Tensor) -> Tensor:
        """Return the products of what is before and behind the synapses of each programmed number.

        Sums over samples and over the synapses that share the number, ``(chips, *parameters)``.

        Args:
            x: ``(chips or 1, batch, n_pre)``.
            y: ``(chips, batch, n_post)``.
        """
        x = x.expand(y.shape[0], -1, -1)
        return self.programmed(self.of_matrix(torch.matmul(x.transpose(1, 2), y)))

    def power(self, x: Tensor) -> Tensor:
        r"""Return how much a step of programmed numbers changes what is behind, ``(chips or 1, batch)``.

        The squares of what is before a neuron, added up over the neurons that share its numbers:
        :math:`|x|^2` where every neuron has numbers of its own.

        Args:
            x: ``(chips or 1, batch, n_pre)``.
        """
        if self.dense:
            return x.square().sum(2)
        synapses = torch.bincount(self.wiring.pre, minlength=self.inputs).to(x)
        sets = math.prod(self.parameters) / self.fan_in
        return (x.square() * synapses).sum(2) / max(sets, 1.0)


@final
class _Unshared(Synapses):
    """Synapses that are no matrix, each with a number of its own; added up one by one."""

    def applied(self, weights: Tensor) -> Callable[[Tensor], Tensor]:
        pre, post, _ = (part.to(weights.device) for part in self.wiring)

        def added_up(x: Tensor) -> Tensor:
            pairs = zip(x.expand(weights.shape[0], -1, -1), weights, strict=True)
            nothing = x.new_zeros(x.shape[1], self.outputs)
            return torch.stack([nothing.index_add(1, post, rates[:, pre] * own) for rates, own in pairs])

        return added_up


@dataclass(frozen=True)
class Pattern(ABC):
    """A kind of connection: members are final frozen dataclasses whose fields are their config keys."""

    plugin_group: ClassVar[str] = "connections"
    origin: ClassVar[str]

    @property
    def trained(self) -> bool:
        """Whether rules may change what is programmed."""
        return True

    def reaches(self, pre: Axes) -> Axes | None:
        """Return the axes of the population behind, where they follow from those before; else None.

        Args:
            pre: axes of the population before.
        """
        return None

    @abstractmethod
    def between(self, pre: Axes, post: Axes) -> Synapses:
        """Return the synapses between two populations.

        Raises:
            InputError: such populations cannot be joined like this.
        """

    def initial(self, synapses: Synapses, gain: float, noise: Tensor) -> Tensor:
        r"""Return the numbers to begin with, ``(*parameters)``.

        By default normal, of standard deviation :math:`g/\sqrt{n}` for n synapses on a neuron.

        Args:
            synapses: from `between`.
            gain: g.
            noise: standard normal numbers, ``(*parameters)``.
        """
        drawn: Tensor = (gain / synapses.fan_in**0.5) * noise
        return drawn


def image(axes: Axes, key: str, order: Order = "channels_last") -> Image:
    """Return height, width and channels of a population.

    Args:
        axes: of the population.
        key: to blame.
        order: whether its axes end with the channels or begin with them.

    Raises:
        InputError: it is no image.
    """
    if len(axes) not in (2, 3):
        full = "[height, width, channels]" if order == "channels_last" else "[channels, height, width]"
        allowed = f"a population of shape [height, width] or {full}"
        raise InputError(key, list(axes), allowed, "Give the population before it such a shape.")
    if len(axes) == 2:
        return Image(axes[0], axes[1], 1)
    return Image(*axes) if order == "channels_last" else Image(axes[1], axes[2], axes[0])


class Image(NamedTuple):
    """A population as an image.

    Args:
        height: rows.
        width: columns.
        channels: neurons at a place.
    """

    height: int
    width: int
    channels: int

    def axes(self, order: Order) -> Axes:
        """Return the population's axes."""
        height, width, channels = self
        return (height, width, channels) if order == "channels_last" else (channels, height, width)

    def number(
        self, y: NDArray[np.int64], x: NDArray[np.int64], channel: NDArray[np.int64], order: Order
    ) -> NDArray[np.int64]:
        """Return the numbers of the neurons at places."""
        if order == "channels_last":
            return (y * self.width + x) * self.channels + channel
        return (channel * self.height + y) * self.width + x


def same_shape(wanted: Axes, found: Axes, key: str) -> None:
    """Raise `InputError` where a population is not of the size that a connection reaches."""
    if math.prod(wanted) != math.prod(found):
        raise InputError(key, list(found), f"a population of shape {list(wanted)}, or no shape: it follows")
