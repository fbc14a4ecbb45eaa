"""How well the chips do: free presentations with the averaged weights."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace

import torch
from torch import Tensor

from learning.stimulus import Batch, Stimulus
from rate_bridge.sequences import Samples, Series, split
from spiketrain.free_running import free_runs
from spiketrain.measures import all_measures
from spiketrain.observing import shown
from spiketrain.parts import Parts
from spiketrain.record.samples import Samples as Shown
from spiketrain.tasks.base import Split
from spiking.presentation import TRACES, Phase, Recording, SpikeDrive

__all__ = ["answers", "confusion", "evaluate", "first_of", "judged", "look_at_a_sample", "measure", "score"]

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
    """Return the score of every chip on a split, ``(chips,)``; see `score` and `judged`."""
    if parts.data.free_run is not None:
        return 1.0 - free_runs(parts, split).errors()
    return score(*judged(parts, split))


def judged(parts: Parts, part: Split) -> tuple[Tensor, Tensor]:
    """Return what every chip says to a split, and what is wanted; see `score`.

    Where what is wanted changes over time, every window that counts is judged, as a row of its own: of a
    classification by its label.
    """
    x, y = parts.data.split(part)
    rates = parts.experiment.bridge.target_rates
    if isinstance(y, Tensor):
        return answers(parts, x, part), parts.data.wanted(y, rates)
    wanted = [batch.target for batch, _ in parts.data.chunks(part, _size(parts), rates, parts.test_stimulus)]
    truth = torch.cat(wanted)
    said = torch.cat([rows for rows, _ in _heard(parts, x, part, y)], dim=1)
    return said, truth.argmax(-1) if parts.data.kind == "classification" else truth


def answers(parts: Parts, x: Samples, name: str = "test") -> Tensor:
    """Return what every chip's outputs say to samples, ``(chips, samples, n_out)``.

    The averaged weights are programmed; the states drawn are the same at every call. A test leaves no
    trace: the chips' clock stands still and what their synapses hold is as before. Of a sample with several
    windows ``bridge.decision`` says which count.

    Args:
        parts: everything that meets.
        x: inputs in [0, 1], ``(samples, inputs)``, or samples over time.
        name: names the presentation, whose random numbers are its own.
    """
    last = parts.experiment.bridge.decision == "last"
    return torch.cat([_of_samples(rows, phase, last) for rows, phase in _heard(parts, x, name)], dim=1)


def _size(parts: Parts) -> int:
    """Return how many samples are shown at once in tests."""
    return max(1, TEST_ELEMENTS // (parts.chips.chips * sum(parts.model.network.sizes)))


def _heard(parts: Parts, x: Samples, name: str, y: Series | None = None) -> Iterator[tuple[Tensor, Phase]]:
    """Yield what the outputs say to a chunk of samples, ``(chips, rows, n_out)``, and how it was shown."""
    chips = parts.chips.trial()
    chips.program(parts.deployed())
    network, data, size = parts.model.network, parts.data, _size(parts)
    for index, inputs in enumerate(split(x, size)):
        key = (name, index)
        if y is None:
            batch = Batch(inputs, torch.zeros(len(inputs), network.outputs, dtype=torch.float64), key)
        else:
            batch = data.shown(inputs, y[index * size :][: len(inputs)], key, (0.0, 1.0), parts.test_stimulus)
        batch = batch.to(parts.model.device)
        phase = parts.test_stimulus.phase("free", batch)
        recording = chips.present((phase,), *batch.key)["free"]
        said = decide(recording) if data.kind == "classification" else recording.rates[-1]
        yield said.cpu(), phase


def _of_samples(rows: Tensor, phase: Phase, last: bool) -> Tensor:
    """Return one answer per sample: that of its last window, or the mean over its windows."""
    if phase.whole:
        return rows
    sample, samples = phase.rows[0].cpu(), phase.batch
    number = torch.bincount(sample, minlength=samples)
    if last:
        return rows[:, number.cumsum(0) - 1]
    sums = rows.new_zeros(rows.shape[0], samples, rows.shape[2]).index_add_(1, sample, rows)
    return sums / number.view(1, -1, 1)


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


def first_of(batch: Batch, stimulus: Stimulus) -> Batch:
    """Return the first sample of a batch, with the targets of its own windows."""
    counted = None if batch.counted is None else batch.counted[:1]
    one = Batch(batch.x[:1], batch.target[:0], ("look",), counted)
    return replace(one, target=batch.target[: len(stimulus.phase("look", one).rows[0])])


def look_at_a_sample(parts: Parts, chip: int = 0) -> Shown | None:
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
    one = first_of(batch, parts.model.stimulus)
    chips = parts.chips.trial()
    chips.program(parts.deployed())
    phases = [replace(p, record=frozenset(TRACES)) for p in parts.rule.presentation(one, parts.model)]
    recordings = chips.present(phases, *one.key)
    network = parts.model.network
    shown = {p.name: p.drive.spikes[0] for p in phases if isinstance(p.drive, SpikeDrive)}
    windows = {p.name: p.weights[0].cpu() for p in phases}
    moving = {p.name: _over_time(p, one.target) for p in phases if p.controller is not None and not p.whole}
    return Shown.of(
        recordings,
        one.target,
        network.dt_ms,
        network.max_rate_hz,
        chip=chip,
        inputs=shown,
        windows=windows,
        targets=moving,
        lasting=not isinstance(one.x, Tensor),
    )


def _over_time(phase: Phase, target: Tensor) -> Tensor:
    """Return the target of the first sample in every step, ``(time, n_out)``; NaN where there is none."""
    values = torch.full((phase.windows, phase.steps // phase.windows, target.shape[-1]), torch.nan)
    sample, window = phase.rows
    first = (sample == 0).cpu()
    values[window.cpu()[first]] = target.cpu()[first].to(values).unsqueeze(1)
    return values.flatten(0, 1)
