"""The same groups without a compiler, in this process: operators in numpy, or Brian2's own Synapses."""

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

from rate_bridge.errors import UnsupportedError
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
        synapses: let Brian2's Synapses deliver spikes and feedback, one copy for every sample, instead
            of operators: slow, and an independent check of the operators.
    """

    def __init__(self, shape: Shape, sizes: Mapping[str, int], dt_ms: float, synapses: bool) -> None:
        self.shape, self.sizes, self.synapses = shape, dict(sizes), synapses
        self.chips, self.batch, self.steps = sizes["chips"], sizes["batch"], sizes["steps"]
        self.dt = dt_ms * brian2.ms
        self.data: dict[str, Array] = {}
        with _interpreted():
            self.model = build_model(shape, self.chips * self.batch, dt_ms)
            self.links = _Synapses(self) if synapses else None
            objects = [] if self.links is None else self.links.objects
            self.network = brian2.Network(*self.model.groups, *objects, *self._operations(), name="network")
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
            if self.links is not None:
                self.links.program()
            self.network.run(self.steps * self.dt, namespace={})
        for section in sections:
            if section.role == "state":
                self.data[section.name] = self._view(section.name).copy()
        return {name: torch.from_numpy(array) for name, array in self.data.items()}

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
        places = [
            (self._drive, "start", 0, self.shape.drive == "currents" and not self.synapses),
            (self._feed_back, "groups", -1, self.shape.controller and not self.synapses),
            (self._deliver, "synapses", 0, True),
            (self._count, "synapses", 1, True),
            (self._record, "end", 0, bool(self.shape.record)),
        ]
        return [
            brian2.NetworkOperation(function, clock=self.model.clock, when=when, order=order)
            for function, when, order, needed in places
            if needed
        ]

    @property
    def _step(self) -> int:
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
        now = values[:, self._step if values.shape[1] > 1 else 0]
        population, columns = self._columns(1)
        self._view(f"population{population}.external")[..., columns] = np.matmul(now, self.data["weights0"])

    def _feed_back(self) -> None:
        control = self._view("controller.control")
        for index in range(len(self.shape.populations)):
            self._view(f"population{index}.feedback")[:] = np.matmul(control, self.data[f"feedback{index}"])

    def _deliver(self) -> None:
        for index, (pre, post, delay) in enumerate(self.shape.connections):
            if pre == 0 and self.shape.drive == "currents":
                continue
            if pre == 0:
                arriving = np.broadcast_to(
                    self.data["raster"][None, :, self._step].astype(float),
                    (self.chips, self.batch, self.shape.inputs),
                )
            else:
                population, columns = self._columns(pre)
                arriving = self._emitted(population)[..., columns]
            if delay > 1:
                ring = self.data[f"history{index}"]
                slot = self._step % (delay - 1)
                arriving, ring[:, :, slot] = ring[:, :, slot].copy(), arriving
            if not self.synapses:
                population, columns = self._columns(post)
                current = self._view(f"population{population}.synapse")
                current[..., columns] += np.matmul(arriving, self.data[f"weights{index}"])

    def _count(self) -> None:
        population, columns = self._columns(self.shape.depth)
        self._view("readout.trace")[:] += self.data["trace_gain"] * self._emitted(population)[..., columns]
        weight = self.data["window"][:, self._step, None]
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
                    self.data[f"{name}{index}"][:, :, self._step] = now
            elif name == "readout":
                self.data[name][:, :, self._step] = self._view("readout.trace")
            elif self.shape.controller:
                self.data[name][:, :, self._step] = self._view("controller.control")


class _Synapses:
    """Brian2's own Synapses in place of the operators that deliver."""

    def __init__(self, plain: PlainModel) -> None:
        self.plain, self.shape = plain, plain.shape
        self.samples = plain.chips * plain.batch
        self.objects: list[Any] = []
        self.weighted: list[tuple[str, Any]] = []
        self.source: Any = None
        self._input()
        for index, (pre, post, delay) in enumerate(self.shape.connections):
            if pre == 0 and self.shape.drive == "currents":
                continue
            self._connection(index, pre, post, delay)
        if self.shape.controller:
            self._feedback()

    def _input(self) -> None:
        plain, count = self.plain, self.samples * self.shape.inputs
        clock = plain.model.clock
        if self.shape.drive == "spikes":
            self.source = brian2.SpikeGeneratorGroup(count, [], [] * brian2.ms, clock=clock, name="source")
            self.objects.append(self.source)
            return
        self.source = brian2.NeuronGroup(count, "value : 1", clock=clock, name="source")
        population, first, size = self.shape.place(1)
        drive = brian2.Synapses(
            self.source,
            plain.model.populations[population],
            "w : 1 (constant)\nexternal_post = w*value_pre : 1 (summed)",
            clock=clock,
            name="drive",
        )
        self._connect(drive, (self.shape.inputs, 0, self.shape.inputs), (population, first, size))
        self.weighted.append(("weights0", drive))
        follow = brian2.NetworkOperation(self._follow, clock=clock, when="start")
        self.objects += [self.source, drive, follow]

    def _follow(self) -> None:
        values = self.plain.data["values"]
        now = values[:, self.plain._step if values.shape[1] > 1 else 0]
        self.source.variables["value"].get_value()[:] = np.tile(now.reshape(-1), self.plain.chips)

    def _connection(self, index: int, pre: int, post: int, delay: int) -> None:
        plain = self.plain
        if pre == 0:
            source, place = self.source, (self.shape.inputs, 0, self.shape.inputs)
        else:
            population, first, size = self.shape.place(pre)
            if not self.shape.populations[population].spikes:
                raise UnsupportedError("simulator.mode", "synapses", "neurons that spike")
            source = plain.model.populations[population]
            place = (self.shape.populations[population].size, first, size)
        target = self.shape.place(post)
        synapses = brian2.Synapses(
            source,
            plain.model.populations[target[0]],
            "w : 1 (constant)",
            on_pre="synapse_post += w",
            delay=(delay - 1) * plain.dt,
            clock=plain.model.clock,
            name=f"connection{index}",
        )
        self._connect(synapses, place, target)
        self.weighted.append((f"weights{index}", synapses))
        self.objects.append(synapses)

    def _feedback(self) -> None:
        plain, k = self.plain, self.shape.outputs
        for index, population in enumerate(self.shape.populations):
            synapses = brian2.Synapses(
                plain.model.controller,
                plain.model.populations[index],
                "w : 1 (constant)\nfeedback_post = w*control_pre : 1 (summed)",
                clock=plain.model.clock,
                name=f"feedback{index}",
            )
            self._connect(synapses, (k, 0, k), (index, 0, population.size))
            self.weighted.append((f"feedback{index}", synapses))
            self.objects.append(synapses)

    def _connect(self, synapses: Any, source: tuple[int, int, int], target: tuple[int, int, int]) -> None:
        """Join every neuron of a stretch to every one of another, sample by sample."""
        (total, first, size), (population, post_first, post_size) = source, target
        post_total = self.shape.populations[population].size
        sample, i, j = np.meshgrid(
            np.arange(self.samples), np.arange(size), np.arange(post_size), indexing="ij"
        )
        synapses.connect(
            i=(sample * total + first + i).ravel(), j=(sample * post_total + post_first + j).ravel()
        )

    def program(self) -> None:
        """Give the synapses their weights, and the source its spikes."""
        data = self.plain.data
        for name, synapses in self.weighted:
            weights = data[name][:, None]
            shape = (self.plain.chips, self.plain.batch, *weights.shape[2:])
            synapses.variables["w"].get_value()[:] = np.broadcast_to(weights, shape).reshape(-1)
        if self.shape.drive == "spikes":
            if any(array.any() for name, array in data.items() if name.startswith("history")):
                raise UnsupportedError("phase.after", "spikes under way", "none with simulator.mode=synapses")
            raster = np.tile(data["raster"].transpose(1, 0, 2), (1, self.plain.chips, 1))
            times, indices = np.nonzero(raster.reshape(self.plain.steps, -1))
            self.source.set_spikes(indices, times * self.plain.dt)
