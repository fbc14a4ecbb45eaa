"""Consecutive layers of one neuron model, which every machine computes side by side."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import groupby
from typing import NamedTuple

import torch
from torch import Tensor

from spiking.network import Network
from spiking.neurons.base import Neuron, State, Values

__all__ = ["Population", "populations"]


class Population(NamedTuple):
    """Consecutive layers of one neuron model.

    Args:
        neuron: the model.
        layers: their indices in ``network.layers``.
    """

    neuron: Neuron
    layers: tuple[int, ...]

    def pick(self, tensors: Sequence[Tensor]) -> Tensor:
        """Return one tensor per layer of the network, those of these layers side by side."""
        return torch.cat([tensors[index] for index in self.layers], dim=-1)

    def beside(self, named: Sequence[Mapping[str, Tensor]]) -> State:
        """Return parameters or states of all layers of the network, those of these layers side by side."""
        own = [named[index] for index in self.layers]
        return {name: torch.cat([of[name] for of in own], dim=-1) for name in own[0]}

    def constants(self, values: Sequence[Values], dt_ms: float) -> State:
        """Return the discrete constants, each ``(chips, 1, neurons)``; what would do nothing is left out."""
        return self.neuron.constants(self.beside(values), dt_ms)


def populations(network: Network) -> tuple[Population, ...]:
    """Return the populations of a network, first layers first."""
    numbered = enumerate(network.layers)
    found = []
    for _, members in groupby(numbered, key=lambda item: item[1].neuron.options):
        layers = tuple(index for index, _ in members)
        found.append(Population(network.layers[layers[0]].neuron, layers))
    return tuple(found)
