"""The same groups without a compiler, in this process: operators in numpy."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import brian2
import numpy as np
import torch
from brian2.devices.device import get_device
from numpy.typing import NDArray
from torch import Tensor

from spiking.simulators.brian2.layout import LOCAL, layout
from spiking.simulators.brian2.model import EVENTS, build_model
from spiking.simulators.brian2.shape import PREFIXES, Shape

__all__ = ["PlainModel"]

Array = NDArray[Any]


@contextmanager
def _interpreted() -> Iterator[None]:
    """Let Brian2 run in this process with numpy, and leave its settings as they were."""
    codegen, device = brian2.prefs.codegen, get_device()
    before = codegen.target, codegen.loop_invariant_optimisations
    brian2.set_device("runtime")
    codegen.target, codegen.loop_invariant_optimisations = "numpy", False
    try:
        yield
    finally:
        codegen.target, codegen.loop_invariant_optimisations = before
        if device is not get_device():
            device.activate()


class PlainModel:
    """All chips and samples side by side.

    Args:
        shape: the structure.
        sizes: chips, batch, steps and steps of the drive.
        dt_ms: time step.
    """

    def __init__(self, shape: Shape, sizes: Mapping[str, int], dt_ms: float) -> None:
        self.shape, self.sizes = shape, dict(sizes)
        self.chips, self.batch, self.steps = sizes["chips"], sizes["batch"], sizes["steps"]
        self.dt = dt_ms * brian2.ms
        self.data: dict[str, Array] = {}
        with _interpreted():
            self.model = build_model(shape, self.chips * self.batch, dt_ms)
            self.network = brian2.Network(*self.model.groups, *self._operations(), name="network")
            self.network.store()

    def run(self, data: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Run on `data`, as `data.arrays` made it, and return states and outputs."""
        sections = layout(self.shape)
        with _interpreted():
            self.network.restore()
            for section in sections:
                extent = section.shape(**self.sizes)
                array = np.zeros(extent, section.dtype)
                if section.role != "output":
                    value = data[section.name].numpy()
                    array[...] = value if value.ndim in {0, array.ndim} else value[None]
                self.data[section.name] = array
                if section.role in {"constant", "state"}:
                    self._set(section.name, array)
            self._begin()
            self.network.run(self.steps * self.dt, namespace={})
        for section in sections:
            if section.role == "state":
                self.data[section.name] = self._view(section.name).copy()
        return {name: torch.from_numpy(array) for name, array in self.data.items()}

    def _begin(self) -> None:
        """Do what is left to do before the first step: nothing, unless something else than operators runs."""

    def _set(self, name: str, array: Array) -> None:
        shape = (self.chips, self.batch, array.shape[-1])
        wide = array if array.ndim == 3 else np.broadcast_to(array[:, None], shape)
        self.model.variable(name).get_value()[:] = wide.reshape(-1)

    def _view(self, name: str) -> Array:
        """Return a variable's own memory, ``(chips, batch, n)``."""
        values: Array = self.model.variable(name).get_value()
        return values.reshape(self.chips, self.batch, -1)

    # the operators, each in its place of the step

    def _operations(self) -> list[Any]:
        direct = self.shape.controller and not self.shape.gate_points
        places = [
            (self._drive, "start", 0, self.shape.drive == "currents"),
            (self._aim, "start", 0, self.shape.moves),
            (self._feed_back, "groups", -1, direct),
            (self._relay, "groups", -1, self.shape.controller and not direct),
            (self._deliver, "synapses", 0, True),
            (self._count, "synapses", 1, True),
            (self._trace, "synapses", 2, self.shape.traced),
            (self._record, "end", 0, bool(self.shape.record)),
        ]
        return [
            brian2.NetworkOperation(function, clock=self.model.clock, when=when, order=order)
            for function, when, order, needed in places
            if needed
        ]

    @property
    def step(self) -> int:
        return int(self.model.clock.variables["timestep"].get_value().item())

    def _emitted(self, population: int, kind: int = 0) -> Array:
        part = self.shape.populations[population]
        if not part.spikes:
            return self._view(f"population{population}.{part.parts[kind].code.emission}")
        space = self.model.populations[population].variables[f"_{EVENTS[kind]}space"].get_value()
        emitted = np.zeros(self.chips * self.batch * part.size)
        emitted[space[: space[-1]]] = 1.0
        return emitted.reshape(self.chips, self.batch, part.size)

    def _columns(self, layer: int) -> tuple[int, slice]:
        population, first, size = self.shape.place(layer)
        return population, slice(first, first + size)

    def _drive(self) -> None:
        values = self.data["values"]
        now = values[:, self.step if values.shape[1] > 1 else 0]
        for population in self.shape.driven:
            self._view(f"population{population}.external")[:] = 0.0
        for index, post in self.shape.currents:
            population, columns = self._columns(post)
            external = self._view(f"population{population}.external")
            external[..., columns] += np.matmul(now, self.data[f"weights{index}"])

    def _aim(self) -> None:
        self._view("controller.target")[:] = self.data["course"][:, self.step]

    def _feed_back(self) -> None:
        control = self._view("controller.control")
        for index in range(len(self.shape.populations)):
            self._view(f"population{index}.feedback")[:] = np.matmul(control, self.data[f"feedback{index}"])
        if self.shape.traced:
            self._learn()

    def _taught(self, index: int) -> Array:
        """Return what a connection learns from in this step, times its step size, ``(chips, batch, n)``."""
        post, (_, from_first_spike, _, _) = self.shape.connections[index][1], self.data["tracing"]
        population, columns = self._columns(post)
        feedback = self._view(f"population{population}.feedback")[..., columns]
        error: Array = feedback * self.data["window"][:, self.step, None]
        if from_first_spike and post < self.shape.depth:
            error = error * self.data[f"spiked{post}"]
        error *= self.data["step_sizes"][index] / self.batch
        return error

    def _learn(self) -> None:
        """Synapses that learn in every step change before they deliver anything."""
        for index, (pre, _, _) in enumerate(self.shape.connections):
            change = np.matmul(self.data[f"traced{pre}"].transpose(0, 2, 1), self._taught(index))
            self.data[f"weight_change{index}"] += change
            self.data[f"weights{index}"] += change * self.data[f"effect{index}"]

    def _trace(self) -> None:
        """Biases change for the next step; traces take in what is emitted."""
        share, _, biases, changes = self.data["tracing"]
        for index, (_, post, _) in enumerate(self.shape.connections):
            if not (biases and self.shape.controller):
                break
            change = self._taught(index).sum(axis=1)
            self.data[f"bias_change{index}"] += change
            if changes:
                population, columns = self._columns(post)
                self._view(f"population{population}.bias")[..., columns] += change[:, None]
        for layer in range(self.shape.depth + 1):
            emitted = self._emission(layer)
            trace = self.data[f"traced{layer}"]
            trace += share * (emitted * self.data["emission_values"][layer] - trace)
            self.data[f"spiked{layer}"][emitted != 0] = 1.0

    def _relay(self) -> None:
        """Layered feedback: refresh what hidden layers receive, hold it, and let it act on the neurons."""
        if self.step % int(self.data["refresh_steps"].item()) == 0:
            for layer, array in self._received().items():
                self._view(f"relay{layer}.apical")[:] = array
        last, weight = self.shape.depth, self.data["window"][:, self.step, None]
        for layer in self.shape.relays:
            apical = self._view(f"relay{layer}.apical")
            self.data[f"apical{layer}"] += weight * apical
            self._act(layer, self.data[f"strength{layer}"][..., None] * apical)
        self._act(last, self._reaching_outputs())
        if self.shape.traced:
            self._learn()

    def _act(self, layer: int, current: Array) -> None:
        population, columns = self._columns(layer)
        self._view(f"population{population}.feedback")[..., columns] = current

    def _reaching_outputs(self) -> Array:
        """Return the feedback currents of the last layer where feedback is layered."""
        weights = self.data[f"backward{self.shape.depth}"]
        return np.asarray(np.matmul(self._view("controller.control"), weights))

    def _received(self) -> dict[int, Array]:
        """Return what hidden layers receive at a refresh."""
        received, passed = {}, self._view("controller.control")
        for layer in reversed(self.shape.relays):
            received[layer] = np.matmul(passed, self.data[f"backward{layer}"])
            passed = self.gates(layer) * received[layer] if layer > 1 else passed
        return received

    def gates(self, layer: int) -> Array:
        """Return the values of a layer's gates, straight lines between the points of their curves."""
        curves, (low, scale) = self.data[f"gates{layer}"], self.data[f"gate_range{layer}"]
        points = low + np.arange(self.shape.gate_points) / scale
        seen = self._view(f"relay{layer}.seen")
        chips, _, n = seen.shape
        values = [[np.interp(seen[c, :, j], points, curves[c, j]) for j in range(n)] for c in range(chips)]
        return np.array(values).transpose(0, 2, 1)

    def _emission(self, layer: int) -> Array:
        """Return what a layer emits, or the input, ``(chips, batch, n)``."""
        if layer > 0:
            population, columns = self._columns(layer)
            return self._emitted(population)[..., columns]
        given = self.data["raster" if self.shape.drive == "spikes" else "values"]
        now = given[None, :, self.step if given.shape[1] > 1 else 0].astype(float)
        return np.broadcast_to(now, (self.chips, self.batch, self.shape.inputs))

    def _deliver(self) -> None:
        for index, pre, post, delay in self.shape.carrying:
            arriving = self._emission(pre)
            if delay > 1:
                ring = self.data[f"history{index}"]
                slot = self.step % (delay - 1)
                arriving, ring[:, :, slot] = ring[:, :, slot].copy(), arriving
            self._add(arriving, index, post)

    def _add(self, arriving: Array, index: int, post: int) -> None:
        """Add what arrives through a connection to the synaptic currents."""
        population, columns = self._columns(post)
        current = self._view(f"population{population}.synapse")
        current[..., columns] += np.matmul(arriving, self.data[f"weights{index}"])

    def _count(self) -> None:
        self._view("readout.trace")[:] += self.data["trace_gain"] * self._emission(self.shape.depth)
        for layer in self.shape.relays:
            self._view(f"relay{layer}.seen")[:] += self.data[f"seen_gain{layer}"] * self._emission(layer)
        weight = self.data["window"][:, self.step, None]
        for index, part in enumerate(self.shape.populations):
            for kind, name in enumerate(("sums", "basal")[: len(part.parts)]):
                self.data[f"{name}{index}"] += weight * self._emitted(index, kind)
        if self.shape.controller:
            self.data["control_sum"] += weight * self._view("controller.control")

    def _record(self) -> None:
        variables = {"voltage": f"{PREFIXES[0]}v", "current": "synapse"}
        for name in self.shape.record:
            if name in LOCAL:
                for index in range(len(self.shape.populations)):
                    now = (
                        self._emitted(index)
                        if name == "spikes"
                        else self._view(f"population{index}.{variables[name]}")
                    )
                    self.data[f"{name}{index}"][:, :, self.step] = now
            elif name == "readout":
                self.data[name][:, :, self.step] = self._view("readout.trace")
            elif self.shape.controller:
                self.data[name][:, :, self.step] = self._view("controller.control")
