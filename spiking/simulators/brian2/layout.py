"""The arrays that pass between the simulator and a generated program, by name."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

from spiking.simulators.brian2.shape import PREFIXES, Shape

__all__ = ["LOCAL", "Section", "layout"]

LOCAL = ("spikes", "voltage", "current")
"""Traces that are recorded per population; the others belong to the read-out."""


@dataclass(frozen=True)
class Section:
    """One array.

    Args:
        name: how it is called, ``group.variable`` where it is a variable of a Brian2 group.
        dims: its shape; the names ``chips``, ``batch``, ``steps`` and ``drive_steps`` stand for numbers
            that differ from block to block.
        role: ``constant``: given per chip, the same for all samples; ``state``: given per sample and
            given back; ``input``: read by operators; ``output``: written by operators.
        dtype: its type.
    """

    name: str
    dims: tuple[str | int, ...]
    role: Literal["constant", "state", "input", "output"]
    dtype: type[np.float64] | type[np.uint8] = np.float64

    def shape(self, **sizes: int) -> tuple[int, ...]:
        """Return the numbers that `dims` stands for."""
        return tuple(sizes[d] if isinstance(d, str) else d for d in self.dims)


def layout(shape: Shape) -> tuple[Section, ...]:
    """Return the arrays of a program, in the order they have in the exchanged memory."""
    sections: list[Section] = []
    for index in range(len(shape.populations)):
        sections += _population(shape, index)
    sections += _readout(shape)
    if shape.gate_points:
        sections += _relays(shape)
    for index, (pre, post, delay) in enumerate(shape.connections):
        size = shape.size(pre)
        sections.append(Section(f"weights{index}", ("chips", size, shape.place(post)[2]), "input"))
        if delay > 1:
            sections.append(Section(f"history{index}", ("chips", "batch", delay - 1, size), "input"))
    if shape.drive == "spikes":
        sections.append(Section("raster", ("batch", "steps", shape.inputs), "input", np.uint8))
    else:
        sections.append(Section("values", ("batch", "drive_steps", shape.inputs), "input"))
    sections.append(Section("window", ("batch", "steps"), "input"))
    return (*sections, *_plasticity(shape)) if shape.plastic else tuple(sections)


def _plasticity(shape: Shape) -> list[Section]:
    """Samples between two changes; scales of the layers' sums; what a change does to the weights.

    Where synapses learn in every step: what an emission counts as, traces, and who has spiked.
    """
    sections = [Section("step_sizes", (len(shape.connections),), "input")]
    if shape.traced:
        sections.append(Section("tracing", (4,), "input"))
        sections.append(Section("emission_values", (shape.depth + 1,), "input"))
        for layer in range(shape.depth + 1):
            per_sample = ("chips", "batch", shape.size(layer))
            sections.append(Section(f"traced{layer}", per_sample, "output"))
            sections.append(Section(f"spiked{layer}", per_sample, "output"))
    else:
        sections.append(Section("together", (1,), "input"))
        sections.append(Section("scales", (len(shape.populations),), "input"))
        sections.append(Section("input_rates", ("batch", shape.inputs), "input"))
    for index, (pre, post, _) in enumerate(shape.connections):
        size, n = shape.size(pre), shape.size(post)
        sections.append(Section(f"effect{index}", ("chips", size, n), "input"))
        sections.append(Section(f"weight_change{index}", ("chips", size, n), "output"))
        sections.append(Section(f"bias_change{index}", ("chips", n), "output"))
    return sections


def _population(shape: Shape, index: int) -> list[Section]:
    population, group = shape.populations[index], f"population{index}"
    n = population.size
    per_chip, per_sample = ("chips", n), ("chips", "batch", n)
    sections = [Section(f"{group}.{name}", per_chip, "constant") for name in ("synapse_decay", "bias")]
    if shape.shadow:
        sections.append(Section(f"{group}.bias_change", per_chip, "constant"))
    for prefix, part in zip(PREFIXES, population.parts, strict=False):
        sections += [Section(f"{group}.{prefix}{name}", per_chip, "constant") for name in part.constants]
        sections += [Section(f"{group}.{prefix}{name}", per_sample, "state") for name in part.states]
    sections.append(Section(f"{group}.synapse", per_sample, "state"))
    if shape.injected:
        sections.append(Section(f"{group}.injected", per_sample, "state"))
    if shape.controller and not shape.gate_points:
        sections.append(Section(f"feedback{index}", ("chips", shape.outputs, n), "input"))
    sections.append(Section(f"sums{index}", per_sample, "output"))
    if shape.shadow:
        sections.append(Section(f"basal{index}", per_sample, "output"))
    traces = [name for name in shape.record if name in LOCAL]
    return sections + [Section(f"{name}{index}", ("chips", "batch", "steps", n), "output") for name in traces]


def _relays(shape: Shape) -> list[Section]:
    """What gates see; under control, feedback weights from above, gates, κ, and what was received."""
    sections: list[Section] = []
    for layer in shape.relays:
        n, above = shape.place(layer)[2], shape.place(layer + 1)[2]
        sections += [
            Section(f"relay{layer}.seen", ("chips", "batch", n), "state"),
            Section(f"relay{layer}.seen_decay", ("chips", n), "constant"),
            Section(f"seen_gain{layer}", (1,), "input"),
        ]
        if shape.controller:
            sections += [
                Section(f"backward{layer}", ("chips", above, n), "input"),
                Section(f"gates{layer}", ("chips", n, shape.gate_points), "input"),
                Section(f"gate_range{layer}", (2,), "input"),
                Section(f"strength{layer}", ("chips", 1), "input"),
                Section(f"apical{layer}", ("chips", "batch", n), "output"),
            ]
    if shape.controller:
        k = shape.outputs
        sections.append(Section(f"backward{shape.depth}", ("chips", k, k), "input"))
        sections.append(Section("refresh_steps", (1,), "input"))
    return sections


def _readout(shape: Shape) -> list[Section]:
    k = shape.outputs
    per_sample = ("chips", "batch", k)
    sections = [
        Section("readout.trace", per_sample, "state"),
        Section("readout.trace_decay", ("chips", k), "constant"),
        Section("trace_gain", (1,), "input"),
    ]
    if shape.controller:
        names = ("integral", "target", "on", "kp", "ki_step", "leak_step")
        sections += [Section(f"controller.{name}", per_sample, "state") for name in names]
        sections += [Section(f"controller.{name}", ("chips", k), "constant") for name in ("gain", "offset")]
        sections.append(Section("control_sum", per_sample, "output"))
        if shape.moves:
            sections.append(Section("course", ("batch", "steps", k), "input"))
    traces = [name for name in shape.record if name not in LOCAL]
    return sections + [Section(name, ("chips", "batch", "steps", k), "output") for name in traces]
