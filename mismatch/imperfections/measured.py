"""Chips as they were measured."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Annotated, ClassVar, final

import numpy as np
import torch
from torch import Tensor

from mismatch.imperfections.base import Die, Effect, Imperfection, check_parameters, scaled_parameters
from mismatch.measurement.reading import SYNAPSES, Measurement, Quantity, read_measurement
from mismatch.streams import Streams
from root.errors import InputError, UnsupportedError
from root.ranges import CUT, check_ranges
from spiking.connections import Synapses
from spiking.hardware import Hardware
from spiking.network import Network
from spiking.neurons.base import Values

__all__ = ["Measured"]


@final
@dataclass(frozen=True)
class Measured(Imperfection):
    r"""Parameters, synapses and faults from a file of measured devices.

    A device's value is taken over the mean of all, :math:`f = x / \bar x`, and acts like any deviation:
    nominal times f, or nominal plus f - 1 for additive parameters. Where the spread was measured at several
    operating points, f is interpolated linearly at the neuron's bias, and is that of the nearest point
    beyond the ends.

    Chip k is die k of the file, counted round. Where a layer, or a connection, has as many devices as the
    die, each takes the values of its own place; otherwise every neuron takes those of one device, drawn
    with the mismatch seed, all parameters together, so that what goes together in the file does so in the
    chips. A value that the file lacks, or that was left out as an outlier, is drawn from the others. Broken
    devices are in their places in both cases, where there are such places.

    Args:
        file: a ``.npz``, ``.csv`` or ``.npy`` file; see `mismatch.measurement.reading`.
        parameter: what the array of a ``.npy`` file is.
        outliers: how many robust standard deviations from the median a value may be; null: any.
        sha256: checksum of the values, written into what a run keeps; other values are refused.
    """

    file: str
    parameter: str | None = None
    outliers: Annotated[float, CUT] | None = 6.0
    sha256: str | None = None

    order: ClassVar[int] = -10
    shorthand: ClassVar[str] = "file"

    def __post_init__(self) -> None:
        check_ranges(self)
        found = self.measurement.sha256  # read now: a bad file is refused before anything is run
        if self.sha256 not in (None, found):
            fix = "The file has changed; without this key it is taken as it is now."
            raise InputError("sha256", self.sha256, f"{found}, that of {self.file}", fix)
        object.__setattr__(self, "sha256", found)

    @cached_property
    def measurement(self) -> Measurement:
        """What the file holds."""
        return read_measurement(Path(self.file), self.parameter, self.outliers)

    def check(self, network: Network) -> None:
        known, layers = self.measurement, set(range(1, network.depth + 1))
        check_parameters(
            [q.name for q in known.quantities if q.name != SYNAPSES] or ["bias"], network, "file"
        )
        for quantity in known.quantities:
            most = len(network.connections) if quantity.name == SYNAPSES else network.depth
            if quantity.layer is not None and quantity.layer > most:
                raise InputError("file", f"{quantity.name}.{quantity.layer}", f"a number from 1 to {most}")
        for layer in layers if known.dead else ():
            neuron = network.layers[layer - 1].neuron
            if (layer in known.dead or None in known.dead) and not neuron.dead:
                raise UnsupportedError("file", f"dead, for {neuron.model}", "a model that can be dead")

    def on(self, die: Die) -> Effect:
        return _AsMeasured(self.measurement, die)


class _AsMeasured(Effect):
    def __init__(self, known: Measurement, die: Die) -> None:
        self.network, self.known, there = die.network, known, die.streams.device
        neurons = [q for q in known.quantities if q.name != SYNAPSES]
        sizes = [layer.size for layer in die.network.layers]
        self.tables = [
            {q.name: _factors(q, die.streams.child("neuron", i), size) for q in _of(neurons, i + 1)}
            for i, size in enumerate(sizes)
        ]
        self.dead = [_mask(known.dead, i + 1, (size,)).to(there) for i, size in enumerate(sizes)]
        matrices = [q for q in known.quantities if q.name == SYNAPSES]
        self.synapses = []
        for index, synapses in enumerate(die.network.synapses, start=1):
            factor = torch.ones(len(die.streams.chips), *synapses.shape, dtype=torch.float64, device=there)
            for quantity in _of(matrices, index):
                factor = factor * _matrix(quantity, die.streams.child("synapse", index), synapses)
            if index in known.unusable or None in known.unusable:
                broken = _mask(known.unusable, index, (synapses.inputs, synapses.outputs))
                factor = factor.masked_fill(_in_order(broken, synapses).to(there), 0.0)
            self.synapses.append(factor)

    def settle(self, hardware: Hardware) -> Hardware:
        changes = [
            {name: table.at(values["bias"]) - 1.0 for name, table in tables.items()}
            for tables, values in zip(self.tables, hardware.neurons, strict=True)
        ]
        return replace(
            hardware,
            neurons=self._dead(scaled_parameters(self.network, hardware.neurons, changes)),
            shadows=self._dead(scaled_parameters(self.network, hardware.shadows, changes)),
            weights=tuple(w * f for w, f in zip(hardware.weights, self.synapses, strict=True)),
        )

    def _dead(self, layers: Sequence[Values]) -> tuple[Values, ...]:
        changed = []
        for layer, values, dead in zip(self.network.layers, layers, self.dead, strict=True):
            new = dict(values)
            for field, value in layer.neuron.dead.items() if bool(dead.any()) else ():
                new[field] = torch.where(dead, value, new[field])
            changed.append(new)
        return tuple(changed)


@final
@dataclass(frozen=True)
class _Table:
    """Factors of a layer, ``(chips, n)`` or, with operating points, ``(chips, n, points)``."""

    factors: Tensor
    points: Tensor | None

    def at(self, bias: Tensor) -> Tensor:
        """Return the factors of neurons at their biases, ``(chips, n)``."""
        if self.points is None:
            return self.factors
        place = bias.clamp(float(self.points[0]), float(self.points[-1])).contiguous()
        right = torch.searchsorted(self.points, place).clamp(1, len(self.points) - 1)
        low, high = self.points[right - 1], self.points[right]
        below, above = (self.factors.gather(-1, k.unsqueeze(-1)).squeeze(-1) for k in (right - 1, right))
        return torch.lerp(below, above, (place - low) / (high - low))


def _of(quantities: Sequence[Quantity], layer: int) -> list[Quantity]:
    """Return what was measured for a layer: what names it comes before what is for all."""
    found = {q.name: q for q in quantities if q.layer is None}
    return list((found | {q.name: q for q in quantities if q.layer == layer}).values())


def _factors(quantity: Quantity, streams: Streams, size: int) -> _Table:
    """Return the factors of a layer, chip by chip; the devices drawn are the same for all parameters."""
    rows = []
    for number, node in zip(streams.chips, streams.nodes("device"), strict=True):
        die = quantity.factors[number % len(quantity.factors)]
        places = node.generator().integers(len(die), size=size) if len(die) != size else np.arange(size)
        chosen = die[places].copy()
        fill = node.child("fill", quantity.name).generator()
        flat = chosen.reshape(size, -1)
        whole = die.reshape(len(die), -1)
        for column in range(flat.shape[1]):
            holes, good = np.isnan(flat[:, column]), whole[:, column]
            good = good[np.isfinite(good)] if np.isfinite(good).any() else np.ones(1)
            flat[holes, column] = good[fill.integers(len(good), size=int(holes.sum()))]
        rows.append(flat.reshape(chosen.shape))
    there = streams.device
    points = None if quantity.points is None else torch.from_numpy(quantity.points).to(there)
    return _Table(torch.from_numpy(np.stack(rows)).to(there), points)


def _in_order(matrix: Tensor, synapses: Synapses) -> Tensor:
    """Return what a matrix says of every synapse, in the order in which a connection has them."""
    return matrix if synapses.dense else matrix[synapses.wiring.pre, synapses.wiring.post]


def _matrix(quantity: Quantity, streams: Streams, synapses: Synapses) -> Tensor:
    """Return the factors of a connection, chip by chip."""
    rows = []
    for number, node in zip(streams.chips, streams.nodes("device"), strict=True):
        die = quantity.factors[number % len(quantity.factors)]
        good = die[np.isfinite(die)] if np.isfinite(die).any() else np.ones(1)
        row = torch.from_numpy(good[node.generator().integers(len(good), size=synapses.shape)])
        if die.shape == (synapses.inputs, synapses.outputs):
            own = _in_order(torch.from_numpy(die), synapses)
            row = torch.where(own.isfinite(), own, row)
        rows.append(row)
    return torch.stack(rows).to(streams.device)


def _mask(maps: Mapping[int | None, np.ndarray], layer: int, shape: tuple[int, ...]) -> Tensor:
    """Return where devices are broken, those places that there are."""
    mask = torch.zeros(shape, dtype=torch.bool)
    listed = maps.get(layer, maps.get(None))
    rows = [] if listed is None else [row if isinstance(row, list) else [row] for row in listed.tolist()]
    for place in rows:
        if all(index < size for index, size in zip(place, shape, strict=True)):
            mask[tuple(place)] = True
    return mask
