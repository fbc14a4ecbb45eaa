"""What programming does not change about chips, laid out once for the chips that were seen last."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple, final

import numpy as np
import torch
from torch import Tensor

from spiking.network import Network
from spiking.neurons.base import Values
from spiking.simulators.compiled.arrays import Array
from spiking.simulators.compiled.columns import Columns
from spiking.simulators.compiled.generated import REAL

__all__ = ["Constants", "KnownConstants"]

KEPT = 4
"""Sets of layers that are remembered: neurons and shadows of two populations."""


class Constants(NamedTuple):
    """Discrete constants of all layers.

    Args:
        neuron: those of the model, ``(chips, constants, columns)``.
        synapse_decay: decay of the synaptic currents, ``(chips, columns)``.
        decays: the same per layer, ``(chips, 1, n)``, in float64.
    """

    neuron: Array
    synapse_decay: Array
    decays: tuple[Array, ...]


class _Known(NamedTuple):
    scope: tuple[object, ...]
    tensors: list[tuple[Tensor, int]]
    constants: Constants


@final
class KnownConstants:
    """Constants by the very tensors that they follow from; other tensors, or changed ones, are laid out anew.

    Biases have no part in them: they are programmed, and new with every batch.
    """

    def __init__(self) -> None:
        self._known: list[_Known] = []

    def of(
        self, network: Network, layers: Sequence[Values], columns: Columns, names: Sequence[str]
    ) -> Constants:
        """Return the constants of `layers`.

        Args:
            network: the description.
            layers: parameter values of layers 1 to L.
            columns: where the layers lie.
            names: the constants that a kernel takes, in its order.
        """
        scope = (network.layers, network.dt_ms, columns.kind)
        given = [{name: value for name, value in values.items() if name != "bias"} for values in layers]
        tensors = [(value, value._version) for values in given for value in values.values()]
        for known in self._known:
            if known.scope == scope and _same(known.tensors, tensors):
                return known.constants
        constants = _lay_out(network, given, columns, names)
        self._known = [_Known(scope, tensors, constants), *self._known[: KEPT - 1]]
        return constants


def _same(known: list[tuple[Tensor, int]], given: list[tuple[Tensor, int]]) -> bool:
    pairs = zip(known, given, strict=False)
    return len(known) == len(given) and all(a is b and v == w for (a, v), (b, w) in pairs)


def _lay_out(network: Network, layers: Sequence[Values], columns: Columns, names: Sequence[str]) -> Constants:
    neuron, sizes = network.layers[0].neuron, list(columns.sizes)
    joined = {name: torch.cat([values[name] for values in layers], dim=-1) for name in layers[0]}
    found = neuron.constants(joined, network.dt_ms)
    if names[0] == REAL:  # every constant has its place
        some = found[next(iter(found))]
        found = {name: torch.zeros_like(some) for name in names} | {REAL: torch.ones_like(some)} | found
    rows = [found[name][:, 0] for name in names if name in found]
    laid_out = np.zeros((rows[0].shape[0], len(rows), columns.total), columns.kind)
    for number, row in enumerate(rows):
        columns.join(torch.split(row, sizes, dim=-1), out=laid_out[:, number])
    decays = torch.split(neuron.synapse_decay(joined, network.dt_ms), sizes, dim=-1)
    return Constants(laid_out, columns.join(decays), tuple(decay.numpy()[:, None] for decay in decays))
