"""Populations to look at: what a seed draws, in numbers, to be stored and compared."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import final

import torch
from safetensors.torch import save_file
from torch import Tensor

from mismatch.draw import Draw
from mismatch.imperfections.base import Die
from mismatch.spec import MismatchSpec
from mismatch.values import flatten
from spiking.network import Network
from spiking.presentation import Weights
from spiking.tensor_files import read_tensors

__all__ = ["Difference", "Population", "Summary", "draw"]


@final
@dataclass(frozen=True)
class Summary:
    """What was drawn of one quantity of one layer.

    Args:
        name: such as ``neuron.1.threshold`` or ``weight.2``.
        mean: over chips and devices.
        std: over chips and devices.
        low: the smallest.
        high: the largest.
        zero: fraction that is exactly 0 (broken synapses).
        between: standard deviation of the chips' means.
    """

    name: str
    mean: float
    std: float
    low: float
    high: float
    zero: float
    between: float


@final
@dataclass(frozen=True)
class Difference:
    """How one quantity differs between two populations.

    Args:
        name: the quantity.
        largest: largest difference, over the chips and devices both have.
        correlation: of the two, 1 for the same chips and about 0 for others; NaN where nothing varies.
    """

    name: str
    largest: float
    correlation: float


@final
@dataclass(frozen=True)
class Population:
    """The true values of chips whose synapses were all programmed to 1.

    Args:
        values: by name, each ``(chips, ...)``; weights are what a written 1 comes to.
    """

    values: Mapping[str, Tensor]

    def describe(self) -> list[Summary]:
        """Return a summary of everything that is not the same on all chips and devices."""
        return [
            Summary(
                name,
                float(value.mean()),
                float(value.std(correction=0)),
                float(value.min()),
                float(value.max()),
                float((value == 0).double().mean()),
                float(value.flatten(1).mean(1).std(correction=0)),
            )
            for name, value in ((n, v.double()) for n, v in self.values.items())
            if value.numel() and bool((value != value.flatten()[0]).any())
        ]

    def save(self, path: Path) -> None:
        """Write the values as safetensors."""
        save_file({name: value.clone().contiguous() for name, value in self.values.items()}, path)

    @classmethod
    def load(cls, path: Path) -> Population:
        """Read what `save` wrote.

        Raises:
            InputError: there is no such file, or it holds something else.
        """
        return cls(read_tensors(path, "--compare")[0])

    def compare(self, other: Population) -> list[Difference]:
        """Return how every quantity that both have, in the same sizes, differs on the chips both have."""
        found = []
        for name, value in self.values.items():
            theirs = other.values.get(name)
            if theirs is None or theirs.dim() == 0 or theirs.shape[1:] != value.shape[1:]:
                continue
            chips = min(len(value), len(theirs))
            if chips == 0:
                continue
            a, b = value[:chips].flatten().double(), theirs[:chips].flatten().double()
            correlation = float(torch.corrcoef(torch.stack([a, b]))[0, 1]) if a.numel() > 1 else float("nan")
            found.append(Difference(name, float((a - b).abs().max()), correlation))
        return found


def draw(network: Network, spec: MismatchSpec) -> Population:
    """Return the chips of a spec, without a machine to run them on.

    Raises:
        InputError: `spec` does not fit the network.
    """
    spec.check(network)
    drawn = Draw(network, spec)

    def ones(*shape: int) -> Tensor:
        return torch.ones(spec.chips, *shape, dtype=torch.float64)

    hardware = drawn.hardware(
        Weights(
            forward=tuple(ones(*(s.parameters if drawn.shared else s.shape)) for s in network.synapses),
            bias=tuple(
                ones(n.size) * (own["bias"] if own else float(getattr(n.neuron, "bias", 0.0)))
                for n, own in zip(network.layers, spec.neurons or ({},) * network.depth, strict=True)
            ),
            feedback=tuple(ones(*shape) for shape in network.feedback_shapes),
        )
    )
    for name, kind in spec.kinds:
        die = Die(network, drawn.streams.child(name), spec.shadow == "shared")
        hardware = kind.on(die).settle(hardware)
    return Population(flatten(hardware))
