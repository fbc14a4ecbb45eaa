"""A design unrolled over a presentation: the printed step of its neurons, differentiable, spikes included."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import final

import torch
from torch import Tensor

from learning.model import Model
from learning.stimulus import Batch
from learning.window_means import WindowMeans
from root.errors import UnsupportedError
from spiking.connections import Synapses
from spiking.network import Layer, Network
from spiking.neurons.base import State, Values
from spiking.presentation import SpikeDrive
from spiking.programs import Program
from spiking.programs.to_torch import Fire, margin, stepper, surrogate_stepper
from spiking.readout import readout_trace

__all__ = ["Advance", "Surrogate", "Through", "Unrolled", "check_unrolled", "instead"]

Advance = Callable[[State, Tensor, Values, Tensor], Tensor]
"""A state (its entries are replaced), a current, constants and what the chip emitted to what is passed on."""


class Through(ABC):
    """How gradients go through a neuron's spikes, which are the chip's."""

    @abstractmethod
    def stepper(self, program: Program) -> Advance:
        """Return the step of a layer of neurons that spike, for one presentation.

        Args:
            program: the step as statements.
        """


@final
@dataclass(frozen=True)
class Surrogate(Through):
    """A spike changes with the distance from the threshold.

    Args:
        fire: a spike, 0 or 1, of that distance, with the derivative to use.
        through_reset: whether what a spike resets depends on it.
    """

    fire: Fire
    through_reset: bool = False

    def stepper(self, program: Program) -> Advance:
        advance = surrogate_stepper(program, through_reset=self.through_reset)

        def step(state: State, current: Tensor, constants: Values, seen: Tensor) -> Tensor:
            return advance(state, current, constants, lambda distance: instead(self.fire(distance), seen))

        return step


def check_unrolled(network: Network) -> None:
    """Raise `UnsupportedError` where a neuron's spike cannot be given a derivative."""
    for layer in network.layers:
        program = layer.neuron.program(())
        if program.spike and margin(program) is None:
            allowed = "one comparison, such as v > theta: its distance is what the surrogate is of"
            raise UnsupportedError("network.neuron.threshold", program.spike, allowed)


@final
class _Population:
    """One layer: its printed step, its constants and its state."""

    def __init__(
        self,
        layer: Layer,
        dt_ms: float,
        like: Tensor,
        through: Through,
        told: Mapping[str, Tensor],
    ) -> None:
        neuron, size = layer.neuron, layer.size
        values = {field: like.new_full((1, size), value) for field, value in neuron.nominal.items()}
        own = values | {field: told[field].to(like) for field in values if field in told}
        self.constants = neuron.constants(own, dt_ms)
        self.synapse_decay = neuron.synapse_decay(own, dt_ms).reshape((-1, 1, size) if told else (-1,))
        program = neuron.program(self.constants)
        self.advance = through.stepper(program) if program.spike else _activity(program)
        self.state = neuron.initial_state(values, like.new_zeros(1, 1, size))

    def step(self, current: Tensor, seen: Tensor, potential: Tensor | None) -> Tensor:
        """Return what is emitted: what the chip emitted, with the derivative of what the design would."""
        emitted = self.advance(self.state, current, self.constants, seen)
        if potential is not None:
            self.state["v"] = instead(self.state["v"], potential)
        return emitted


def _activity(program: Program) -> Advance:
    """Return the step of neurons that do not spike."""
    advance = stepper(program, differentiable=True)

    def step(state: State, current: Tensor, constants: Values, seen: Tensor) -> Tensor:
        return instead(advance(state, current, constants), seen)

    return step


def instead(own: Tensor, seen: Tensor) -> Tensor:
    """Return what was seen, with the derivative of one's own."""
    return own + (seen - own).detach()


@final
class Unrolled:
    """The design over a presentation, in the step order of ``docs/model.md``; used once.

    Where an oracle told the model what its chips are made of, it is those chips that are unrolled.

    Args:
        model: the design, its network any graph.
        batch: what is shown.
        weights: what is programmed, per connection, ``(chips, *parameters)``.
        biases: per layer 1 to L, ``(chips, n)``.
        through: how gradients go through spikes.
        synapses: of the connections; those of the network by default.
        between: whether they go from neuron to neuron, or through the states of each alone.
    """

    def __init__(
        self,
        model: Model,
        batch: Batch,
        weights: Sequence[Tensor],
        biases: Sequence[Tensor],
        through: Through,
        *,
        synapses: Sequence[Synapses] | None = None,
        between: bool = True,
    ) -> None:
        self.network, self.biases, self.between = model.network, biases, between
        phase = model.stimulus.phase("free", batch)
        self.phase, self.drive, self.like = phase, phase.drive, weights[0]
        truth = model.truth
        told: Sequence[Mapping[str, Tensor]] = ({},) * model.network.depth if truth is None else truth.neurons
        self.populations = [
            _Population(layer, self.network.dt_ms, weights[0], through, own)
            for layer, own in zip(self.network.layers, told, strict=True)
        ]
        pairs = zip(synapses or self.network.synapses, weights, strict=True)
        self.through: list[Callable[[Tensor], Tensor]] = [own.applied(weight) for own, weight in pairs]

    def rates(self, seen: Sequence[Tensor]) -> Tensor:
        """Return the output's mean rates over the windows, ``(chips, rows, n_out)``.

        Args:
            seen: what the chip emitted, per layer 1 to L, ``(chips, batch, time, n)``; it takes the place of
                what the design emits.
        """
        means = WindowMeans(self.phase, self.like)
        for t, emitted in enumerate(self.emissions(seen)):
            means.add(t, emitted[-1])
        return means.rates(self.network.emission_value(self.network.depth))

    def outputs(self, seen: Sequence[Tensor]) -> Tensor:
        """Return the read-out traces at the end of every step, ``(chips, batch, time, n_out)``.

        Args:
            seen: as in `rates`.
        """
        trace = readout_trace(self.network)
        y, found = torch.zeros_like(seen[-1][:, :, 0]), []
        for emitted in self.emissions(seen):
            y = trace.decay * y + trace.gain * emitted[-1]
            found.append(y)
        return torch.stack(found, dim=2)

    def emissions(
        self, seen: Sequence[Tensor], potentials: Sequence[Tensor] | None = None
    ) -> Iterator[list[Tensor]]:
        """Yield what layers 1 to L emit, step by step, ``(chips, batch, n)``.

        Args:
            seen: as in `rates`.
            potentials: what the chip's potentials were at the end of every step, like `seen`; they take the
                place of the design's.
        """
        chips, samples = seen[0].shape[:2]
        zeros = [bias.new_zeros(chips, samples, bias.shape[-1]) for bias in self.biases]
        synaptic, arriving = list(zeros), self._inputs()
        under_way = [deque([zeros[c.pre - 1]] * (c.delay_steps - 1)) for c in self.network.connections]
        traces = [trace.unbind(2) for trace in seen]
        known = None if potentials is None else [trace.unbind(2) for trace in potentials]
        for t in range(self.phase.steps):
            currents = [own + bias.unsqueeze(1) for own, bias in zip(synaptic, self.biases, strict=True)]
            if not isinstance(self.drive, SpikeDrive):
                for post, steps in arriving.items():
                    currents[post] = currents[post] + steps[min(t, len(steps) - 1)]
            emitted = [
                part.step(currents[n], traces[n][t], None if known is None else known[n][t])
                for n, part in enumerate(self.populations)
            ]
            yield emitted
            sent = emitted if self.between else [own.detach() for own in emitted]
            synaptic = self._deliver(synaptic, sent, arriving, under_way, t)

    def _inputs(self) -> dict[int, tuple[Tensor, ...]]:
        """Return what the input gives to each layer from 0, per step, or once if it is constant.

        What comes through several connections is added up before the loop, and slices taken in it would each
        get a whole gradient.
        """
        found: dict[int, Tensor] = {}
        for index in self.network.from_input:
            connection = self.network.connections[index]
            if isinstance(self.drive, SpikeDrive):
                values, delay = self.drive.spikes, connection.delay_steps - 1
                values = torch.nn.functional.pad(values, (0, 0, delay, 0))[:, : values.shape[1]]
            else:
                values = self.drive.values
                values = values.unsqueeze(1) if values.ndim == 2 else values
            samples, steps, n = values.shape
            reached = self.through[index](values.to(self.like).reshape(1, samples * steps, n))
            whole, post = reached.view(len(reached), samples, steps, -1), connection.post - 1
            found[post] = found[post] + whole if post in found else whole
        return {post: whole.unbind(2) for post, whole in found.items()}

    def _deliver(
        self,
        synaptic: Sequence[Tensor],
        emitted: Sequence[Tensor],
        arriving: dict[int, tuple[Tensor, ...]],
        under_way: Sequence[deque[Tensor]],
        t: int,
    ) -> list[Tensor]:
        """Return the synaptic currents after their decay and what arrives now."""
        delivered = [own * part.synapse_decay for own, part in zip(synaptic, self.populations, strict=True)]
        left = set(arriving if isinstance(self.drive, SpikeDrive) else ())
        for index, connection in enumerate(self.network.connections):
            post = connection.post - 1
            if connection.pre > 0:
                under_way[index].append(emitted[connection.pre - 1])
                added = self.through[index](under_way[index].popleft())
            elif post in left:
                left.remove(post)
                added = arriving[post][t]
            else:
                continue
            kept = self.populations[post].synapse_decay
            gain = (1.0 - kept) * self.network.emission_value(connection.pre)
            delivered[post] = delivered[post] + added * gain
        return delivered
