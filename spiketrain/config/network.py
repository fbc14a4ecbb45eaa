"""The section ``network``: a chain of layers, a graph, or a NIR file that holds one."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import Discriminator, Field, Tag
from torch import Tensor

from root.errors import InputError
from root.plugins import available
from spiketrain.config import building
from spiketrain.config.feedback import feedback_part
from spiketrain.config.graph import GraphPart
from spiketrain.config.problems import ALTERNATIVE, unknown
from spiketrain.config.sections import Duration, Section, Size, Spread, whole_steps
from spiking.network import Clock, Network, bidirectional, chain
from spiking.neurons.base import Neuron
from spiking.presentation import Weights

if TYPE_CHECKING:  # a config without a file needs no HDF5
    from spiking.nir import NIRFile, Stored

__all__ = ["NetworkFilePart", "NetworkPart", "NetworkSection", "anchored", "prepared"]

MOST_LAYERS = 100
"""Deeper networks are beyond what rates of a presentation carry."""

COPY = "network.nir"
"""The copy of a network's file in the folder of a run."""


class NetworkPart(Section):
    """The design of the chip.

    Args:
        layers: sizes, the input's first.
        neuron: ``model`` and its nominal parameter values.
        output_neuron: what is different in the last layer; with a ``model`` of its own, all of it.
        bidirectional: whether every connection between layers of neurons has a backward one beside it.
        feedback: how a controller's signal reaches the layers: a name, or ``name`` and its keys.
        delay_ms: delay of the connections, one for all or one each; null is one step.
        weight_gain: standard deviation of the initial weights times √n_pre, one for all connections or
            one each.
        bias_spread: standard deviation of the initial biases, one for all hidden layers or one for
            every layer.
    """

    layers: Annotated[tuple[Size, ...], Field(min_length=2, max_length=MOST_LAYERS)]
    neuron: dict[str, Any]
    output_neuron: dict[str, Any] | None = None
    bidirectional: bool = False
    feedback: str | dict[str, Any] = "direct"
    delay_ms: Duration | tuple[Duration, ...] | None = None
    weight_gain: Spread | tuple[Spread, ...] = 1.0
    bias_spread: Spread | tuple[Spread, ...] = 0.0

    @property
    def source(self) -> tuple[str, Any]:
        """The key that says the sizes, and its value."""
        return "network.layers", list(self.layers)

    def build(self, clock: Clock) -> Network:
        """Return the design."""
        neurons = self._neurons()
        hidden = neurons["neuron"][1]
        last = neurons.get("output_neuron", neurons["neuron"])[1]
        depth = len(self.layers) - 1
        delays = _each("network.delay_ms", clock.dt_ms if self.delay_ms is None else self.delay_ms, depth)
        network = chain(
            self.layers,
            [hidden] * (depth - 1) + [last],
            delay_steps=[whole_steps("network.delay_ms", delay, clock.dt_ms) for delay in delays],
            dt_ms=clock.dt_ms,
            max_rate_hz=clock.max_rate_hz,
            readout_tau_ms=clock.readout_tau_ms,
        )
        network = replace(network, feedback=feedback_part(self.feedback)[1])
        return bidirectional(network) if self.bidirectional else network

    def weight_gains(self, network: Network) -> tuple[float, ...]:
        """Return one gain per connection of `network`."""
        return _each("network.weight_gain", self.weight_gain, len(network.connections))

    def bias_spreads(self, network: Network) -> tuple[float, ...]:
        """Return one spread per layer of `network`; a single number is for the hidden layers alone."""
        if isinstance(self.bias_spread, tuple):
            return _each("network.bias_spread", self.bias_spread, network.depth)
        if self.bias_spread != 0.0 and network.depth == 1:
            allowed = "0.0 (the default): a single number is for hidden layers, there are none"
            fix = "An option without effect is refused."
            raise InputError("network.bias_spread", self.bias_spread, allowed, fix)
        return (self.bias_spread,) * (network.depth - 1) + (0.0,)

    def initial(self, clock: Clock) -> Weights | None:
        """Return the weights that training begins with, or None where they are drawn."""
        del clock
        return None

    def neurons(self, clock: Clock) -> tuple[Mapping[str, Tensor], ...]:
        """Return the design's values of single neurons; nothing where a layer has one for all."""
        del clock
        return ()

    def parts(self) -> dict[str, tuple[Mapping[str, Any], object]]:
        """Return the keys that hold registered parts, what the config says there, and the parts."""
        return {**self._neurons(), "feedback": feedback_part(self.feedback)}

    def _neurons(self) -> dict[str, tuple[Mapping[str, Any], Neuron]]:
        first = _neuron("network.neuron", self.neuron)
        parts: dict[str, tuple[Mapping[str, Any], Neuron]] = {"neuron": (self.neuron, first)}
        if self.output_neuron is not None:
            # all of it: where the hidden neurons' keys are filled in, they must not reach the output
            base = {} if "model" in self.output_neuron else self.neuron
            whole = {**base, **self.output_neuron}
            parts["output_neuron"] = (whole, _neuron("network.output_neuron", whole))
        return parts

    def copies(self) -> tuple[dict[str, Any], dict[str, bytes]]:
        """Return the keys that are different in the folder of a run, and the files they refer to there."""
        return {}, {}


class NetworkFilePart(Section):
    """A design in a NIR file: layers, values of single neurons, weights to begin with, and its clock.

    Args:
        nir: the file; in a config file, relative to its folder.
        solver: how the program that another file comes from solves NIR's equations: ``exponential`` Euler as
            here, or ``euler`` (snnTorch, Norse, SpikingJelly), whose time constants become others here.
        reset: what a spike does in that program: set the potential to NIR's ``v_reset`` (``value``), or
            ``subtract`` the threshold (sinabs, Rockpool), or that a step later (``subtract_late``, snnTorch's
            default).
        sha256: checksum of the content, written into what a run keeps.
    """

    nir: str
    solver: Literal["exponential", "euler"] = "exponential"
    reset: Literal["value", "subtract", "subtract_late"] = "value"
    sha256: str | None = None

    @cached_property
    def file(self) -> NIRFile:
        """The file, read once."""
        from spiking.nir import NIRFile  # noqa: PLC0415 (HDF5, only where it is needed)

        return NIRFile(Path(self.nir))

    @cached_property
    def chips(self) -> dict[Clock, Stored]:
        """What was read, by the clock it was read with."""
        return {}

    def stored(self, clock: Clock) -> Stored:
        """Return what the file holds.

        Raises:
            InputError: it cannot be read, or says another clock.
        """
        if clock not in self.chips:
            _check_clock(self.nir, self.file.clock or clock, clock)
            from spiking.nir import Reading  # noqa: PLC0415 (HDF5, only where it is needed)

            self.chips[clock] = self.file.chip(clock, Reading(self.solver, self.reset))
        return self.chips[clock]

    @property
    def source(self) -> tuple[str, Any]:
        """The key that says the sizes, and its value."""
        return "network.nir", self.nir

    def build(self, clock: Clock) -> Network:
        """Return the design."""
        return self.stored(clock).network

    def weight_gains(self, network: Network) -> tuple[float, ...]:
        """Return no spread: the file says the weights."""
        return (0.0,) * len(network.connections)

    def bias_spreads(self, network: Network) -> tuple[float, ...]:
        """Return no spread: the file says the biases."""
        return (0.0,) * network.depth

    def initial(self, clock: Clock) -> Weights | None:
        """Return the file's weights and biases."""
        chip = self.stored(clock)
        return Weights(chip.weights, tuple(layer["bias"] for layer in chip.neurons))

    def neurons(self, clock: Clock) -> tuple[Mapping[str, Tensor], ...]:
        """Return the file's values of single neurons."""
        return self.stored(clock).neurons

    def parts(self) -> dict[str, tuple[Mapping[str, Any], object]]:
        """Return nothing: the file says it."""
        return {}

    def copies(self) -> tuple[dict[str, Any], dict[str, bytes]]:
        """Return the keys that are different in the folder of a run, and the files they refer to there."""
        return {"nir": COPY}, {COPY: self.file.content}


def _alternative(section: Any) -> str:
    given = section if isinstance(section, dict) else {}
    if isinstance(section, NetworkFilePart) or "nir" in given:
        return f"{ALTERNATIVE}file"
    graph = isinstance(section, GraphPart) or "populations" in given or "connections" in given
    return f"{ALTERNATIVE}{'graph' if graph else 'design'}"


NetworkSection = Annotated[
    Annotated[NetworkPart, Tag(f"{ALTERNATIVE}design")]
    | Annotated[GraphPart, Tag(f"{ALTERNATIVE}graph")]
    | Annotated[NetworkFilePart, Tag(f"{ALTERNATIVE}file")],
    Discriminator(_alternative),
]
"""One of the three; the keys ``nir`` and ``populations`` tell them apart."""


def anchored(data: Mapping[str, Any], folder: Path) -> dict[str, Any]:
    """Return a config in which files that are named relatively are in `folder`.

    These are the network's file, and fields of the task that its class calls ``anchored``.
    """
    raw = dict(data)
    for section, keys in (("network", ("nir",)), ("task", _anchored_keys(raw.get("task")))):
        given = raw.get(section)
        if isinstance(given, dict):
            named = {key: given[key] for key in keys if isinstance(given.get(key), str)}
            raw[section] = {**given, **{k: str((folder / name).absolute()) for k, name in named.items()}}
    network = raw.get("network")
    if isinstance(network, dict) and isinstance(network.get("connections"), dict):
        joined = {
            name: {**part, "file": str((folder / part["file"]).absolute())}
            if isinstance(part, dict) and isinstance(part.get("file"), str)
            else part
            for name, part in network["connections"].items()
        }
        raw["network"] = {**network, "connections": joined}
    return raw


def _anchored_keys(task: Any) -> tuple[str, ...]:
    name = task.get("name") if isinstance(task, dict) else None
    if name not in available("tasks"):
        return ()  # what is wrong with it is said when it is built
    keys: tuple[str, ...] = building.find("tasks", name, "task.name").anchored
    return keys


def prepared(data: Mapping[str, Any]) -> dict[str, Any]:
    """Return a config whose network's file is named absolutely and known by its checksum.

    Raises:
        InputError: the file cannot be read, is not the one whose checksum is given, or other keys say
            what the file says.
    """
    raw = anchored(data, Path())
    network = raw.get("network")
    if not isinstance(network, dict) or not isinstance(network.get("nir"), str):
        return raw
    for key, value in network.items():
        if key in NetworkPart.model_fields:
            fix = "Remove it, or network.nir."
            raise InputError(f"network.{key}", value, "nothing beside network.nir: the file says it", fix)
        if key not in NetworkFilePart.model_fields:
            raise unknown(f"network.{key}", value, NetworkFilePart.model_fields)
    found = NetworkFilePart(nir=network["nir"]).file.sha256
    if network.get("sha256") not in (None, found):
        fix = "The file has changed; without this key it is taken as it is now."
        raise InputError("network.sha256", network["sha256"], f"{found}, that of {network['nir']}", fix)
    return {**raw, "network": {**network, "sha256": found}}


def _check_clock(path: str, own: Clock, given: Clock) -> None:
    for key, section in (("dt_ms", "simulator"), ("max_rate_hz", "bridge"), ("readout_tau_ms", "bridge")):
        said, wanted = getattr(given, key), getattr(own, key)
        if said != wanted:
            raise InputError(f"{section}.{key}", said, f"{wanted:g}: network.nir says it ({path})")


def _neuron(key: str, options: Mapping[str, Any]) -> Neuron:
    neuron: Neuron = building.build("neurons", options, key, "model")
    return neuron


def _each(key: str, value: float | tuple[float, ...], count: int) -> tuple[float, ...]:
    values = value if isinstance(value, tuple) else (value,) * count
    if len(values) != count:
        raise InputError(key, list(values), f"one number, or a list of {count}, one per layer of neurons")
    return values
