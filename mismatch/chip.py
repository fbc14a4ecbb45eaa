"""The wall: a population of chips owns its true parameters and lets only observations out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import final

import numpy as np
import torch
from torch import Tensor

from mismatch.spec import MismatchSpec
from rate_bridge.seeds import SeedTree
from spiking.hardware import Hardware
from spiking.network import Network
from spiking.neurons.base import Parameter
from spiking.presentation import Observation, Phase, Weights
from spiking.simulators.base import Simulator, initial_snapshot

__all__ = ["ChipPopulation"]


@final
class ChipPopulation:
    """Chips of one design, each with its own hidden mismatch.

    A chip is a slice: chip k's parameters are a function of ``(spec.seed, k)`` and its initial states
    of ``(seeds, k)`` and the presentation alone, so its history does not depend on its neighbours.

    Args:
        network: the design, with nominal values.
        spec: which parameters deviate and how.
        simulator: the machine that stands for the chips.
        seeds: where the random initial membrane states come from.
    """

    def __init__(self, network: Network, spec: MismatchSpec, simulator: Simulator, seeds: SeedTree) -> None:
        spec.check(network)
        simulator.check(network)
        self.network, self.spec = network, spec
        self._simulator, self._seeds = simulator, seeds
        self._draw = _Draw(network, spec)
        self._hardware: Hardware | None = None

    @property
    def chips(self) -> int:
        """Number of chips."""
        return self.spec.chips

    def sibling(self, spec: MismatchSpec) -> ChipPopulation:
        """Return other chips of the same design on the same machine."""
        return ChipPopulation(self.network, spec, self._simulator, self._seeds)

    def program(self, weights: Weights) -> None:
        """Write weights; what the chips make of them stays inside."""
        self._hardware = self._draw.hardware(weights)

    def present(self, phases: Sequence[Phase], *presentation: str | int) -> Observation:
        """Show phases to every chip and return what can be measured from outside.

        Args:
            phases: what to run, each on all chips.
            presentation: names this presentation, so that its initial states are its own.

        Raises:
            RuntimeError: nothing was programmed yet.
        """
        if self._hardware is None:
            raise RuntimeError("program the chips before presenting anything to them")
        hardware = self._hardware
        starts = {}
        for phase in phases:
            if phase.after is None:
                uniform = self._uniform(phase, presentation)
                starts[phase.name] = initial_snapshot(self.network, hardware, uniform, phase.shadow)
        return self._simulator.run(self.network, hardware, phases, starts)

    def _uniform(self, phase: Phase, presentation: tuple[str | int, ...]) -> list[Tensor]:
        """Draw the initial states chip by chip: every chip has a stream of its own."""
        sizes = self.network.sizes[1:]
        rows = []
        for chip in range(self.spec.first_chip, self.spec.first_chip + self.chips):
            node = self._seeds.child("chip", chip, *presentation, phase.start or phase.name)
            rows.append(node.generator().random((phase.batch, sum(sizes))))
        return list(torch.from_numpy(np.stack(rows)).split(sizes, dim=-1))


class _Draw:
    """The deviations of a population, as factors and offsets on the nominal values."""

    def __init__(self, network: Network, spec: MismatchSpec) -> None:
        self.network, self.spec = network, spec
        self.neurons = [self._neurons(index, "neuron") for index in range(network.depth)]
        own = spec.shadow == "own"
        self.shadows = (
            [self._neurons(index, "shadow") for index in range(network.depth)] if own else self.neurons
        )
        self.weights = [
            self._factors("weight", ("connection", c.pre, c.post), (sizes[c.pre], sizes[c.post]))
            for sizes in [network.sizes]
            for c in network.connections
        ]
        self.feedback = [
            self._factors("feedback", ("layer", index), (network.outputs, layer.size))
            for index, layer in enumerate(network.layers)
        ]
        self.readout = self._readout()

    def hardware(self, weights: Weights) -> Hardware:
        """Return the effective values of chips that `weights` were written to."""
        return Hardware(
            neurons=self._biased(self.neurons, weights.bias),
            shadows=self._biased(self.shadows, weights.bias),
            weights=_scaled(weights.forward, self.weights),
            feedback=_scaled(weights.feedback, self.feedback),
            readout=self.readout,
        )

    def _biased(
        self, layers: Sequence[Mapping[str, Tensor]], bias: Sequence[Tensor]
    ) -> tuple[Mapping[str, Tensor], ...]:
        pairs = zip(layers, bias, strict=True)
        return tuple({**values, "bias": values["bias"] + written} for values, written in pairs)

    def _neurons(self, index: int, place: str) -> dict[str, Tensor]:
        layer = self.network.layers[index]
        values = {}
        for parameter in layer.neuron.parameters:
            nominal = float(getattr(layer.neuron, parameter.field))
            nominal = 0.0 if parameter.field == "bias" else nominal
            deviation = self._factors(parameter.name, (place, index), (layer.size,))
            values[parameter.field] = _effective(parameter, nominal, deviation, self._shape(layer.size))
        return values

    def _shape(self, *shape: int) -> tuple[int, ...]:
        return (self.spec.chips, *shape)

    def _readout(self) -> dict[str, Tensor]:
        shape = (self.network.outputs,)
        one = torch.ones(self._shape(*shape), dtype=torch.float64)

        def factor(name: str) -> Tensor:
            drawn = self._factors(name, ("readout",), shape)
            return one if drawn is None else drawn

        return {
            "gain": factor("readout_gain"),
            "offset": factor("readout_offset") - 1.0,
            "kp": factor("kp"),
            "ki": factor("ki"),
        }

    def _factors(self, name: str, place: tuple[str | int, ...], shape: tuple[int, ...]) -> Tensor | None:
        """Return factors of mean 1, ``(chips, *shape)``, or None where `name` does not deviate."""
        distribution = self.spec.deviations.get(name)
        if distribution is None:
            return None
        rows = []
        for chip in range(self.spec.first_chip, self.spec.first_chip + self.spec.chips):
            node = SeedTree(self.spec.seed).child("mismatch", chip, name)
            rows.append(distribution.factors(node.child(*place).generator(), node.generator(), shape))
        return torch.from_numpy(np.stack(rows))


def _effective(
    parameter: Parameter, nominal: float, factors: Tensor | None, shape: tuple[int, ...]
) -> Tensor:
    if factors is None:
        return torch.full(shape, nominal, dtype=torch.float64)
    return nominal + (factors - 1.0) if parameter.additive else nominal * factors


def _scaled(values: Sequence[Tensor], factors: Sequence[Tensor | None]) -> tuple[Tensor, ...]:
    """Multiply what was written by the deviations; a copy either way, so that nothing is shared."""
    return tuple(
        value.detach().clone() if factor is None else value.detach() * factor
        for value, factor in zip(values, factors, strict=False)
    )
