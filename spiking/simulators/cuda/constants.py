"""What programming does not change about chips: laid out on the card once, for the chips seen last."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple, final

import torch
from torch import Tensor

from spiking.hardware import Hardware
from spiking.network import Network
from spiking.neurons.base import Values
from spiking.simulators.cuda.layout import Layout
from spiking.simulators.cuda.source import Group

__all__ = ["Known", "Laid"]

KEPT = 2
"""Populations that are remembered: of training, and of tests."""


class Laid(NamedTuple):
    """Constants of all layers.

    Args:
        layout: where they lie.
        groups: the models.
        neurons: ``(chips, constants, columns)``.
        shadows: the same for the shadows.
        decay: of the synaptic currents, ``(chips, columns)``.
        decays: the same per layer, ``(chips, 1, n)``, in float64.
        tables: the layout as the kernel has it.
    """

    layout: Layout
    groups: tuple[Group, ...]
    neurons: Tensor
    shadows: Tensor
    decay: Tensor
    decays: tuple[Tensor, ...]
    tables: dict[str, Tensor]


@final
class Known:
    """Constants by the very tensors that they follow from; others, or changed ones, are laid out anew."""

    def __init__(self, device: torch.device, dtype: torch.dtype) -> None:
        self.device, self.dtype = device, dtype
        self._known: list[tuple[object, list[tuple[Tensor, int]], Laid]] = []

    def of(self, network: Network, hardware: Hardware) -> Laid:
        """Return the constants of the chips."""
        layers = (*hardware.neurons, *hardware.shadows)
        tensors = [(v, v._version) for values in layers for k, v in values.items() if k != "bias"]
        for scope, known, laid in self._known:
            pairs = zip(known, tensors, strict=False)
            alike = len(known) == len(tensors) and all(a is b and v == w for (a, v), (b, w) in pairs)
            if scope == network and alike:
                return laid
        laid = self._lay_out(network, hardware)
        self._known = [(network, tensors, laid), *self._known[: KEPT - 1]]
        return laid

    def _lay_out(self, network: Network, hardware: Hardware) -> Laid:
        options = [layer.neuron.options for layer in network.layers]
        kinds = [options.index(own) for own in options]
        numbers = {first: number for number, first in enumerate(dict.fromkeys(kinds))}
        layout = Layout(network, [numbers[first] for first in kinds])
        groups = tuple(_group(network, hardware, layout.groups, number) for number in numbers.values())
        most = max(1, *(len(group.constants) for group in groups))
        shape = (hardware.chips, most, layout.columns)

        def laid(layers: Sequence[Values]) -> Tensor:
            rows = torch.zeros(shape, dtype=self.dtype, device=self.device)
            for layer, values in enumerate(layers):
                first, group = layout.first[layer], groups[layout.groups[layer]]
                found = _constants(group, values, network.dt_ms)
                for place, name in enumerate(group.constants):
                    rows[:, place, first : first + layout.sizes[layer]] = found[name].squeeze(1)
            return rows

        decays = tuple(
            layer.neuron.synapse_decay(values, network.dt_ms).unsqueeze(1)
            for layer, values in zip(network.layers, hardware.neurons, strict=True)
        )
        decay = torch.zeros(shape[0], shape[2], dtype=self.dtype, device=self.device)
        return Laid(
            layout=layout,
            groups=groups,
            neurons=laid(hardware.neurons),
            shadows=laid(hardware.shadows),
            decay=layout.join([d.squeeze(1) for d in decays], decay),
            decays=decays,
            tables=layout.tables(self.device),
        )


def _group(network: Network, hardware: Hardware, groups: Sequence[int], number: int) -> Group:
    """Return a model with what any of its neurons, or of their shadows, reads."""
    layers = [layer for layer, group in enumerate(groups) if group == number]
    neuron = network.layers[layers[0]].neuron
    names: set[str] = set()
    for layer in layers:
        for values in (hardware.neurons[layer], hardware.shadows[layer]):
            names |= neuron.constants(values, network.dt_ms).keys()
    program = neuron.program(names)
    return Group(neuron, program, program.reads)


def _constants(group: Group, values: Values, dt_ms: float) -> dict[str, Tensor]:
    """Return constants, of which a layer may have left out what does nothing there."""
    found = dict(group.neuron.constants(values, dt_ms))
    like = values[group.neuron.parameters[0].field].unsqueeze(1)
    fields = {p.name: p.field for p in group.neuron.parameters}
    for name in set(group.constants) - found.keys():
        found[name] = values[fields[name]].unsqueeze(1) if name in fields else torch.zeros_like(like)
    return found
