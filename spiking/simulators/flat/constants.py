"""What programming does not change about chips, laid out once for the chips that were seen last."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Generic, NamedTuple, TypeVar, final

import torch
from torch import Tensor

from spiking.blocks.bound import synapse_decays, synaptic_gain
from spiking.blocks.populations import Population, populations
from spiking.hardware import Hardware
from spiking.network import Network
from spiking.neurons.base import Values
from spiking.programs.statements import HOLD, Program
from spiking.simulators.flat.columns import Columns

__all__ = ["REAL", "Constants", "Known", "constants_of"]

REAL = "real"
"""The constant that is 1 for a neuron, 0 for a column that fills up a word and must not spike."""

Laid = TypeVar("Laid")


class Constants(NamedTuple):
    """Discrete constants of all layers.

    Args:
        groups: the populations.
        programs: of each, its step, with the constants that these chips need.
        neurons: those of each in the order of what its step reads, ``(chips, constants, columns)``.
        shadows: the same for the shadows, or None.
        decay: of the synaptic currents, ``(chips, columns)``.
        decays: the same per layer, ``(chips, n)``, in float64.
        gains: `synaptic_gain` of every connection.
    """

    groups: tuple[Population, ...]
    programs: tuple[Program, ...]
    neurons: Tensor
    shadows: Tensor | None
    decay: Tensor
    decays: tuple[Tensor, ...]
    gains: tuple[Tensor, ...]


@final
class Known(Generic[Laid]):
    """What follows from chips, by their very tensors; for other tensors, or changed ones, it is made anew.

    Biases have no part in it: they are programmed, and new with every batch.

    Args:
        kept: how many are remembered.
    """

    def __init__(self, kept: int) -> None:
        self._kept = kept
        self._known: list[tuple[object, list[tuple[Tensor, int]], Laid]] = []

    def of(self, scope: object, layers: Sequence[Values], make: Callable[[], Laid]) -> Laid:
        """Return what was made of the chips.

        Args:
            scope: what else it follows from.
            layers: parameter values of neurons, or shadows.
            make: makes it.
        """
        tensors = [(v, v._version) for values in layers for k, v in values.items() if k != "bias"]
        for known_scope, known, laid in self._known:
            pairs = zip(known, tensors, strict=False)
            alike = len(known) == len(tensors) and all(a is b and v == w for (a, v), (b, w) in pairs)
            if alike and known_scope == scope:
                return laid
        made = make()
        self._known = [(scope, tensors, made), *self._known[: self._kept - 1]]
        return made


def constants_of(
    network: Network, hardware: Hardware, columns: Columns, *, shadow: bool, names: Sequence[str] = ()
) -> Constants:
    """Return the constants of chips.

    Args:
        network: the description.
        hardware: the effective parameters.
        columns: where the layers lie.
        shadow: whether shadows run.
        names: the constants that a kernel's step reads, where it was made without looking at the chips.
    """
    chips = (hardware.neurons, hardware.shadows) if shadow else (hardware.neurons,)
    groups = populations(network)
    made = [{name for layers in chips for name in own.constants(layers, network.dt_ms)} for own in groups]
    programs = tuple(own.neuron.program(found) for own, found in zip(groups, made, strict=True))
    reads = [
        [name for name in names if REAL in names or name in found] or program.reads
        for program, found in zip(programs, made, strict=True)
    ]
    most = max(1, *(len(rows) for rows in reads))

    def laid(layers: Sequence[Values]) -> Tensor:
        room = columns.room(hardware.chips, most, columns.total)
        for own, rows in zip(groups, reads, strict=True):
            sizes = [network.layers[layer].size for layer in own.layers]
            found = _filled(own, layers, network.dt_ms, rows)
            for row, values in enumerate(found):
                columns.join(torch.split(values, sizes, dim=-1), room[:, row], own.layers)
        return room

    decays = synapse_decays(network, hardware)
    return Constants(
        groups=groups,
        programs=programs,
        neurons=laid(hardware.neurons),
        shadows=laid(hardware.shadows) if shadow else None,
        decay=columns.join(decays),
        decays=decays,
        gains=tuple(synaptic_gain(network, decays, connection) for connection in network.connections),
    )


def _filled(own: Population, layers: Sequence[Values], dt_ms: float, names: Sequence[str]) -> list[Tensor]:
    """Return constants of these names, ``(chips, neurons)`` each.

    Those that were left out, since they do nothing on these chips, are parameters, or the steps for which
    nobody is held.
    """
    given = own.beside(layers)
    made = own.neuron.constants(given, dt_ms)
    known = {p.name: given[p.field] for p in own.neuron.parameters if p.field in given}
    like = next(iter(known.values()))
    known |= {HOLD: torch.zeros_like(like), REAL: torch.ones_like(like)}
    return [made[name][:, 0] if name in made else known[name] for name in names]
