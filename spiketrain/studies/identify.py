r"""How the controller comes to know the chip: its feedback weights against the chip's true response.

A controller that knows the chip has feedback weights Q along :math:`J^\top`, the true response of the
output to a current into each neuron. What deviates from the design shows per neuron as a gain,

.. math:: g_j = \frac{\sum_o J_{oj} w_{oj}}{\sum_o w_{oj}^2}, \qquad w = (W_{l+1} \cdots W_L)^\top

with the weights as they were programmed: on a perfect linear chip every gain is 1.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, final

import pandas as pd
import torch
from torch import Tensor

from chips.base import Chips
from learning.feedback_control.feedback_weights import WeightProduct
from learning.stimulus import Batch
from mismatch.chip import bench_of
from root.errors import InputError, UnsupportedError
from spiketrain.config import Experiment
from spiketrain.evaluation import evaluate
from spiketrain.measures import feedback_measures, measured_response, true_state
from spiketrain.parts import Parts, build
from spiketrain.record.files import write_bytes, write_json, write_text, write_yaml
from spiketrain.record.lock import FolderLock
from spiketrain.record.provenance import provenance
from spiketrain.record.tables import table_text
from spiketrain.studies.parts import IdentifyPart
from spiketrain.studies.work import Outcome, compute
from spiketrain.teaching import identify, learn

__all__ = ["GAINS", "PROGRESS", "Knowledge", "Responses", "follow", "identify_cell", "know", "respond"]

PROGRESS, GAINS = "identify.csv", "gains.csv"


@final
@dataclass(frozen=True)
class Knowledge:
    """What the controller knows at one moment, and what is true.

    Args:
        measures: name to a number per chip, ``(chips,)``.
        gains: per hidden layer and source (``true``, ``identified``, ``nominal``), ``(chips, n)``.
    """

    measures: Mapping[str, Tensor]
    gains: tuple[Mapping[str, Tensor], ...]


@final
@dataclass(frozen=True)
class Responses:
    """Responses of the output per layer, each ``(chips, batch, n_out, n_l)``, with the same weights.

    Args:
        true: of the chips.
        nominal: of the design.
    """

    true: tuple[Tensor, ...]
    nominal: tuple[Tensor, ...]


def identify_cell(
    settings: Mapping[str, Any], root: str, key: str, config: Mapping[str, Any], data_dir: str | None
) -> Outcome:
    """Follow the identification in one cell; see `follow` and `compute`."""
    part = IdentifyPart.model_validate(settings, strict=False)
    return compute(root, key, config, data_dir, lambda c, folder, data: follow(part, c, folder, data))


def follow(part: IdentifyPart, config: Mapping[str, Any], folder: Path, data_dir: Path | None) -> None:
    """Identify, then train, and write what is known along the way.

    Args:
        part: when and how to measure.
        config: of the experiment.
        folder: gets ``config.yaml``, ``identify.csv``, ``gains.csv`` and ``summary.json``.
        data_dir: where data files lie.

    Raises:
        InputError: the rule identifies for fewer batches than are to be measured.
    """
    experiment = Experiment.from_mapping(config)
    parts = build(experiment, data_dir)
    wanted = parts.rule.warmup_batches
    if 0 < wanted < max(part.batches):
        raise InputError("identify.batches", list(part.batches), f"at most rule.feedback.warmup, {wanted}")
    folder.mkdir(parents=True, exist_ok=True)
    lock = FolderLock(folder)
    try:
        kept, files = experiment.kept(parts.data)
        for name, content in files.items():
            write_bytes(folder / name, content)
        write_yaml(folder / "config.yaml", kept)
        rows, gains = list[dict[str, Any]](), list[dict[str, Any]]()
        for moment, found in _moments(part, parts):
            rows += _rows(moment, found)
            gains = _gain_rows(parts, found) if moment["epoch"] == 0 else gains
        write_text(folder / PROGRESS, table_text(pd.DataFrame(rows)))
        write_text(folder / GAINS, table_text(pd.DataFrame(gains)))
        accuracy = evaluate(parts, "test")
        summary = {"test_accuracy": accuracy, "test_accuracy_mean": accuracy.mean(), **provenance()}
        write_json(folder / "summary.json", summary)
    finally:
        lock.release()


def _moments(part: IdentifyPart, parts: Parts) -> Iterator[tuple[dict[str, int], Knowledge]]:
    """Yield what is known after every number of batches asked for, and after every epoch."""
    reference = next(
        iter(parts.data.train_batches(0, part.samples, parts.seeds.child("identify"), _targets(parts)))
    )
    parts.rule.prepare(parts.model)
    responses = respond(part, parts, reference)  # identification does not change the weights
    if not parts.rule.warmup_batches:
        yield {"batch": 0, "epoch": 0}, know(parts, responses)
    stream = itertools.islice(parts.warmup_batches(), max(part.batches) if parts.rule.warmup_batches else 0)
    for number, batch in enumerate(stream, start=1):
        identify(parts, batch)
        if number in part.batches:
            yield {"batch": number, "epoch": 0}, know(parts, responses)
    for epoch in range(part.epochs):
        for batch in parts.batches(epoch):
            learn(parts, batch, parts.learning_rate)
        parts.epoch += 1
        moment = {"batch": max(part.batches), "epoch": epoch + 1}
        yield moment, know(parts, respond(part, parts, reference))


def _targets(parts: Parts) -> tuple[float, float]:
    return parts.experiment.bridge.target_rates


def respond(part: IdentifyPart, parts: Parts, batch: Batch) -> Responses:
    """Measure how the chips, and the design, respond with the present weights; nothing is changed."""
    chips = parts.chips.trial()
    bench = bench_of(chips)
    design = bench.sibling(replace(bench.spec, deviations={}, imperfections={}))
    weights = replace(parts.model.weights(), feedback=_programmed(parts))
    found = []
    for population in (chips, design):
        population.program(weights)
        found.append(_response(part, parts, population, batch))
    return Responses(*found)


def know(parts: Parts, responses: Responses) -> Knowledge:
    """Return what the controller knows now, held against the responses."""
    model, feedback, true = parts.model, _feedback(parts), responses.true
    programmed = WeightProduct(scale=None).current(model)
    measures = dict(feedback_measures(true, feedback))
    gains = []
    for layer in range(model.network.depth - 1):
        sources = {
            "true": true[layer].mean(1),
            "identified": feedback[layer],
            "nominal": responses.nominal[layer].mean(1),
        }
        gains.append({name: gain(value, programmed[layer]) for name, value in sources.items()})
        for name in ("identified", "nominal"):
            one, synapses = layer + 1, sources[name].flatten(1)
            measures[f"gain_r2_{name}_{one}"] = r2(gains[-1][name], gains[-1]["true"])
            measures[f"synapse_r2_{name}_{one}"] = r2(synapses, sources["true"].flatten(1))
        measures[f"angle_{layer + 1}"] = angle(feedback[layer], sources["true"])
        measures[f"angle_nominal_{layer + 1}"] = angle(sources["nominal"], sources["true"])
    return Knowledge(measures, tuple(gains))


def _programmed(parts: Parts) -> tuple[Tensor, ...]:
    feedback = parts.rule.feedback_weights(parts.model)
    if not feedback:
        raise UnsupportedError("rule", parts.rule.name, "a rule with feedback weights, such as dfc")
    return feedback


def _feedback(parts: Parts) -> tuple[Tensor, ...]:
    """Return what the control signal comes to in every layer, through all layers above it."""
    return parts.model.network.end_to_end(_programmed(parts))


def _response(part: IdentifyPart, parts: Parts, chips: Chips, batch: Batch) -> tuple[Tensor, ...]:
    """Return J per layer: computed on rate chips, measured where neurons spike."""
    try:
        return true_state(chips, parts.model, batch).response
    except UnsupportedError:
        return measured_response(chips, parts.model, batch, step=part.step, repeats=part.repeats)


def gain(response: Tensor, programmed: Tensor) -> Tensor:
    """Return the gain of every neuron, ``(chips, n)``, from two tensors ``(chips, n_out, n)``."""
    w, j = programmed.double(), response.double()
    return (j * w).sum(1) / w.square().sum(1).clamp(min=1e-300)


def r2(x: Tensor, y: Tensor) -> Tensor:
    """Return the squared correlation along the last axis, negative where the correlation is.

    A constant explains nothing: 0.
    """
    x, y = (v.double() - v.double().mean(-1, keepdim=True) for v in (x, y))
    scale = x.norm(dim=-1) * y.norm(dim=-1)
    r = torch.where(scale > 1e-12, (x * y).sum(-1) / scale.clamp(min=1e-300), 0.0)
    return r * r.abs()


def angle(a: Tensor, b: Tensor) -> Tensor:
    """Return the angle between two tensors ``(chips, n_out, n)``, in degrees, ``(chips,)``."""
    a, b = a.double().flatten(1), b.double().flatten(1)
    cosine = (a * b).sum(-1) / (a.norm(dim=-1) * b.norm(dim=-1)).clamp(min=1e-300)
    return torch.rad2deg(torch.acos(cosine.clamp(-1.0, 1.0)))


def _rows(moment: Mapping[str, int], found: Knowledge) -> Iterator[dict[str, Any]]:
    chips = len(next(iter(found.measures.values())))
    for chip in range(chips):
        yield {**moment, "chip": chip, **{name: float(v[chip]) for name, v in found.measures.items()}}


def _gain_rows(parts: Parts, found: Knowledge) -> list[dict[str, Any]]:
    first = parts.experiment.mismatch.first_chip
    return [
        {
            "chip": first + chip,
            "layer": layer,
            "neuron": neuron,
            **{name: float(value[chip, neuron]) for name, value in gains.items()},
        }
        for layer, gains in enumerate(found.gains, start=1)
        for chip in range(parts.chips.chips)
        for neuron in range(gains["true"].shape[1])
    ]
