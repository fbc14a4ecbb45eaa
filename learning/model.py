"""What a rule knows: the nominal design, the weights it programmed, and its own memory."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar, final

import torch
from torch import Tensor, nn

from learning.state import RuleState
from learning.stimulus import Stimulus
from rate_bridge.calibration import MeasuredTransfer, stretch
from rate_bridge.transfer import Transfer
from root.seeds import SeedTree
from spiking.connections import Synapses
from spiking.naming import named_weights
from spiking.network import Network
from spiking.presentation import Relay, Weights

__all__ = ["Model", "OnChip", "Truth"]


@final
@dataclass(frozen=True)
class Truth:
    """What only an oracle tells: the chips' own parameters instead of the design's.

    Args:
        weights: effective weights of the synapses per connection, ``(chips, *shape)``.
        transfers: the true curves of layers 1 to L.
        neurons: per layer 1 to L, the neurons' true values by their config keys, ``(chips, n)``.
        gains: what written weights were multiplied by, per connection, ``(chips, *shape)``.
    """

    weights: tuple[Tensor, ...]
    transfers: tuple[Transfer, ...]
    neurons: tuple[Mapping[str, Tensor], ...] = ()
    gains: tuple[Tensor, ...] = ()


@final
@dataclass(frozen=True)
class Calibration(RuleState):
    """The curves of the neurons as they were measured on the chips, per layer 1 to L.

    Args:
        currents: the levels, ``(points,)``.
        rates: what they gave, ``(chips, n, points)``.
    """

    currents: tuple[Tensor, ...]
    rates: tuple[Tensor, ...]

    prefix: ClassVar[str] = "calibration"


@final
@dataclass(frozen=True)
class OnChip:
    """How synapses are to change by themselves, where the chips and not the host make the steps.

    Args:
        batch: samples between two readings.
        steps: step size per connection.
    """

    batch: int
    steps: tuple[float, ...]


@final
class Model(nn.Module):
    """The rule's own knowledge; nothing in it was ever told by a chip but through observations.

    Args:
        network: the design, with nominal parameter values.
        stimulus: how samples are shown.
        chips: number of chips; every chip has weights of its own.
        seeds: the rule's branch of the seed tree.
        weight_gain: per connection, standard deviation of the initial weights times the root of the number of
            synapses on a neuron.
        bias_spread: per layer 1 to L, standard deviation of the initial biases around the nominal one.
        initial: the initial weights, ``(*parameters)``, and biases, ``(n,)``, where none are to be drawn.
        device: where the weights live, and what the rule computes with.
    """

    def __init__(
        self,
        network: Network,
        stimulus: Stimulus,
        chips: int,
        seeds: SeedTree,
        *,
        weight_gain: tuple[float, ...],
        bias_spread: tuple[float, ...],
        initial: Weights | None = None,
        device: torch.device | None = None,
    ) -> None:
        super().__init__()
        self.device = device or torch.device("cpu")
        self.network, self.stimulus, self.chips, self.seeds = network, stimulus, chips, seeds
        self.feedback: tuple[Tensor, ...] = ()
        self.relay: Relay | None = None
        self.memory: dict[str, Tensor] = {}
        self.truth: Truth | None = None
        self._stretches: dict[int, tuple[Tensor, Tensor]] = {}
        """Per layer whose curves were measured, the rates and the stretch that was fitted to them."""
        self.on_chip: OnChip | None = None
        self.forward_weights = nn.ParameterList(
            nn.Parameter(self.drawn(index, gain, "initial", "weight", index), requires_grad=False)
            for index, gain in enumerate(weight_gain)
        )
        self.bias = nn.ParameterList(
            self._parameter(bias_spread[index], "bias", index, (layer.size,), _nominal_bias(layer.neuron))
            for index, layer in enumerate(network.layers)
        )
        if initial is not None:
            for ours, given in zip(
                [*self.forward_weights, *self.bias], [*initial.forward, *initial.bias], strict=True
            ):
                ours.detach().copy_(given)  # the same for every chip

    def drawn(self, index: int, gain: float, *place: str | int) -> Tensor:
        """Return random weights of a connection, drawn once and the same on every chip.

        Args:
            index: of the connection.
            gain: standard deviation times the root of the number of synapses on a neuron.
            place: the stream of the rule's that they come from.
        """
        synapses, pattern = self.network.synapses[index], self.network.connections[index].pattern
        noise = torch.from_numpy(self.seeds.child(*place).generator().standard_normal(synapses.parameters))
        value = pattern.initial(synapses, gain, noise.to(self.device))
        return value.expand(self.chips, *value.shape).clone()

    def _parameter(
        self, scale: float, name: str, index: int, shape: tuple[int, ...], mean: float = 0.0
    ) -> nn.Parameter:
        """Draw once and copy to every chip: all chips start from the same program."""
        noise = self.seeds.child("initial", name, index).generator().standard_normal(shape)
        value = mean + scale * torch.from_numpy(noise).to(self.device)
        return nn.Parameter(value.expand(self.chips, *shape).clone(), requires_grad=False)

    @property
    def dtype(self) -> torch.dtype:
        """The type of the weights."""
        dtype: torch.dtype = self.forward_weights[0].dtype
        return dtype

    @property
    def chain_weights(self) -> list[Tensor]:
        """The weights of the chain 0 → 1 → … → L as matrices: as programmed, or as an oracle told them."""
        return [self.matrix(index) for index in range(self.network.depth)]

    def matrix(self, index: int) -> Tensor:
        """Return the weights of a connection as the rule knows them, ``(chips, n_pre, n_post)``."""
        synapses, weights = self.known(index)
        return synapses.matrix(synapses.physical(weights))

    def known(self, index: int) -> tuple[Synapses, Tensor]:
        """Return the synapses of a connection, and their numbers as they were programmed.

        Where an oracle told them, every synapse has a number of its own.
        """
        synapses = self.network.synapses[index]
        if self.truth is not None:
            return synapses.unshared, self.truth.weights[index]
        return synapses, self.forward_weights[index]

    def ahead(self, index: int, x: Tensor) -> Tensor:
        """Return what rates give through a connection, as the rule knows it, ``(chips, batch, n_post)``.

        Args:
            index: of the connection.
            x: ``(chips or 1, batch, n_pre)``.
        """
        synapses, weights = self.known(index)
        return synapses.apply(weights, x)

    def back(self, index: int, y: Tensor) -> Tensor:
        """Return what errors come to before a connection, as the rule knows it, ``(chips, batch, n_pre)``.

        Args:
            index: of the connection.
            y: ``(chips, batch, n_post)``.
        """
        synapses, weights = self.known(index)
        return synapses.transposed(weights, y)

    def transfer(self, index: int) -> Transfer:
        """Return the curve of layer ``index + 1``: nominal, measured, or as an oracle told it."""
        if self.truth is not None:
            return self.truth.transfers[index]
        if self.calibrated:
            measured = Calibration.of(self.memory)
            return MeasuredTransfer(measured.currents[index], measured.rates[index])
        return self.nominal(index)

    def nominal(self, index: int) -> Transfer:
        """Return the designed curve of layer ``index + 1``."""
        network = self.network
        return network.layers[index].neuron.transfer(network.max_rate_hz, network.dt_ms)

    @property
    def calibrated(self) -> bool:
        """Whether the neurons' curves were measured on the chips."""
        return Calibration.known(self.memory)

    @property
    def has_own_curves(self) -> bool:
        """Whether every neuron has a curve of its own, measured or as an oracle told it."""
        return self.truth is not None or self.calibrated

    def calibrate(self, curves: Sequence[MeasuredTransfer]) -> None:
        """Use measured curves from now on; they are kept in the memory, so a checkpoint holds them."""
        currents, rates = (curve.currents for curve in curves), (curve.rates for curve in curves)
        self.memory |= Calibration(tuple(currents), tuple(rates)).entries()

    def slope(self, index: int, rate: Tensor) -> Tensor:
        """Return the slope of layer ``index + 1`` where its curve gives `rate`, ``(chips, batch, n)``.

        Where curves were measured it is the design's, stretched as the measurement says.
        """
        transfer = self.transfer(index)
        if isinstance(transfer, MeasuredTransfer) and self.truth is None:
            nominal = self.nominal(index)
            steeper = self._stretch(index, transfer, nominal).unsqueeze(1)
            return (nominal.slope(nominal.inverse(rate.double())) * steeper).to(rate)
        return transfer.slope(transfer.inverse(rate)).to(rate)

    def _stretch(self, index: int, measured: MeasuredTransfer, nominal: Transfer) -> Tensor:
        """Return how the measured curves are stretched, fitted once for a measurement."""
        known = self._stretches.get(index)
        if known is None or known[0] is not measured.rates:
            known = self._stretches[index] = (measured.rates, stretch(measured, nominal))
        return known[1]

    def remember(self, feedback: tuple[Tensor, ...] | None, memory: Mapping[str, Tensor]) -> None:
        """Keep what an update says about the feedback weights and the rule's memory."""
        if feedback is not None:
            self.feedback = feedback
        self.memory |= memory

    def weights(self) -> Weights:
        """Return what is to be programmed: copies, so that later steps do not change them."""
        own = Weights(
            forward=tuple(w.detach().clone() for w in self.forward_weights),
            bias=tuple(b.detach().clone() for b in self.bias),
            feedback=tuple(q.clone() for q in self.feedback),
            relay=self.relay,
        )
        return named_weights(self.network, own)


def _nominal_bias(neuron: object) -> float:
    return float(getattr(neuron, "bias", 0.0))
