"""How well the chips do: free presentations with the averaged weights."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import torch
from torch import Tensor

from learning.stimulus import Batch
from spiketrain.free_running import free_runs
from spiketrain.measures import all_measures
from spiketrain.observing import shown
from spiketrain.parts import Parts
from spiketrain.record.samples import Samples
from spiketrain.tasks.base import Split
from spiking.presentation import TRACES, Recording, SpikeDrive

__all__ = ["answers", "confusion", "evaluate", "look_at_a_sample", "measure", "score"]

TEST_ELEMENTS = 4_000_000
"""Neurons × samples × chips presented at once in tests."""

TIE_BREAK = 1e-3
"""Weight of the read-out trace beside the window's rates: far less than one spike, but it breaks ties."""


def decide(recording: Recording) -> Tensor:
    """Return the scores of the classes, ``(chips, batch, n_out)``.

    Short windows often give two outputs the same number of spikes; the exponential trace of the
    read-out, which weighs late spikes more, tells them apart.
    """
    return recording.rates[-1] + TIE_BREAK * recording.readout


def evaluate(parts: Parts, split: Split) -> Tensor:
    """Return the score of every chip on a split, ``(chips,)``; see `score` and `answers`."""
    if parts.data.free_run is not None:
        return 1.0 - free_runs(parts, split).errors()
    _, y = parts.data.split(split)
    wanted = parts.data.wanted(y, parts.experiment.bridge.target_rates)
    return score(answers(parts, parts.data.split(split)[0], split), wanted)


def answers(parts: Parts, x: Tensor, name: str = "test") -> Tensor:
    """Return what every chip's outputs say to samples, ``(chips, samples, n_out)``.

    The averaged weights are programmed; the states drawn are the same at every call. A test leaves no
    trace: the chips' clock stands still and what their synapses hold is as before.

    Args:
        parts: everything that meets.
        x: inputs in [0, 1], ``(samples, inputs)``.
        name: names the presentation, whose random numbers are its own.
    """
    chips = parts.chips.trial()
    chips.program(parts.deployed())
    network = parts.model.network
    size = max(1, TEST_ELEMENTS // (parts.chips.chips * sum(network.sizes)))
    classify = parts.data.kind == "classification"
    said = []
    for index, inputs in enumerate(torch.split(x, size)):
        batch = Batch(inputs, inputs.new_zeros(len(inputs), network.outputs), (name, index))
        batch = batch.to(parts.model.device)
        phase = parts.test_stimulus.phase("free", batch)
        recording = chips.present((phase,), *batch.key)["free"]
        said.append((decide(recording) if classify else recording.rates[-1]).cpu())
    return torch.cat(said, dim=1)


def score(decisions: Tensor, wanted: Tensor) -> Tensor:
    """Return the accuracy of every chip, or for a regression the share of the variance explained.

    Args:
        decisions: outputs, ``(chips, samples, n_out)``.
        wanted: labels, ``(samples,)``, or outputs, ``(samples, n_out)``.
    """
    if wanted.ndim == 1:
        return (decisions.argmax(-1) == wanted).double().mean(1)
    error = (decisions - wanted).square().sum(dim=(1, 2))
    return 1.0 - error / (wanted - wanted.mean(0)).square().sum()


def confusion(said: Tensor, labels: Tensor, classes: int) -> Tensor:
    """Return how many samples of a label every chip took for which, ``(chips, label, answer)``.

    Args:
        said: outputs, ``(chips, samples, n_out)``.
        labels: ``(samples,)``.
        classes: number of classes.
    """
    places = labels * classes + said.argmax(-1)
    counts = [torch.bincount(row, minlength=classes * classes) for row in places]
    return torch.stack(counts).reshape(len(said), classes, classes)


def measure(parts: Parts) -> Mapping[str, Tensor]:
    """Return how the rule's feedback weights and update fit the true chips, each ``(chips,)``.

    One training batch is shown to the chips as they are programmed in training; nothing is learned.
    """
    batch = replace(next(parts.batches(parts.epoch)), key=("measure", parts.epoch))
    chips, model, rule = parts.chips.trial(), parts.model, parts.rule
    observation = shown(rule, chips, batch, model).observation
    return all_measures(chips, model, batch, rule.update(batch, observation, model))


def look_at_a_sample(parts: Parts, chip: int = 0) -> Samples | None:
    """Present one training sample with everything recorded, for the figures of the report.

    Where not everything may be recorded, nothing is.

    Args:
        parts: everything that meets.
        chip: which chip's recordings.
    """
    if parts.data.free_run is not None:
        return None
    if not parts.chips.card.traces & parts.experiment.observed >= set(TRACES):
        return None
    batch = next(iter(parts.batches(0)))
    one = Batch(batch.x[:1], batch.target[:1], ("look",))
    chips = parts.chips.trial()
    chips.program(parts.deployed())
    phases = [replace(p, record=frozenset(TRACES)) for p in parts.rule.presentation(one, parts.model)]
    recordings = chips.present(phases, *one.key)
    network = parts.model.network
    shown = {p.name: p.drive.spikes[0] for p in phases if isinstance(p.drive, SpikeDrive)}
    windows = {p.name: p.window.cpu() for p in phases}
    return Samples.of(
        recordings,
        one.target,
        network.dt_ms,
        network.max_rate_hz,
        chip=chip,
        inputs=shown,
        windows=windows,
    )
