"""Shows samples to the chips of a run and names what their neurons do."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from learning.stimulus import Batch
from rate_bridge.sequences import Samples
from root.errors import InputError
from spiketrain.api import arguments
from spiketrain.api.activity import PER_LAYER, PER_RUN, Activity, LayerActivity
from spiketrain.parts import Parts
from spiking.network import Network
from spiking.presentation import Phase, Recording, SpikeDrive

__all__ = ["show"]


def show(
    parts: Parts, x: Any, y: Any, *, record: Iterable[str], phase: str, chips: NDArray[np.int64]
) -> Activity:
    """Return what every chip does with samples; see `spiketrain.api.fitted.Run.activity`."""
    network = parts.model.network
    given = arguments.inputs("x", x, parts.data.inputs)
    traces = _traces(record)
    _check_memory(parts, len(given), traces)
    phases = _phases(parts, _batch(parts, given, y, phase), phase)
    asked = [replace(p, record=traces) if p.name == phase else p for p in phases]
    trial = parts.chips.trial()
    trial.program(parts.deployed())
    seen = trial.present(asked, "activity")[phase]
    drive = next(p for p in asked if p.name == phase)
    return _named(network, drive, seen, traces, chips)


def _traces(record: Iterable[str]) -> frozenset[str]:
    known = (*PER_LAYER, *PER_RUN)
    names = (
        [record] if isinstance(record, str) else list(record) if isinstance(record, Iterable) else [record]
    )
    for name in names:
        if name not in known:
            raise InputError("record", name, ", ".join(known))
    return frozenset(names)


def _check_memory(parts: Parts, samples: int, traces: frozenset[str]) -> None:
    """Refuse what would not fit: every trace of every neuron is a float64 per step."""
    network = parts.model.network
    columns = sum(sum(network.sizes) if name in PER_LAYER else network.outputs for name in traces)
    steps = parts.experiment.simulator.steps(test=True)[0]
    needed, limit = 8e-9 * columns * steps * samples * parts.chips.chips, parts.experiment.limits.memory_gb
    if needed > limit:
        few = math.floor(samples * limit / needed)
        given = f"{samples} samples, whose recordings need about {needed:.3g} GB"
        raise InputError("x", given, f"at most {limit:g} GB (limits.memory_gb): about {few} samples")


def _batch(parts: Parts, x: Samples, y: Any, phase: str) -> Batch:
    outputs = parts.model.network.outputs
    if y is None:
        if phase != "free":
            raise InputError("y", None, f"the labels: the phase {phase!r} has a target")
        return Batch(x, torch.zeros(len(x), outputs, dtype=torch.float64), ("activity",))
    truth = arguments.wanted("y", y, len(x), outputs)
    rates = parts.experiment.bridge.target_rates
    return parts.data.shown(x, truth, ("activity",), rates, parts.model.stimulus)


def _phases(parts: Parts, batch: Batch, name: str) -> tuple[Phase, ...]:
    if name == "free":
        return (parts.test_stimulus.phase("free", batch),)
    phases = tuple(parts.rule.presentation(batch, parts.model))
    if name not in [phase.name for phase in phases]:
        known = dict.fromkeys(["free", *(phase.name for phase in phases)])
        raise InputError("phase", name, ", ".join(known))
    return phases


def _named(
    network: Network, phase: Phase, seen: Recording, traces: frozenset[str], chips: NDArray[np.int64]
) -> Activity:
    names = network.names
    layers = {names[0]: _input(network, phase, seen, traces, len(chips))}
    for index, name in enumerate(names[1:]):
        kept = {trace: _array(seen.traces[trace][index]) for trace in PER_LAYER if trace in seen.traces}
        layers[name] = LayerActivity(name, _array(seen.rates[index + 1]) * network.max_rate_hz, kept)
    once = {name: _array(seen.traces[name][0]) for name in PER_RUN if name in seen.traces}
    return Activity(layers, chips, network.dt_ms, **once)


def _input(
    network: Network, phase: Phase, seen: Recording, traces: frozenset[str], chips: int
) -> LayerActivity:
    """Return the input, the same on all chips: views, not copies."""
    rates = _array(seen.rates[0]) * network.max_rate_hz
    kept = {}
    if "spikes" in traces and isinstance(phase.drive, SpikeDrive):
        spikes = _array(phase.drive.spikes.to(torch.float64))
        kept["spikes"] = np.broadcast_to(spikes, (chips, *spikes.shape))
    return LayerActivity("input", np.broadcast_to(rates, (chips, *rates.shape[1:])), kept)


def _array(values: Tensor) -> NDArray[np.float64]:
    return np.asarray(values.detach().cpu().to(torch.float64).numpy())
