"""Chips of silicon that take one sample at a time and give spikes: all but what a board's own driver does."""

from __future__ import annotations

import math
from abc import abstractmethod
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from chips.base import Chips
from chips.card import Card
from root.errors import InputError
from spiking.naming import named_recording
from spiking.network import Network
from spiking.presentation import Observation, Phase, Recording, SpikeDrive, Weights
from spiking.shapes import check_phases, check_weights

__all__ = ["HardwareChips"]

Spikes = NDArray[np.bool_]


class HardwareChips(Chips):
    r"""One chip that is shown spikes and answers with spikes.

    A subclass says how weights are written and how one sample is shown. Rates are counted here, as
    everywhere: with the window's weights :math:`h_t` and the spikes :math:`s_t`,

    .. math:: r = \frac{1}{r_{max}\, dt}\, \frac{\sum_t h_t s_t}{\sum_t h_t}

    Args:
        network: the design: sizes, time step, and what rates are counted in.
        name: what kind of chip it is.
        weight_bits: bits of a synapse, sign included, or 0 where there is no such limit.
        rest_ms: silence between two samples, in which what is left of one dies away.
    """

    def __init__(self, network: Network, *, name: str, weight_bits: int = 0, rest_ms: float = 0.0) -> None:
        self._network, self._rest_ms, self._now_ms = network, rest_ms, 0.0
        self._written = False
        self._card = Card(
            name=name,
            sizes=tuple(network.sizes),
            chips=1,
            abilities=frozenset({"spikes_in", "record:spikes"}),
            dt_ms=network.dt_ms,
            max_rate_hz=network.max_rate_hz,
            weight_bits=weight_bits,
            samples_at_once=1,
        )

    @property
    def now_ms(self) -> float:
        return self._now_ms

    @abstractmethod
    def write(self, weights: Sequence[NDArray[np.float64]], biases: Sequence[NDArray[np.float64]]) -> None:
        """Write a chip's synapses.

        Args:
            weights: per connection, ``(n_pre, n_post)``, in units of the design: a presynaptic rate r gives
                the mean current ``w * r``.
            biases: constant currents of layers 1 to L, ``(n,)``.
        """

    @abstractmethod
    def show(self, spikes: Spikes) -> Sequence[Spikes]:
        """Show one sample and return what the layers did.

        Args:
            spikes: of the input, ``(steps, inputs)``.

        Returns:
            the spikes of layers 1 to L, each ``(steps, n)``.
        """

    def program(self, weights: Weights) -> None:
        check_weights(self._network, 1, weights)
        self.write(
            [w[0].double().numpy() for w in weights.forward], [b[0].double().numpy() for b in weights.bias]
        )
        self._written = True

    def present(self, phases: Sequence[Phase], *presentation: str | int) -> Observation:
        self._card.check_phases(phases)
        check_phases(self._network, 1, phases)
        if not self._written:
            raise RuntimeError("program the chips before presenting anything to them")
        return {phase.name: self._recorded(phase) for phase in phases}

    def _recorded(self, phase: Phase) -> Recording:
        assert isinstance(phase.drive, SpikeDrive)
        rest, network = round(self._rest_ms / self._network.dt_ms), self._network
        samples = []
        for shown in phase.drive.spikes.numpy():
            if rest:
                self.show(np.zeros((rest, network.inputs), bool))
            samples.append(self._checked(self.show(shown), phase.steps))
        self.advance(phase.batch * (phase.steps + rest) * network.dt_ms)
        layers = [torch.from_numpy(np.stack(layer)).unsqueeze(0) for layer in zip(*samples, strict=True)]
        traces = {"spikes": tuple(layers)} if "spikes" in phase.record else {}
        rates = [self._rates(phase, layer) for layer in (phase.drive.spikes.unsqueeze(0), *layers)]
        seen = Recording(tuple(rates), (), None, self._readout(phase, layers[-1]), traces=traces)
        return named_recording(network, seen)

    def _rates(self, phase: Phase, spikes: Tensor) -> Tensor:
        """Return the mean rates over the windows that count, ``(1, rows, n)``."""
        value = self._network.spike_value
        if phase.lengths is None and phase.whole:
            weights = phase.window / phase.window.sum() * value
            return torch.einsum("t,cbtn->cbn", weights, spikes.double())
        weights = phase.weights.reshape(phase.batch, phase.windows, -1)
        parts = spikes.double().reshape(-1, *weights.shape, spikes.shape[-1])
        sample, window = phase.rows
        sums = torch.einsum("bkt,cbktn->cbkn", weights, parts)[:, sample, window]
        rates: Tensor = sums * value / weights.sum(2)[sample, window].unsqueeze(1)
        return rates

    def _readout(self, phase: Phase, output: Tensor) -> Tensor:
        """Return the read-out traces at the ends of the windows' parts, ``(1, rows, n_out)``."""
        size = phase.steps // phase.windows
        ends = [self._trace(output[:, :, : size * (k + 1)]) for k in range(phase.windows)]
        sample, window = phase.rows
        return torch.stack(ends, dim=2)[:, sample, window]

    def _checked(self, layers: Sequence[Any], steps: int) -> list[Spikes]:
        """Return what a subclass gave, if it is what it should be."""
        found, sizes = [np.asarray(layer) for layer in layers], self._network.sizes[1:]
        wanted = [(steps, size) for size in sizes]
        if [layer.shape for layer in found] != wanted or any(layer.dtype != bool for layer in found):
            given = [(layer.shape, str(layer.dtype)) for layer in found]
            raise InputError("show", given, f"booleans of the shapes {wanted}")
        return found

    def _trace(self, output: Tensor) -> Tensor:
        """Return the exponential trace of the output's spikes at the end, as the design's read-out has it."""
        network, steps = self._network, output.shape[2]
        tau_ms = network.readout_tau_ms
        kept = math.exp(-network.dt_ms / tau_ms) if tau_ms > 0 else 0.0
        weights = (1 - kept) * kept ** torch.arange(steps - 1, -1, -1, dtype=torch.float64)
        return torch.einsum("t,cbtn->cbn", weights * network.spike_value, output.double())

    def advance(self, milliseconds: float) -> None:
        """Count time that passes; silicon needs not be told."""
        self._now_ms += milliseconds

    def state(self) -> dict[str, Any]:
        return {"now_ms": self._now_ms}

    def restore(self, state: dict[str, Any]) -> None:
        self._now_ms, self._written = float(state["now_ms"]), False
