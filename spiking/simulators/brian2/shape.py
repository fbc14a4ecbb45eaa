"""What a generated program depends on: the structure of a block, without its numbers."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass
from typing import Any, Literal

from spiking.programs.to_brian2 import Code

__all__ = ["PREFIXES", "Part", "Population", "Shape"]

PREFIXES = ("soma_", "shadow_")
"""What the names of the neurons' and of the shadows' own variables start with."""


@dataclass(frozen=True)
class Part:
    """One kind of membrane: the neurons themselves, or their basal shadows.

    Args:
        code: the neuron's step.
        constants: names of its discrete constants.
        states: names of its state variables.
    """

    code: Code
    constants: tuple[str, ...]
    states: tuple[str, ...]


@dataclass(frozen=True)
class Population:
    """Consecutive layers of one neuron model, side by side along the neuron axis.

    Args:
        layers: their indices in ``network.layers``.
        sizes: their sizes.
        parts: the neurons, and the shadows where they run.
        spikes: whether the neurons spike.
    """

    layers: tuple[int, ...]
    sizes: tuple[int, ...]
    parts: tuple[Part, ...]
    spikes: bool

    @property
    def size(self) -> int:
        """Number of neurons of one sample."""
        return sum(self.sizes)


@dataclass(frozen=True)
class Shape:
    """The structure of a block. Chips, batch, steps and dt are data, so one program serves them all.

    Args:
        inputs: size of the input layer.
        populations: the neurons.
        connections: ``(pre, post, delay_steps)`` of every connection.
        drive: how the input acts.
        controller: whether the loop is closed.
        injected: whether there are injected currents.
        record: names of the traces to be recorded.
        plastic: whether the synapses change after every batch of samples.
        traced: whether they learn in every step, by presynaptic traces; `plastic` is then true too.
        gate_points: points of the gates' curves where feedback is layered, 0 where it is direct.
        moves: whether the controller's target moves.
    """

    inputs: int
    populations: tuple[Population, ...]
    connections: tuple[tuple[int, int, int], ...]
    drive: Literal["spikes", "currents"]
    controller: bool
    injected: bool
    record: tuple[str, ...]
    plastic: bool = False
    gate_points: int = 0
    moves: bool = False
    traced: bool = False

    @property
    def shadow(self) -> bool:
        """Whether the basal shadows run."""
        return len(self.populations[0].parts) > 1

    @property
    def outputs(self) -> int:
        """Size of the last layer."""
        return self.populations[-1].sizes[-1]

    @property
    def depth(self) -> int:
        """Number of layers of neurons."""
        return sum(len(population.layers) for population in self.populations)

    @property
    def currents(self) -> list[tuple[int, int]]:
        """Connections that carry currents of the input, and the layers that they reach."""
        if self.drive != "currents":
            return []
        return [(index, post) for index, (pre, post, _) in enumerate(self.connections) if pre == 0]

    @property
    def carrying(self) -> list[tuple[int, int, int, int]]:
        """Connections that carry emissions: place, layers before and behind, and delay in steps."""
        held = [index for index, _ in self.currents]
        return [(index, *own) for index, own in enumerate(self.connections) if index not in held]

    @property
    def driven(self) -> list[int]:
        """The populations that they reach."""
        return sorted({self.place(post)[0] for _, post in self.currents})

    @property
    def relays(self) -> range:
        """Layers that pass on what they receive: 1 to L - 1 where feedback is layered."""
        return range(1, self.depth if self.gate_points else 1)

    def size(self, layer: int) -> int:
        """Return the size of layer 0 to L."""
        return self.place(layer)[2] if layer else self.inputs

    def place(self, layer: int) -> tuple[int, int, int]:
        """Return the population of layer 1 to L, the layer's first neuron in it, and its size."""
        for index, population in enumerate(self.populations):
            if layer - 1 in population.layers:
                local = population.layers.index(layer - 1)
                return index, sum(population.sizes[:local]), population.sizes[local]
        raise LookupError(layer)

    def digest(self, *more: str) -> str:
        """Return a hash of the structure and of `more` (versions)."""
        text = json.dumps([asdict(self), *more], sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()[:24]

    def to_json(self) -> str:
        """Return the shape as text that `from_json` reads."""
        return json.dumps(asdict(self), sort_keys=True)

    @classmethod
    def from_json(cls, text: str) -> Shape:
        """Read what `to_json` wrote."""
        data: dict[str, Any] = json.loads(text)
        populations = tuple(
            Population(
                layers=tuple(p["layers"]),
                sizes=tuple(p["sizes"]),
                parts=tuple(
                    Part(Code(**q["code"]), tuple(q["constants"]), tuple(q["states"])) for q in p["parts"]
                ),
                spikes=p["spikes"],
            )
            for p in data.pop("populations")
        )
        connections = tuple((pre, post, delay) for pre, post, delay in data.pop("connections"))
        record = tuple(data.pop("record"))
        return cls(populations=populations, connections=connections, record=record, **data)
