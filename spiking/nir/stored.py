"""What a NIR file holds of a chip, and the check that all of it is possible."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import final

import torch
from torch import Tensor

from root import ranges
from root.errors import InputError
from spiking.network import Network
from spiking.neurons.base import Neuron

__all__ = ["KEY", "Stored", "check_values", "checked"]

KEY = "network.nir"
"""The key of a config that names the file."""


@final
@dataclass(frozen=True)
class Stored:
    """One chip as a file holds it.

    Args:
        network: the design, with nominal values.
        weights: per connection, what is programmed: ``(n_pre, n_post)`` where all are joined to all.
        neurons: per layer, parameter field to value, ``(n,)``; ``bias`` is among them.
        chip: its number.
        content: ``programmed`` or ``effective``: what the weights are.
        notes: what reading another program's file could not keep, or had to guess, a sentence each.
    """

    network: Network
    weights: tuple[Tensor, ...]
    neurons: tuple[Mapping[str, Tensor], ...]
    chip: int = 0
    content: str = "programmed"
    notes: tuple[str, ...] = ()


def checked(chip: Stored) -> Stored:
    """Return `chip`, whose every value was found to be possible.

    Raises:
        InputError: naming the layer, the parameter and the neuron.
    """
    parts = zip(chip.network.connections, chip.network.synapses, chip.weights, strict=True)
    for connection, synapses, weight in parts:
        wanted = tuple(synapses.parameters)
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
        check_values(f"layer {index}", layer.neuron, values)
    return chip


def check_values(place: str, neuron: Neuron | type[Neuron], values: Mapping[str, Tensor]) -> None:
    """Raise `InputError` for the first value of a layer that no neuron of this model can have.

    Args:
        place: what to call the layer.
        neuron: its model.
        values: parameter field to value, ``(n,)``.
    """
    limits_of = dict.fromkeys(values, ranges.POTENTIAL)
    limits_of |= ranges.of(neuron if isinstance(neuron, type) else type(neuron))
    least = {p.field: p for p in neuron.parameters}
    for field, value in values.items():
        limits, own = limits_of[field], least[field]
        wrong = torch.tensor([not limits.holds(each) for each in value.tolist()])
        _refuse_any(place, field, value, wrong, limits.allowed)
        low = value <= own.minimum if own.exclusive else value < own.minimum
        _refuse_any(place, field, value, low, own.allowed)
    if {"reset", "threshold"} <= values.keys():
        high = values["reset"] >= values["threshold"]
        _refuse_any(place, "reset", values["reset"], high, "a number below the neuron's threshold")


def _refuse_any(place: str, field: str, value: Tensor, wrong: Tensor, allowed: str) -> None:
    if bool(wrong.any()):
        neuron = int(wrong.nonzero()[0, 0])
        raise InputError(KEY, f"{field} {float(value[neuron]):g} of neuron {neuron} of {place}", allowed)
