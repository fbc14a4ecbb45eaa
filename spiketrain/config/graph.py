"""The section ``network`` as a graph: named populations, and named connections between them."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import ConfigDict, Field
from torch import Tensor

from root.errors import InputError, nearest
from spiketrain.config import building
from spiketrain.config.feedback import feedback_part
from spiketrain.config.problems import prefixed
from spiketrain.config.sections import Duration, Section, Size, Spread, whole_steps
from spiking.connections import Pattern
from spiking.connections.base import Axes
from spiking.network import Clock, Connection, Layer, Network, Source
from spiking.neurons.base import Neuron
from spiking.presentation import Weights

__all__ = ["GraphPart"]

INPUT = "input"
"""What connections call the network's input."""

NAME = r"^[A-Za-z][A-Za-z0-9_-]{0,49}$"

Shape = Annotated[tuple[Size, ...], Field(min_length=1, max_length=3)]
Name = Annotated[str, Field(pattern=NAME)]


class PopulationPart(Section):
    """A population of neurons.

    Args:
        size: number of neurons; null where a connection says it.
        shape: axes instead of a size, [height, width] or [height, width, channels]; null where a connection
            says it, as convolutions do.
        neuron: what is different from ``network.neuron``; with a ``model`` of its own, all of it.
        bias_spread: standard deviation of the initial biases.
    """

    size: Size | None = None
    shape: Shape | None = None
    neuron: dict[str, Any] | None = None
    bias_spread: Spread = 0.0

    @property
    def axes(self) -> Axes | None:
        """The axes that are given, if any."""
        return self.shape or (None if self.size is None else (self.size,))


class ConnectionPart(Section):
    """Synapses from one population to another; other keys are the kind's own.

    Args:
        pre: the population before, or ``input``, or the name of one input of several.
        post: the population behind.
        kind: which synapses there are.
        delay_ms: from a spike to the membrane that sees it; null is one step.
        weight_gain: standard deviation of the initial weights times the root of the synapses on a neuron.
    """

    model_config = ConfigDict(extra="allow")

    pre: str
    post: str
    kind: str = "dense"
    delay_ms: Duration | None = None
    weight_gain: Spread = 1.0

    @property
    def keys(self) -> dict[str, Any]:
        """The kind and its own keys."""
        return {"kind": self.kind, **(self.model_extra or {})}


class GraphPart(Section):
    """The design of the chip as a graph.

    Populations stand in the order of computation: each is joined to the one after it, the input to the
    first, and the last is read out and controlled. Any further connections skip, lead back, or join a
    population to itself.

    Args:
        input: axes of the input, [n], [height, width] or [height, width, channels]; or several inputs by
            name, with the axes of each, one after the other in a sample.
        populations: by name.
        connections: by name.
        neuron: ``model`` and its nominal parameter values, of all populations.
        feedback: how a controller's signal reaches the populations: a name, or ``name`` and its keys.
    """

    input: Shape | Annotated[dict[Name, Shape], Field(min_length=1, max_length=100)]
    populations: Annotated[dict[Name, PopulationPart], Field(min_length=1, max_length=100)]
    connections: Annotated[dict[Name, ConnectionPart], Field(min_length=1, max_length=1000)]
    neuron: dict[str, Any]
    feedback: str | dict[str, Any] = "direct"

    @property
    def source(self) -> tuple[str, Any]:
        """The key that says the sizes, and its value."""
        return "network.populations", list(self.populations)

    def build(self, clock: Clock) -> Network:
        """Return the design."""
        neurons = self._neurons()
        axes = self._axes()
        layers = [
            Layer(math.prod(axes[name]), neurons[name][1], axes[name] if len(axes[name]) > 1 else (), name)
            for name in self.populations
        ]
        places = {**dict.fromkeys(self._inputs, 0), **{n: i for i, n in enumerate(self.populations, start=1)}}
        patterns = self._patterns()
        connections = [
            Connection(
                places[part.pre],
                places[part.post],
                self._steps(name, part, clock),
                patterns[name][1],
                name,
                part.pre if isinstance(self.input, dict) and part.pre in self.input else "",
            )
            for name, part in self._ordered()
        ]
        several = isinstance(self.input, dict)
        network = Network(
            sum(map(math.prod, self._inputs.values())),
            tuple(layers),
            tuple(connections),
            clock.dt_ms,
            clock.max_rate_hz,
            clock.readout_tau_ms,
            feedback_part(self.feedback)[1],
            self.input if isinstance(self.input, tuple) and len(self.input) > 1 else (),
            tuple(_source(name, shape) for name, shape in self._inputs.items()) if several else (),
        )
        assert network.synapses  # that all of them fit
        return network

    @property
    def _inputs(self) -> dict[str, Axes]:
        """The axes of every input, by what connections call it."""
        return dict(self.input) if isinstance(self.input, dict) else {INPUT: self.input}

    def _steps(self, name: str, part: ConnectionPart, clock: Clock) -> int:
        if part.delay_ms is None:
            return 1
        return whole_steps(f"network.connections.{name}.delay_ms", part.delay_ms, clock.dt_ms)

    def _ordered(self) -> list[tuple[str, ConnectionPart]]:
        """Return the connections by name, those from each population to the next first."""
        self._check_names()
        left, chain = dict(self.connections), []
        groups = [list(self._inputs), *([name] for name in self.populations)]
        for before, post in zip(groups, self.populations, strict=False):
            found = next((n for n, part in left.items() if part.pre in before and part.post == post), None)
            if found is None:
                pre = " or ".join(before)
                allowed = f"a connection from {pre} to {post}: each population is joined to the next"
                fix = "Two that stand side by side are, by kind: none."
                raise InputError("network.connections", list(self.connections), allowed, fix)
            chain.append((found, left.pop(found)))
        return [*chain, *left.items()]

    def _check_names(self) -> None:
        if taken := [name for name in (INPUT, *self._inputs) if name in self.populations]:
            raise InputError("network.populations", taken[0], "another name: it is the network's input")
        for name, part in self.connections.items():
            known = {"pre": [*self._inputs, *self.populations], "post": [*self.populations]}
            for key, names in known.items():
                given = getattr(part, key)
                if given not in names:
                    where = f"network.connections.{name}.{key}"
                    raise InputError(where, given, ", ".join(names), nearest(given, names))

    def _axes(self) -> dict[str, Axes]:
        """Return the axes of the input and of every population: as given, or as the connection to it says."""
        found: dict[str, Axes] = self._inputs
        patterns = self._patterns()
        chain = self._ordered()[: len(self.populations)]
        for name, part in self.populations.items():
            given = part.axes
            if part.size is not None and part.shape is not None and part.size != math.prod(part.shape):
                key = f"network.populations.{name}.size"
                raise InputError(key, part.size, f"{math.prod(part.shape)}, or no size beside a shape")
            connection, joined = next((n, c) for n, c in chain if c.post == name)
            try:
                follows = patterns[connection][1].reaches(found[joined.pre])
            except InputError as error:
                raise prefixed(error, f"network.connections.{connection}") from None
            if follows is None and given is None:
                key = f"network.populations.{name}.size"
                raise InputError(key, "nothing", f"a number of neurons: {connection} does not say it")
            if given is not None and follows is not None and given not in (follows, (math.prod(follows),)):
                key = f"network.populations.{name}"
                raise InputError(key, list(given), f"{list(follows)}, as {connection} says, or nothing")
            found[name] = follows or given or ()
        return found

    def weight_gains(self, network: Network) -> tuple[float, ...]:
        """Return one gain per connection of `network`."""
        for name, part in self.connections.items():
            if part.weight_gain != 1.0 and not self._patterns()[name][1].trained:
                key, fix = f"network.connections.{name}.weight_gain", "An option without effect is refused."
                allowed = f"1.0 (the default): nothing is drawn for {part.kind}"
                raise InputError(key, part.weight_gain, allowed, fix)
        return tuple(self.connections[name].weight_gain for name in network.connection_names)

    def bias_spreads(self, network: Network) -> tuple[float, ...]:
        """Return one spread per population of `network`."""
        return tuple(self.populations[layer.name].bias_spread for layer in network.layers)

    def initial(self, clock: Clock) -> Weights | None:
        """Return None: the weights that training begins with are drawn."""
        del clock
        return None

    def neurons(self, clock: Clock) -> tuple[Mapping[str, Tensor], ...]:
        """Return nothing: a population has one value for all of its neurons."""
        del clock
        return ()

    def parts(self) -> dict[str, tuple[Mapping[str, Any], object]]:
        """Return the keys that hold registered parts, what the config says there, and the parts."""
        own = {f"populations.{name}.neuron": part for name, part in self._neurons(own=True).items()}
        joined = {f"connections.{name}": part for name, part in self._patterns().items()}
        first = (self.neuron, _neuron("network.neuron", self.neuron))
        return {"neuron": first, **own, **joined, "feedback": feedback_part(self.feedback)}

    def _patterns(self) -> dict[str, tuple[Mapping[str, Any], Pattern]]:
        found: dict[str, tuple[Mapping[str, Any], Pattern]] = {}
        for name, part in self.connections.items():
            pattern: Pattern = building.build("connections", part.keys, f"network.connections.{name}", "kind")
            given = {k: v for k, v in part.model_dump().items() if v is not None}
            found[name] = (given, pattern)
        return found

    def _neurons(self, *, own: bool = False) -> dict[str, tuple[Mapping[str, Any], Neuron]]:
        found: dict[str, tuple[Mapping[str, Any], Neuron]] = {}
        for name, part in self.populations.items():
            if own and part.neuron is None:
                continue
            given = part.neuron or {}
            # all of it: where the others' keys are filled in, they must not reach this one
            whole = {**({} if "model" in given else self.neuron), **given}
            found[name] = (whole, _neuron(f"network.populations.{name}.neuron", whole))
        return found

    def copies(self) -> tuple[dict[str, Any], dict[str, bytes]]:
        """Return the keys that are different in the folder of a run, and the files they refer to there."""
        return {}, {}


def _source(name: str, shape: Axes) -> Source:
    return Source(name, math.prod(shape), shape if len(shape) > 1 else ())


def _neuron(key: str, options: Mapping[str, Any]) -> Neuron:
    neuron: Neuron = building.build("neurons", options, key, "model")
    return neuron
