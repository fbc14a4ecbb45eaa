"""From a bundle to a running Lava network: which processes there are and who sends to whom.

Within a step every process that is part of a loop sends before it receives, so that nobody waits for
somebody who waits for him:

    controller --u--> feedback --I_fb--> neurons --spikes--> dense --arriving--> neurons
        ^                                  |  `--current--> shadow
        '------------- spikes -------------'

Where feedback is layered, what hidden layers receive is refreshed every so many steps, from the last to the
first; all of them know when, and send and receive nothing of it in other steps:

    controller --u--> feedback --a--> neurons --gated--> feedback --a--> neurons of the layer below

Neurons pass on what they received before they emit, by what they emitted in earlier steps, so that this
chain waits for nobody but the controller, who sends first.

What arrives in a step is added to the synaptic current at its end and reaches the membrane in the next
one, so that a step of Lava is exactly a step of ``docs/model.md``.

Where synapses learn, the samples are shown ``batch`` at a time, and each presentation ends in Lava's learning
phase, without anything leaving the network:

    shadow --sum--> neurons --error--> dense

Synapses that learn in every step need no such phase: neurons send them the feedback current at once, before
they emit. Where the input acts as a current, in its own step, its synapses send first and learn then.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .bundle import Arrays
from .crew import Crew
from .processes.controller import Controller
from .processes.dense import Dense
from .processes.population import Population
from .processes.shadow import Shadow
from .processes.source import Source
from .session import Session
from .shared import share
from .supervisor import Phase, Supervisor

__all__ = ["Networks", "total_steps"]

LEARNING = (Population, Dense, Shadow)
"""Processes that take part in the learning phase."""


class Networks:
    """Keeps the last compiled network: the next bundle usually fits it.

    Args:
        supervisor: guards every network.
    """

    def __init__(self, supervisor: Supervisor) -> None:
        self.supervisor = supervisor
        self.current: _Compiled | None = None

    def run(
        self, header: dict[str, Any], arrays: Arrays, limit_s: float, report: Callable[[int], None]
    ) -> Arrays:
        """Run what a bundle describes and return the final state and the sums, by name."""
        key = _key(header, arrays)
        if self.current is None or self.current.key != key:
            self._stop(limit_s)
            self.current = _Compiled(header, arrays, key, self.supervisor, limit_s)
        return self.current.run(header, arrays, limit_s, report)

    def _stop(self, limit_s: float) -> None:
        if self.current is not None:
            self.current.stop(limit_s)
            self.current = None


def _key(header: dict[str, Any], arrays: Arrays) -> str:
    """What a compiled network was made for."""
    return json.dumps([header, sorted((k, a.shape, a.dtype.str) for k, a in arrays.items())], sort_keys=True)


class _Compiled:
    def __init__(
        self, header: dict[str, Any], arrays: Arrays, key: str, supervisor: Supervisor, limit_s: float
    ) -> None:
        self.key, self.supervisor = key, supervisor
        self.inputs = share(arrays)
        self.outputs = share(_outputs(header))
        builder = _Builder(header, {**self.inputs, **self.outputs})
        self.names = tuple(builder.names)
        self.clock, self.progress = builder.clock["start"], builder.clock["progress"]
        self.crew = Crew()
        self._watch("starting", limit_s)
        self.session = Session(builder.root, self.progress, header["arithmetic"])
        self._watch("resting", limit_s)

    def _watch(self, phase: Phase, limit_s: float) -> None:
        self.supervisor.watch(phase, self.crew, self.names, self.progress, limit_s)

    def run(
        self, header: dict[str, Any], arrays: Arrays, limit_s: float, report: Callable[[int], None]
    ) -> Arrays:
        for name, array in arrays.items():
            self.inputs[name][...] = array
        for array in self.outputs.values():
            array[...] = 0
        self.clock[...] = self.session.steps
        self._watch("running", limit_s)
        self.session.run(total_steps(header), report)
        self._watch("resting", limit_s)
        state = {name: array for name, array in self.inputs.items() if _is_state(name)}
        return {**state, **self.outputs}

    def stop(self, limit_s: float) -> None:
        """End all processes of the network."""
        self._watch("stopping", limit_s)
        self.session.stop()
        self.supervisor.relax()


def total_steps(header: dict[str, Any]) -> int:
    """Return the steps of all presentations."""
    return int(header["steps"] * header.get("presentations", 1))


def _is_state(name: str) -> bool:
    first = name.split(".", maxsplit=1)[0]
    return ".state." in name or first in {"history", "sent", "gates"} or name in {"trace", "integral"}


def _outputs(header: dict[str, Any]) -> Arrays:
    """Return zeros for everything that is measured."""
    chips, steps, sizes = (header[key] for key in ("chips", "steps", "sizes"))
    samples = header["batch"] * header.get("presentations", 1)

    def zeros(*shape: int) -> NDArray[Any]:
        return np.zeros((chips, samples, *shape))

    outputs = {"sum.control": zeros(sizes[-1])}
    for layer, size in enumerate(sizes[1:]):
        outputs[f"sum.{layer}"] = zeros(size)
        if header["shadow"]:
            outputs[f"sum.shadow.{layer}"] = zeros(size)
        for name in {"spikes", "voltage", "current"} & set(header["record"]):
            outputs[f"record.{name}.{layer}"] = zeros(steps, size)
    for name in {"control", "readout"} & set(header["record"]):
        outputs[f"record.{name}"] = zeros(steps, sizes[-1])
    for layer, size in enumerate(sizes[1:-1] if header.get("relay") else ()):
        outputs[f"sum.apical.{layer}"] = zeros(size)
    for layer in range(len(sizes) if header.get("deltas") else 0):
        outputs[f"messages.{layer}"] = np.zeros((chips if layer else 1, samples))
    for index, (pre, post, _) in enumerate(header["connections"] if header.get("learning") else ()):
        outputs[f"change.weight.{index}"] = np.zeros((chips, sizes[pre], sizes[post]))
        outputs[f"change.bias.{index}"] = np.zeros((chips, sizes[post]))
    return outputs


class _Builder:
    """Makes the processes and connects them."""

    def __init__(self, header: dict[str, Any], arrays: Arrays) -> None:
        self.header, self.arrays = header, arrays
        self.names: list[str] = []
        count = 64 + 2 * len(header["connections"]) + 4 * len(header["sizes"])
        self.clock = share({"start": np.zeros(1, np.int64), "progress": np.full(count, -1, np.int64)})
        progress = self.clock["progress"]
        self.root = self._build()
        self.clock["progress"] = progress[: len(self.names)]

    def _make(self, kind: Any, name: str, **options: Any) -> Any:
        header = self.header
        options = {
            "arrays": self.arrays,
            "clock": self.clock,
            "slot": len(self.names),
            "steps": header["steps"],
            "batch": header["batch"],
            "samples": header["batch"] * header.get("presentations", 1),
            "learns": header["learning"] if kind in LEARNING and self._taught else None,
            "deltas": header.get("deltas", False),
            "relay": header.get("relay"),
            **options,
        }
        self.names.append(name)
        return kind(name=name, **options)

    @property
    def _taught(self) -> bool:
        """Whether synapses learn: those that do it in every step, from a feedback current alone."""
        learning = self.header.get("learning")
        return learning is not None and (self.header["closed"] or not learning["inside"])

    def _build(self) -> Any:
        header = self.header
        chips, batch, sizes = header["chips"], header["batch"], header["sizes"]

        def shape(size: int) -> tuple[int, int, int]:
            return chips, batch, size

        source = self._make(Source, "source", shape=(1, batch, sizes[0]))
        layers = [
            self._make(
                Population,
                f"layer {index + 1}",
                shape=shape(size),
                layer=index,
                incoming=[k for k, c in enumerate(header["connections"]) if c[1] == index + 1],
                neuron=described,
            )
            for index, (size, described) in enumerate(zip(sizes[1:], header["layers"], strict=True))
        ]
        controller = self._make(Controller, "controller", shape=shape(sizes[-1]), closed=header["closed"])
        layers[-1].out.connect(controller.spikes)
        if header["closed"]:
            self._feed_back(controller, layers)
        sources = [source, *layers]
        for index, (pre, post, delay) in enumerate(header["connections"]):
            direct = pre == 0 and header["drive"] != "spikes"
            dense = self._make(
                Dense,
                f"connection {pre}-{post}",
                pre_shape=sources[pre].out.shape,
                shape=shape(sizes[post]),
                weight=f"weight.{index}",
                history=f"history.{index}" if delay > 1 and not direct else "",
                index=index,
                pre_layer=pre,
                direct=pre == 0 and header["drive"] != "spikes",
            )
            if self._taught:
                layers[post - 1].error.connect(dense.error)
            sources[pre].out.connect(dense.pre)
            target = layers[post - 1]
            dense.post.connect(target.external if direct else target.arriving)
        for index, (layer, size) in enumerate(zip(layers, sizes[1:], strict=True)):
            if header["shadow"]:
                described = header.get("shadows", header["layers"])[index]
                shadow = self._make(
                    Shadow, f"shadow {index + 1}", shape=shape(size), layer=index, neuron=described
                )
                layer.current.connect(shadow.current)
                if self._taught and not header["learning"]["inside"]:
                    shadow.basal.connect(layer.basal)
        return controller

    def _feed_back(self, controller: Any, layers: list[Any]) -> None:
        """Connect the controller with all layers, or layered feedback from each layer to the one below."""
        header, sizes = self.header, self.header["sizes"]
        above = controller.relay
        for index in reversed(range(len(layers))):
            relayed = bool(header.get("relay")) and index < len(layers) - 1
            source, size = (above, sizes[index + 2]) if relayed else (controller.out, sizes[-1])
            feedback = self._make(
                Dense,
                f"feedback {index + 1}",
                pre_shape=(header["chips"], header["batch"], size),
                shape=(header["chips"], header["batch"], sizes[index + 1]),
                weight=f"feedback.{index}",
                history="",
                index=None,
                pre_layer=None,
                every=header["relay"] if relayed else 1,
            )
            source.connect(feedback.pre)
            feedback.post.connect(layers[index].feedback)
            if relayed:
                above = layers[index].passed
