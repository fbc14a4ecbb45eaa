"""The description of a network: layers, connections and the clock, with no numbers hidden in it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property, lru_cache

from torch import Tensor

from rate_bridge.filters import spike_value
from root.errors import InputError
from spiking.connections import Dense, Pattern, Synapses
from spiking.connections.base import Axes
from spiking.connections.part import PartSynapses
from spiking.feedback import Direct, FeedbackPath
from spiking.neurons.base import Neuron

__all__ = ["Clock", "Connection", "Layer", "Network", "Source", "bidirectional", "chain"]


@dataclass(frozen=True)
class Layer:
    """A population of neurons of one model.

    Args:
        size: number of neurons.
        neuron: the model, with nominal parameter values.
        shape: its axes, ``(height, width)`` or ``(height, width, channels)`` for an image; empty for a row.
        name: how configs and files call it; empty for its place.
    """

    size: int
    neuron: Neuron
    shape: Axes = ()
    name: str = ""

    def __post_init__(self) -> None:
        if self.size < 1:
            raise InputError("network.layers", self.size, "sizes of 1 or more")
        if self.shape and math.prod(self.shape) != self.size:
            raise InputError("shape", list(self.shape), f"a shape of {self.size} neurons")

    @property
    def axes(self) -> Axes:
        """The axes of the population."""
        return self.shape or (self.size,)


@dataclass(frozen=True)
class Source:
    """One input of several: a stretch of layer 0.

    Args:
        name: how connections, configs and files call it.
        size: number of inputs.
        shape: its axes, as of a `Layer`; empty for a row.
    """

    name: str
    size: int
    shape: Axes = ()

    def __post_init__(self) -> None:
        if not self.name:
            raise InputError("network.input", "", "a name for every input")
        if self.shape and math.prod(self.shape) != self.size:
            raise InputError("shape", list(self.shape), f"a shape of {self.size} inputs")

    @property
    def axes(self) -> Axes:
        """The axes of the input."""
        return self.shape or (self.size,)


@dataclass(frozen=True)
class Connection:
    """Synapses from one layer to another.

    Args:
        pre: index of the presynaptic layer; 0 is the input.
        post: index of the postsynaptic layer, 1 or more.
        delay_steps: steps from a spike to the membrane that sees it, 1 or more.
        pattern: which synapses there are; all-to-all by default.
        name: how configs and files call it; empty for its ends.
        source: which input it comes from, where `pre` is 0 and there are several.
    """

    pre: int
    post: int
    delay_steps: int = 1
    pattern: Pattern = field(default_factory=Dense)
    name: str = ""
    source: str = ""

    def __post_init__(self) -> None:
        if self.delay_steps < 1:
            raise InputError("network.delay_ms", self.delay_steps, "a delay of 1 step or more")


@dataclass(frozen=True)
class Clock:
    """The time step, and what rates are counted in.

    Args:
        dt_ms: time step.
        max_rate_hz: the rate that counts as 1.
        readout_tau_ms: time constant of the read-out trace.
    """

    dt_ms: float = 1.0
    max_rate_hz: float = 100.0
    readout_tau_ms: float = 40.0


@dataclass(frozen=True)
class Network:
    """Layers, the connections between them, and the clock they run on.

    Layer 0 is the input (`inputs` values, no neurons), of one or several sources one after the other;
    ``layers[l - 1]`` is layer l.

    Args:
        inputs: number of inputs.
        layers: layers 1 to L; the last is read out and controlled.
        connections: synapses; the chain 0 → 1 → … → L comes first, in order.
        dt_ms: time step.
        max_rate_hz: the rate that counts as 1.
        readout_tau_ms: time constant of the trace of the last layer's spikes that the controller sees.
        feedback: how the controller's signal reaches the layers.
        input_shape: axes of the input; empty for a row, or where there are several.
        sources: several inputs, in their order in layer 0; empty for one.
    """

    inputs: int
    layers: tuple[Layer, ...]
    connections: tuple[Connection, ...]
    dt_ms: float = 1.0
    max_rate_hz: float = 100.0
    readout_tau_ms: float = 40.0
    feedback: FeedbackPath = field(default_factory=Direct)
    input_shape: Axes = ()
    sources: tuple[Source, ...] = ()

    def __post_init__(self) -> None:
        for key in ("dt_ms", "max_rate_hz"):
            value = getattr(self, key)
            if not (math.isfinite(value) and value > 0):
                raise InputError(key, value, "a finite number > 0")
        self.feedback.check(self.dt_ms)
        depth = len(self.layers)
        expected = [(layer, layer + 1) for layer in range(depth)]
        if [(c.pre, c.post) for c in self.connections[:depth]] != expected:
            raise InputError("network.connections", self.connections, f"the chain {expected} first")
        if any(not (0 <= c.pre <= depth and 1 <= c.post <= depth) for c in self.connections):
            raise InputError("network.connections", self.connections, f"ends from 0 to {depth}, no end at 0")
        if self.input_shape and math.prod(self.input_shape) != self.inputs:
            raise InputError("shape", list(self.input_shape), f"a shape of {self.inputs} inputs")
        self._check_sources()
        populations = (*self.names, *(source.name for source in self.sources))
        for kind, names in (("populations", populations), ("connections", self.connection_names)):
            if twice := sorted({name for name in names if names.count(name) > 1}):
                raise InputError(f"network.{kind}", twice, "a name of its own for every one")

    def _check_sources(self) -> None:
        """Raise `InputError` where connections do not come from the inputs that there are."""
        if self.sources and (self.input_shape or sum(source.size for source in self.sources) != self.inputs):
            sizes = [source.size for source in self.sources]
            raise InputError("network.input", sizes, f"{self.inputs} inputs in all, each with its own shape")
        known = [source.name for source in self.sources]
        for connection in self.connections:
            wanted = known if connection.pre == 0 and known else [""]
            if connection.source not in wanted:
                allowed = f"one from {', '.join(wanted)}" if wanted[0] else "none but from several inputs"
                raise InputError("network.connections.source", connection.source, allowed)

    @property
    def names(self) -> tuple[str, ...]:
        """Names of layers 0 to L: their own, or input, hidden (numbered where there are several), output."""
        numbers = [""] if self.depth == 2 else [f" {index}" for index in range(1, self.depth)]
        places = (*(f"hidden{number}" for number in numbers), "output")
        return ("input", *(layer.name or place for layer, place in zip(self.layers, places, strict=True)))

    @property
    def connection_names(self) -> tuple[str, ...]:
        """Names of the connections: their own, or ``input->hidden``, ``input->hidden #2`` and so on."""
        names = self.names
        own = [c.name or f"{c.source or names[c.pre]}->{names[c.post]}" for c in self.connections]
        counted = [own[: index + 1].count(name) for index, name in enumerate(own)]
        return tuple(
            f"{name} #{number}" if number > 1 and not c.name else name
            for c, name, number in zip(self.connections, own, counted, strict=True)
        )

    @cached_property
    def synapses(self) -> tuple[Synapses, ...]:
        """The synapses of every connection.

        Raises:
            InputError: two populations cannot be joined as a connection says.
        """
        axes = ((), *(layer.axes for layer in self.layers))
        found = []
        for connection, name in zip(self.connections, self.connection_names, strict=True):
            try:
                before, stretch = self._before(connection)
                found.append(_between(connection.pattern, before, axes[connection.post], stretch))
            except InputError as error:
                key = f"network.connections.{name}.{error.key.removeprefix('network.connections.')}"
                raise type(error)(key, error.given, error.allowed, error.fix) from None
        return tuple(found)

    def _before(self, connection: Connection) -> tuple[Axes, tuple[int, int] | None]:
        """Return the axes before a connection; of one input of several, its first and how many are in all."""
        if connection.pre > 0:
            return self.layers[connection.pre - 1].axes, None
        if not connection.source:
            return self.input_shape or (self.inputs,), None
        place = [source.name for source in self.sources].index(connection.source)
        return self.sources[place].axes, (sum(s.size for s in self.sources[:place]), self.inputs)

    @cached_property
    def from_input(self) -> tuple[int, ...]:
        """The connections that come from the input, by their places."""
        return tuple(index for index, connection in enumerate(self.connections) if connection.pre == 0)

    @cached_property
    def between_neurons(self) -> tuple[int, ...]:
        """The others, by their places."""
        return tuple(index for index in range(len(self.connections)) if index not in self.from_input)

    @property
    def feedforward(self) -> bool:
        """Whether every connection leads to a later layer."""
        return all(connection.pre < connection.post for connection in self.connections)

    @property
    def dense(self) -> bool:
        """Whether all populations are joined all-to-all, and the input as a whole."""
        whole = len(self.sources) < 2
        return whole and all(isinstance(connection.pattern, Dense) for connection in self.connections)

    @property
    def depth(self) -> int:
        """L, the number of layers of neurons."""
        return len(self.layers)

    @property
    def sizes(self) -> tuple[int, ...]:
        """Sizes of layers 0 to L."""
        return (self.inputs, *(layer.size for layer in self.layers))

    @property
    def outputs(self) -> int:
        """Size of the last layer."""
        return self.layers[-1].size

    @cached_property
    def feedback_synapses(self) -> tuple[Synapses, ...]:
        """The feedback synapses of layers 1 to L."""
        return self.feedback.synapses(self.synapses[: self.depth])

    @property
    def feedback_shapes(self) -> tuple[Axes, ...]:
        """Shapes of the feedback weights of layers 1 to L: matrices, or ``(S,)``."""
        return tuple(own.shape for own in self.feedback_synapses)

    def end_to_end(self, feedback: Sequence[Tensor]) -> tuple[Tensor, ...]:
        """Return what the controller's signal comes to in every layer 1 to L, ``(chips, n_out, n_l)``.

        Args:
            feedback: the feedback weights of the layers.
        """
        return self.feedback.end_to_end(self.feedback_synapses, feedback) if feedback else ()

    @property
    def spike_value(self) -> float:
        """The rate that one spike per step means; see :func:`rate_bridge.filters.spike_value`."""
        return spike_value(self.max_rate_hz, self.dt_ms)

    def emission_value(self, layer: int) -> float:
        """What one unit of emission of `layer` counts as a rate: `spike_value`, or 1 for activities."""
        emits_spikes = layer == 0 or self.layers[layer - 1].neuron.emits_spikes
        return self.spike_value if emits_spikes else 1.0


@lru_cache(maxsize=64)
def _between(pattern: Pattern, pre: Axes, post: Axes, stretch: tuple[int, int] | None) -> Synapses:
    """Return the synapses of a connection, from all neurons or a stretch: its first, and how many in all."""
    own = pattern.between(pre, post)
    if stretch is None or own.inputs == stretch[1]:
        return own
    return PartSynapses(own, *stretch)


def chain(
    sizes: Sequence[int],
    neurons: Sequence[Neuron] | Neuron,
    *,
    delay_steps: Sequence[int] | int = 1,
    dt_ms: float = 1.0,
    max_rate_hz: float = 100.0,
    readout_tau_ms: float = 40.0,
) -> Network:
    """Return a feedforward network.

    Args:
        sizes: sizes of layers 0 to L.
        neurons: one model for all layers, or one per layer 1 to L.
        delay_steps: one delay for all connections, or one per connection.
        dt_ms: time step.
        max_rate_hz: the rate that counts as 1.
        readout_tau_ms: time constant of the read-out trace.
    """
    depth = len(sizes) - 1
    if depth < 1:
        raise InputError("network.layers", list(sizes), "two sizes or more, the input's first")
    models = [neurons] * depth if isinstance(neurons, Neuron) else list(neurons)
    delays = [delay_steps] * depth if isinstance(delay_steps, int) else list(delay_steps)
    for name, values in (("network.neuron", models), ("network.delay_ms", delays)):
        if len(values) != depth:
            raise InputError(name, len(values), f"one value, or one per layer ({depth})")
    layers = tuple(Layer(size, neuron) for size, neuron in zip(sizes[1:], models, strict=True))
    connections = tuple(Connection(layer, layer + 1, delays[layer]) for layer in range(depth))
    return Network(sizes[0], layers, connections, dt_ms, max_rate_hz, readout_tau_ms)


def bidirectional(network: Network) -> Network:
    """Return a feedforward network with a backward connection for every one between layers of neurons.

    The backward connections, layer L onto L - 1 first, have the delays of the forward ones and, on a
    chip, synapses and deviations of their own.
    """
    forward = network.connections[1 : network.depth]
    backward = tuple(Connection(c.post, c.pre, c.delay_steps) for c in reversed(forward))
    return replace(network, connections=(*network.connections, *backward))
