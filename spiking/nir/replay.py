"""A chip's spikes in the order of programs without delays, to compare with theirs bin by bin.

Here a spike acts one step after it was sent, on every connection. Most programs that read NIR compute the
layers one after the other within a step: a spike acts on the next layer in its own step, and one step later
only where a connection goes backward. In a feedforward network that moves layer l by l steps; where biases
or loops are, it changes what comes first. `replay` computes our neurons in their order.
"""

from __future__ import annotations

import torch
from numpy.typing import ArrayLike
from torch import Tensor

from root.errors import InputError
from spiking.connections import Synapses
from spiking.network import Network
from spiking.neurons.base import Neuron, State, Values
from spiking.nir.stored import Stored

__all__ = ["replay"]


def replay(chip: Stored, spikes: ArrayLike) -> list[Tensor]:
    """Return what every layer emits in every step, each ``(steps, n)``.

    The membranes begin at their reset, without currents.

    Args:
        chip: as `spiking.nir.read` returns one.
        spikes: of the input, ``(steps, inputs)``; numbers other than 0 and 1 are currents in units of a
            spike.

    Raises:
        InputError: the spikes are of another shape.
    """
    network = chip.network
    drive = torch.as_tensor(spikes, dtype=torch.float64)
    if drive.ndim != 2 or drive.shape[1] != network.inputs:
        raise InputError("spikes", tuple(drive.shape), f"(steps, {network.inputs})")
    emitted = [drive, *(drive.new_zeros(len(drive), layer.size) for layer in network.layers)]
    layers = [
        _Layer(layer.neuron, {field: value.unsqueeze(0) for field, value in values.items()}, network.dt_ms)
        for layer, values in zip(network.layers, chip.neurons, strict=True)
    ]
    for step in range(len(drive)):
        for index, layer in enumerate(layers, start=1):
            arrived = _arrived(chip, network, emitted, index, step)
            emitted[index][step] = layer.step(arrived)
    return emitted[1:]


def _arrived(chip: Stored, network: Network, emitted: list[Tensor], post: int, step: int) -> Tensor:
    """Return the sum of what the connections bring to a layer in a step, ``(n,)``."""
    total = emitted[post].new_zeros(network.sizes[post])
    for connection, synapses, weight in zip(network.connections, network.synapses, chip.weights, strict=True):
        when = step - connection.delay_steps + (1 if connection.pre < post else 0)
        if connection.post == post and when >= 0:
            given = emitted[connection.pre][when]
            arrived = (
                given @ weight if synapses.dense else synapses.apply(weight[None], given[None, None])[0, 0]
            )
            total += network.emission_value(connection.pre) * arrived
    return total


def _through(synapses: Synapses, weight: Tensor, given: Tensor) -> Tensor:
    """Return what a connection makes of what its neurons before emit, ``(n,)``."""
    if synapses.dense:
        return given @ weight
    return synapses.apply(weight.unsqueeze(0), given.view(1, 1, -1))[0, 0]


class _Layer:
    """A layer's neurons and synapses."""

    def __init__(self, neuron: Neuron, values: Values, dt_ms: float) -> None:
        self.constants = neuron.constants(values, dt_ms)
        self.stepper = neuron.stepper(self.constants)
        self.keep = neuron.synapse_decay(values, dt_ms)
        self.bias = values["bias"]
        nothing = torch.zeros(1, 1, self.bias.shape[1], dtype=self.bias.dtype)
        self.state: State = neuron.initial_state(values, nothing)
        self.current = torch.zeros_like(self.bias)
        first = {name: value.clone() + 0.125 for name, value in self.state.items()}
        moved, still = (self._potential(first, current) for current in (nothing + 2**-10, nothing))
        self.late = bool(torch.equal(moved, still))
        self.begun = False

    def _potential(self, state: State, current: Tensor) -> Tensor:
        copy = {name: value.clone() for name, value in state.items()}
        self.stepper(copy, current, self.constants)
        return copy["v"]

    def step(self, arrived: Tensor) -> Tensor:
        """Advance by a step and return what is emitted in it, ``(n,)``."""
        self.current = self.current * self.keep + (1 - self.keep) * arrived
        total = (self.current + self.bias).unsqueeze(1)
        first = self.state["v"].clone()
        emitted = self.stepper(self.state, total, self.constants)
        if self.late:  # the potential sees a state that has just been advanced: it waits, and we look ahead
            if not self.begun:
                self.state["v"], self.begun = first, True
            ahead = {name: value.clone() for name, value in self.state.items()}
            emitted = self.stepper(ahead, torch.zeros_like(total), self.constants)
        return emitted[0, 0]
