"""What is wrong with the chips of a population, and from which seed."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import torch
from torch import Tensor

from mismatch.distributions import Distribution
from mismatch.imperfections.base import Imperfection
from root.errors import InputError, UnsupportedError, nearest
from spiking.network import Network
from spiking.neurons.base import Parameter
from spiking.simulators.base import Simulator

__all__ = ["MismatchSpec", "deviating", "nominal"]

SYNAPTIC = ("weight", "bias_weight", "feedback", "input_gain", "delay")
READOUT = ("readout_gain", "readout_offset", "kp", "ki")


@dataclass(frozen=True)
class MismatchSpec:
    """The hidden deviations of a population of chips.

    Args:
        chips: number of chips.
        seed: root of the mismatch seed tree; chip k is a function of it and k alone.
        deviations: parameter name (without its unit) to the distribution of its deviation.
        first_chip: index of the first chip, so that tuning can use chips other than those reported.
        shadow: ``"own"``: a basal shadow membrane deviates on its own, as on a real chip;
            ``"shared"``: it is an exact twin of its neuron, an idealisation.
        shadow_share: with ``"own"``, how much of the way from its neuron's values to values of its own a
            shadow goes, in (0, 1]: shadows built beside their neurons are alike.
        imperfections: kinds beyond static deviations, by their registered names.
        weight_per: what a deviation of weights belongs to, where synapses share numbers: ``"synapse"``, on an
            array that holds a number once for every synapse, or ``"parameter"``, where one is read for all.
        neurons: per layer, parameter field to the design's value of every neuron, ``(n,)``, where neurons
            of a layer are made to differ; deviations are from these. Empty: the network's nominal ones.
    """

    chips: int = 1
    seed: int = 1
    deviations: Mapping[str, Distribution] = field(default_factory=dict)
    first_chip: int = 0
    shadow: str = "own"
    imperfections: Mapping[str, Imperfection] = field(default_factory=dict)
    neurons: tuple[Mapping[str, Tensor], ...] = field(default=(), compare=False)
    shadow_share: float = 1.0
    weight_per: str = "synapse"

    def __post_init__(self) -> None:
        if self.chips < 1:
            raise InputError("mismatch.chips", self.chips, "1 or more")
        if self.seed < 0:
            raise InputError("mismatch.seed", self.seed, "0 or more")
        if self.first_chip < 0:
            raise InputError("mismatch.first_chip", self.first_chip, "0 or more")
        if self.shadow not in ("own", "shared"):
            raise InputError("mismatch.shadow", self.shadow, "own, shared")
        if self.weight_per not in ("synapse", "parameter"):
            raise InputError("mismatch.weight.per", self.weight_per, "synapse, parameter")
        if not 0 < self.shadow_share <= 1:
            fix = "mismatch.shadow: shared is the share 0"
            raise InputError("mismatch.shadow_share", self.shadow_share, "a number in (0, 1]", fix)

    @property
    def numbers(self) -> range:
        """The numbers of the chips."""
        return range(self.first_chip, self.first_chip + self.chips)

    @property
    def kinds(self) -> list[tuple[str, Imperfection]]:
        """The imperfections in the order in which they act."""
        return sorted(self.imperfections.items(), key=lambda item: (item[1].order, item[0]))

    @property
    def is_ideal(self) -> bool:
        """Whether the chips are what their designer wrote down."""
        return not self.deviations and not self.imperfections

    @property
    def drifts(self) -> bool:
        """Whether the chips change with time."""
        return any(kind.drifts for kind in self.imperfections.values())

    @property
    def ideal(self) -> MismatchSpec:
        """The design itself, as one chip."""
        return replace(self, chips=1, first_chip=0, deviations={}, imperfections={})

    def check(self, network: Network) -> None:
        """Raise `InputError` for what the network does not have, or what would do nothing."""
        known = deviating(network)
        sizes = [tuple(len(value) for value in layer.values()) for layer in self.neurons]
        if sizes and [set(each) for each in sizes] != [{layer.size} for layer in network.layers]:
            raise InputError("neurons", sizes, f"a value for every neuron of layers {network.sizes[1:]}")
        own = {p.name for layer in network.layers for p in layer.neuron.parameters}
        if taken := sorted(own & {*SYNAPTIC, *READOUT}):
            allowed = f"other names than those of the chip's own: {', '.join((*SYNAPTIC, *READOUT))}"
            raise InputError("network.neuron.parameters", ", ".join(taken), allowed)
        for name, distribution in self.deviations.items():
            if name not in known:
                raise InputError("mismatch", name, ", ".join(known), nearest(name, known))
            _check_effect(network, name, distribution, self.neurons)
        if "delay" in self.deviations:
            _check_delays(network, self.deviations["delay"])
        self._check_shared(network)
        for name, kind in self.imperfections.items():
            try:
                kind.check(network)
            except InputError as error:
                key = f"mismatch.{name}.{error.key}"
                raise type(error)(key, error.given, error.allowed, error.fix) from None

    def _check_shared(self, network: Network) -> None:
        if self.weight_per == "synapse":
            return
        shares = any(not s.dense and s.count > math.prod(s.parameters) for s in network.synapses)
        if not shares:
            raise InputError(
                "mismatch.weight.per", self.weight_per, "synapse (the default): no synapses share a number"
            )
        if "input_gain" in self.deviations:
            fix = "Remove the key, or mismatch.weight.per."
            raise InputError(
                "mismatch.input_gain", "a deviation", "mismatch.weight.per: synapse beside it", fix
            )
        if self.imperfections:
            name = next(iter(self.imperfections))
            fix = "Imperfections act on devices that each hold the weight of one synapse."
            raise InputError(
                f"mismatch.{name}", "an imperfection", "mismatch.weight.per: synapse beside it", fix
            )

    def check_machine(self, simulator: Simulator) -> None:
        """Raise `UnsupportedError` for what `simulator` cannot express."""
        needs = {name: kind.needs for name, kind in self.imperfections.items()}
        if "delay" in self.deviations:
            needs["delay"] = frozenset({"delays"})
        for name, wanted in needs.items():
            if missing := wanted - simulator.abilities:
                allowed = f"a simulator with {', '.join(sorted(missing))} (torch); {simulator.name} has none"
                raise UnsupportedError(f"mismatch.{name}", name, allowed, "use simulator.name=torch")


def _check_effect(
    network: Network, name: str, distribution: Distribution, neurons: tuple[Mapping[str, Tensor], ...]
) -> None:
    """Refuse deviations of a neuron's parameter that change nothing: factors of 0, parts of a time step."""
    low, high = distribution.support
    found = [
        (i, p) for i, layer in enumerate(network.layers) for p in layer.neuron.parameters if p.name == name
    ]
    values = [nominal(network, neurons, index, parameter) for index, parameter in found]
    pairs = zip(found, values, strict=True)
    if found and not any(p.deviates(value, low, high, network.dt_ms) for (_, p), value in pairs):
        largest = max(float(value.max()) for value in values)
        fix = f"network.neuron says {found[0][1].field}: {largest:g}, whose steps these factors leave alone."
        raise InputError(
            f"mismatch.{name}", distribution, "nothing, or a nominal value that they change", fix
        )


def nominal(
    network: Network, neurons: tuple[Mapping[str, Tensor], ...], index: int, parameter: Parameter
) -> Tensor:
    """Return what the design says of a parameter: one value for all neurons of a layer, or one each.

    Args:
        network: the design.
        neurons: per layer, values of single neurons; empty where a layer has one for all.
        index: of the layer, from 0.
        parameter: which.
    """
    if neurons:
        return neurons[index][parameter.field]
    value = network.layers[index].neuron.nominal[parameter.field]
    return torch.tensor(value, dtype=torch.float64)


def _check_delays(network: Network, distribution: Distribution) -> None:
    """Refuse deviations that never come to a whole step."""
    low, high = distribution.support
    if all(
        round(c.delay_steps * high) == c.delay_steps == max(1, round(c.delay_steps * low))
        for c in network.connections
    ):
        raise InputError(
            "mismatch.delay",
            distribution,
            "deviations of half a time step or more: delays are whole steps",
            "longer network.delay_ms, or a smaller simulator.dt_ms",
        )


def deviating(network: Network) -> list[str]:
    """Return the names of everything that can deviate in `network`."""
    neurons = {p.name for layer in network.layers for p in layer.neuron.parameters}
    return [*sorted(neurons), *SYNAPTIC, *READOUT]
