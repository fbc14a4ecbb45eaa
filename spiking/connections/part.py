"""Synapses from a stretch of neighbours in a larger population: from one input of several."""

from __future__ import annotations

from typing import final

from torch import Tensor

from spiking.connections.base import Synapses, Wiring

__all__ = ["PartSynapses"]


@final
class PartSynapses(Synapses):
    """The synapses of a connection whose presynaptic neurons are only some of a population's.

    What is programmed is what it would be without the others. To a machine these are synapses like any.

    Args:
        own: the synapses, between the stretch and the population behind.
        first: the stretch's first neuron.
        total: neurons of the whole population.
    """

    def __init__(self, own: Synapses, first: int, total: int) -> None:
        super().__init__(own.parameters, total, own.outputs, self._moved)
        self._own, self._stretch = own, slice(first, first + own.inputs)

    def _moved(self) -> Wiring:
        pre, post, parameter = self._own.wiring
        return Wiring(pre + self._stretch.start, post, parameter)

    @property
    def fan_in(self) -> float:
        return self._own.fan_in

    def apply(self, weights: Tensor, x: Tensor) -> Tensor:
        return self._own.apply(weights, x[..., self._stretch])

    def transposed(self, weights: Tensor, y: Tensor) -> Tensor:
        found = y.new_zeros(*y.shape[:2], self.inputs)
        found[..., self._stretch] = self._own.transposed(weights, y)
        return found

    def correlate(self, x: Tensor, y: Tensor) -> Tensor:
        return self._own.correlate(x[..., self._stretch], y)

    def power(self, x: Tensor) -> Tensor:
        return self._own.power(x[..., self._stretch])
