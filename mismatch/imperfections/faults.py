"""Broken neurons and synapses."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Annotated, ClassVar, final

import torch
from torch import Tensor

from mismatch.imperfections.base import Die, Effect, Imperfection
from root.errors import InputError, UnsupportedError
from root.ranges import FRACTION, GAIN, check_ranges
from spiking.connections import Synapses
from spiking.hardware import Hardware
from spiking.network import Network
from spiking.neurons.base import Values

__all__ = ["Faults"]


@final
@dataclass(frozen=True)
class Faults(Imperfection):
    r"""Devices that do not work, each broken or not by a draw of its own.

    A *dead* neuron never emits anything. An *always-firing* one has lost its synapses and has the
    constant current that gives its design `firing_rate`. A synapse *stuck at zero* has the effective
    weight 0 and one *stuck on* has :math:`\pm w_{on}`, whatever is written; a broken *row* is a
    presynaptic line that reaches none of its synapses, a broken *column* a postsynaptic one that hears
    none. Feedback synapses break like forward ones. Faults are effective values, so that every
    simulator computes with the same ones.

    Source: stuck-at faults of memory arrays, Xia et al. 2017, doi:10.1145/3061639.3062248; the definitions
    of broken neurons and lines are ours.

    Args:
        dead: fraction of neurons.
        firing: fraction of neurons.
        firing_rate: rate of the always-firing ones, 1 = ``max_rate_hz``.
        stuck_zero: fraction of synapses.
        stuck_on: fraction of synapses.
        on_weight: :math:`w_{on}`, in units of effective weights.
        rows: fraction of every matrix's rows.
        columns: fraction of every matrix's columns.
    """

    dead: Annotated[float, FRACTION] = 0.0
    firing: Annotated[float, FRACTION] = 0.0
    firing_rate: Annotated[float, GAIN] = 1.0
    stuck_zero: Annotated[float, FRACTION] = 0.0
    stuck_on: Annotated[float, FRACTION] = 0.0
    on_weight: Annotated[float, GAIN] = 1.0
    rows: Annotated[float, FRACTION] = 0.0
    columns: Annotated[float, FRACTION] = 0.0

    order: ClassVar[int] = 90

    def __post_init__(self) -> None:
        check_ranges(self)
        for first, second in (("dead", "firing"), ("stuck_zero", "stuck_on")):
            total = getattr(self, first) + getattr(self, second)
            if total > 1:
                raise InputError(second, getattr(self, second), f"at most 1 together with {first}")

    def without_effect(self) -> Iterator[tuple[str, str]]:
        """Yield fields that do nothing beside the others, and why."""
        if not self.firing:
            yield "firing_rate", "no neuron fires always (firing)"
        if not self.stuck_on:
            yield "on_weight", "no synapse is stuck on (stuck_on)"

    def check(self, network: Network) -> None:
        for layer in network.layers:
            if self.dead and not layer.neuron.dead:
                raise UnsupportedError("dead", layer.neuron.model, "a neuron model that can be dead")

    def on(self, die: Die) -> Effect:
        return _Broken(self, die)


class _Broken(Effect):
    def __init__(self, faults: Faults, die: Die) -> None:
        self.network = die.network
        self.neurons = [self._neurons(faults, die, index) for index in range(die.network.depth)]
        masks = {name: self._synapses(faults, die, name, shape) for name, shape in die.synapses().items()}
        self.forward = [masks[f"forward.{i}"] for i in range(1, len(die.network.connections) + 1)]
        self.feedback = [masks[f"feedback.{i}"] for i in range(1, die.network.depth + 1)]
        self.currents = [
            float(
                layer.neuron.transfer(die.network.max_rate_hz, die.network.dt_ms).inverse(
                    torch.tensor(faults.firing_rate, dtype=torch.float64)
                )
            )
            if faults.firing
            else 0.0
            for layer in die.network.layers
        ]
        for index, connection in enumerate(die.network.connections):
            hears = self._hears(connection.post - 1)
            self.forward[index] = _times(self.forward[index], _behind(hears, die.network.synapses[index]))
        for index in range(die.network.depth):
            behind = _behind(self._hears(index), die.network.feedback_synapses[index])
            self.feedback[index] = _times(self.feedback[index], behind)

    @staticmethod
    def _neurons(faults: Faults, die: Die, index: int) -> tuple[Tensor, Tensor]:
        """Return where the neurons of a layer are dead, and where they always fire."""
        size = (die.network.layers[index].size,)
        lot = die.streams.uniform("neuron", index, shape=size)
        return lot < faults.dead, (lot >= faults.dead) & (lot < faults.dead + faults.firing)

    @staticmethod
    def _synapses(faults: Faults, die: Die, name: str, shape: tuple[int, ...]) -> tuple[Tensor, Tensor]:
        """Return factors (0 or 1) and what is added to the weights."""
        lot = die.streams.uniform("synapse", name, shape=shape)
        wired = die.wired(name)
        before, behind = shape if wired is None else (wired.inputs, wired.outputs)
        rows = die.streams.uniform("row", name, shape=(before, 1)) < faults.rows
        columns = die.streams.uniform("column", name, shape=(1, behind)) < faults.columns
        if wired is not None:
            rows, columns = rows[:, wired.wiring.pre, 0], columns[:, 0, wired.wiring.post]
        broken = lot < faults.stuck_zero + faults.stuck_on
        stuck_on = broken & (lot >= faults.stuck_zero)
        sign = torch.where(die.streams.uniform("sign", name, shape=shape) < 0.5, -1.0, 1.0)
        works = ~(rows | columns)
        return (works & ~broken).double(), (works & stuck_on) * sign.double() * faults.on_weight

    def _hears(self, layer: int) -> Tensor:
        """Return 0 for neurons that have lost their synapses, ``(chips, n)``."""
        return (~self.neurons[layer][1]).double()

    def settle(self, hardware: Hardware) -> Hardware:
        return replace(
            hardware,
            neurons=self._values(hardware.neurons),
            shadows=self._values(hardware.shadows),
            weights=_masked(hardware.weights, self.forward),
            feedback=_masked(hardware.feedback, self.feedback),
        )

    def _values(self, layers: Sequence[Values]) -> tuple[Values, ...]:
        changed = []
        for index, (layer, values) in enumerate(zip(self.network.layers, layers, strict=True)):
            dead, firing = self.neurons[index]
            new = {**values, "bias": torch.where(firing, self.currents[index], values["bias"])}
            for field, value in layer.neuron.dead.items():
                new[field] = torch.where(dead, value, new[field])
            changed.append(new)
        return tuple(changed)


def _behind(values: Tensor, synapses: Synapses) -> Tensor:
    """Return the values of postsynaptic neurons, ``(chips, n)``, for every synapse."""
    return values.unsqueeze(1) if synapses.dense else values[:, synapses.wiring.post]


def _times(mask: tuple[Tensor, Tensor], factor: Tensor) -> tuple[Tensor, Tensor]:
    return mask[0] * factor, mask[1] * factor


def _masked(weights: Sequence[Tensor], masks: Sequence[tuple[Tensor, Tensor]]) -> tuple[Tensor, ...]:
    return tuple(w * factor + extra for w, (factor, extra) in zip(weights, masks, strict=False))
