"""Decisions at every moment: how right the chips are, the longer a sample is shown."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import final

import torch
from torch import Tensor

from learning.stimulus import Batch
from rate_bridge.sequences import split
from root.errors import UnsupportedError
from spiketrain.evaluation import TIE_BREAK
from spiketrain.parts import Parts
from spiking.presentation import Phase

__all__ = ["Moments", "moments"]

ELEMENTS = 20_000_000
"""Values of traces that are held at once."""

RECORDED = frozenset({"spikes", "readout"})

POINTS = 100
"""Moments that are told, at most."""

LEVELS = (0.5, 0.8, 0.9, 0.95)
"""Accuracies whose latency is told."""


@final
@dataclass(frozen=True)
class Moments:
    """Accuracy against the time since a sample began.

    Args:
        times_ms: ends of steps, ``(moments,)``.
        accuracy: of the samples, ``(chips, moments)``: one that is over keeps the answer it ended with.
    """

    times_ms: Tensor
    accuracy: Tensor

    @property
    def table(self) -> bytes:
        """The file that keeps them: a row per chip and moment."""
        times = [float(time) for time in self.times_ms]
        rows = [
            f"{chip},{time!r},{share!r}"
            for chip, row in enumerate(self.accuracy.tolist())
            for time, share in zip(times, row, strict=True)
        ]
        return "\n".join(["chip,time_ms,accuracy", *rows, ""]).encode()

    def latency_ms(self, level: float) -> list[float | None]:
        """Return per chip the moment from which the accuracy stays at `level` or above; None for never."""
        below = self.accuracy < level - 1e-12
        last = torch.where(below, torch.arange(below.shape[1]), -1).max(1).values + 1
        return [None if i == len(self.times_ms) else float(self.times_ms[i]) for i in last.tolist()]

    @property
    def latencies(self) -> dict[str, list[float | None]]:
        """Latencies by their level."""
        return {f"{level:g}": self.latency_ms(level) for level in LEVELS}


def moments(parts: Parts) -> Moments:
    """Show the test set once more and ask at every moment: what if the sample ended now?

    The answer is the output with the highest rate over the averaging window that ends there, or since the
    sample began; the read-out trace breaks ties, as in tests.

    Args:
        parts: everything that meets; a classification with one label per sample.

    Raises:
        UnsupportedError: what the answers are made of may not be recorded on these chips.
    """
    x, y = parts.data.split("test")
    assert isinstance(y, Tensor)
    if missing := RECORDED - (parts.chips.card.traces & parts.experiment.observed):
        allowed = f"false: {', '.join(sorted(missing))} may not be recorded"
        raise UnsupportedError("analysis.moments", True, allowed)
    chips, stimulus, network = parts.chips.trial(), parts.test_stimulus, parts.model.network
    chips.program(parts.deployed())
    each = -(-stimulus.steps // POINTS)
    steps = torch.arange(stimulus.steps - 1, -1, -each).flip(0)
    size = max(1, ELEMENTS // (chips.chips * stimulus.steps * sum(network.sizes)))
    right = torch.zeros(chips.chips, len(steps), dtype=torch.float64)
    for index, inputs in enumerate(split(x, size)):
        none = torch.zeros(len(inputs), network.outputs, dtype=torch.float64)
        batch = stimulus.towards(Batch(inputs, none, ("moments", index)).to(parts.model.device), none)
        phase = replace(stimulus.phase("free", batch), record=RECORDED)
        traces = chips.present((phase,), *batch.key)["free"].traces
        window = min(stimulus.window_steps, stimulus.steps)
        value = network.emission_value(network.depth)
        rates = _running(traces["spikes"][-1], window) * value
        said = _said(rates + TIE_BREAK * traces["readout"][0], phase, steps)
        labels = y[index * size : index * size + len(inputs)]
        right += (said == labels.view(1, -1, 1)).double().sum(1)
    return Moments((steps + 1).to(torch.float64) * network.dt_ms, right / len(x))


def _running(emitted: Tensor, window: int) -> Tensor:
    """Return means over the last `window` steps, or those that there were, ``(chips, batch, time, n)``."""
    sums = emitted.double().cumsum(2)
    earlier = torch.zeros_like(sums)
    earlier[:, :, window:] = sums[:, :, :-window]
    number = torch.arange(1, sums.shape[2] + 1, device=sums.device).clamp(max=window)
    return (sums - earlier) / number.view(1, 1, -1, 1)


def _said(scores: Tensor, phase: Phase, steps: Tensor) -> Tensor:
    """Return the answers, ``(chips, batch, moments)``."""
    answers = scores.cpu().argmax(-1)
    if phase.lengths is None:
        return answers[:, :, steps]
    places = torch.minimum(steps.unsqueeze(0), phase.lengths.cpu().unsqueeze(1) - 1)
    return answers.gather(2, places.expand(len(answers), -1, -1))
