"""Which chips have stopped learning for good, and why: NaN, silence, saturation.

Pure functions of what is observed and of what was programmed: a batch's `activity`, `merge` over an
epoch, `reasons` at its end; `Watch` calls them through a run. A chip that diverges is named; the others
go on, because chips share nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, final

import torch
from torch import Tensor

from spiking.network import Network
from spiking.presentation import Observation, Weights

__all__ = [
    "SATURATED",
    "Activity",
    "Watch",
    "activity",
    "merge",
    "not_finite",
    "note",
    "rate_limits",
    "reasons",
]

SATURATED = 0.95
"""A layer is saturated where its mean rate is at least this part of the highest one possible."""


@final
@dataclass(frozen=True)
class Activity:
    """How active the layers 1 to L were, over samples, neurons and phases.

    Args:
        highest: largest absolute rate of any neuron on any sample, ``(chips, L)``.
        total: sum over samples and phases of the layer's mean rate, ``(chips, L)``.
        samples: number of samples, counted once per phase.
        finite: whether all rates, read-outs and control signals were finite, ``(chips,)``.
    """

    highest: Tensor
    total: Tensor
    samples: int
    finite: Tensor


def activity(observation: Observation) -> Activity:
    """Return the activity of a batch, over all its phases.

    A layer that is silent when free but not when controlled is not silent: it can still learn.
    """
    parts = []
    for recording in observation.values():
        layers = recording.rates[1:]
        seen = [*layers, *recording.basal, recording.readout]
        seen += [] if recording.control is None else [recording.control]
        finite = torch.stack([t.isfinite().flatten(1).all(1) for t in seen]).all(0)
        highest = torch.stack([t.abs().amax((1, 2)) for t in layers], dim=1)
        total = torch.stack([t.mean(2).sum(1) for t in layers], dim=1)
        parts.append(Activity(highest, total, int(recording.readout.shape[1]), finite))
    merged = parts[0]
    for part in parts[1:]:
        merged = merge(merged, part)
    return merged


def merge(first: Activity, second: Activity) -> Activity:
    """Return the activity over the samples of both."""
    return Activity(
        highest=torch.maximum(first.highest, second.highest),
        total=first.total + second.total,
        samples=first.samples + second.samples,
        finite=first.finite & second.finite,
    )


def rate_limits(network: Network) -> tuple[float, ...]:
    r"""Return the highest possible mean rate of layers 1 to L, 1 = ``max_rate_hz``.

    A spike takes a step, and the neuron is then held for its refractory time, rounded to k steps:
    :math:`1 / (r_{max}\, dt\, (1 + k))` with the nominal refractory time. Neurons without spikes have
    no limit here.
    """
    limits = []
    for index, layer in enumerate(network.layers, start=1):
        held = int(float(getattr(layer.neuron, "refractory_ms", 0.0)) / network.dt_ms + 0.5)
        spikes = layer.neuron.emits_spikes
        limits.append(network.emission_value(index) / (1 + held) if spikes else float("inf"))
    return tuple(limits)


def reasons(seen: Activity, network: Network, weights: Weights) -> dict[int, str]:
    """Return for every chip that diverged the reason, in words.

    Args:
        seen: the activity over an epoch.
        network: the description, with nominal values.
        weights: what is programmed.

    Returns:
        chip index to reason; empty where all is well. The first reason that holds is named, in the
        order: weights, activity, silence, saturation.
    """
    found: dict[int, str] = {}
    kinds = (("weights", weights.forward), ("biases", weights.bias), ("feedback weights", weights.feedback))
    for kind, tensors in kinds:
        for layer, values in enumerate(tensors, start=1):
            bad = ~values.isfinite().flatten(1).all(1)
            _blame(found, bad, f"{kind} of {_called(layer, network)} are not finite")
    _blame(found, ~seen.finite, "activity is not finite")
    for layer in range(network.depth, 0, -1):
        _blame(found, seen.highest[:, layer - 1] == 0, f"{_called(layer, network)} is silent on every sample")
    for layer, limit in enumerate(rate_limits(network), start=1):
        saturated = seen.total[:, layer - 1] / seen.samples >= SATURATED * limit
        fastest = f"{limit * network.max_rate_hz:g} Hz"
        _blame(found, saturated, f"{_called(layer, network)} fires at its limit of {fastest} on every sample")
    return dict(sorted(found.items()))


def not_finite(weights: Weights) -> set[int]:
    """Return the chips of which a weight, a bias or a feedback weight is not finite."""
    tensors = (*weights.forward, *weights.bias, *weights.feedback)
    return {
        chip
        for value in tensors
        for chip in (~value.isfinite().flatten(1).all(1)).nonzero().flatten().tolist()
    }


def _called(layer: int, network: Network) -> str:
    return "the output layer" if layer == network.depth else f"layer {layer}"


def _blame(found: dict[int, str], chips: Tensor, reason: str) -> None:
    for chip in chips.nonzero().flatten().tolist():
        found.setdefault(chip, reason)


def note(summary: Mapping[str, Any], chip: int) -> str:
    """Return what befell a chip, from ``summary.json``: why it diverged, when it was set back or silent."""
    said = [str(summary["diverged_chips"].get(str(chip), ""))]
    times = int(summary.get("set_back_chips", {}).get(str(chip), 0))
    said += [f"set back {times} time{'s' * (times > 1)}"] if times else []
    said += [str(summary.get("silent_chips", {}).get(str(chip), ""))]
    return "; ".join(text for text in said if text)


@final
class Watch:
    """Watches a run: told every batch and every epoch, it knows which chips are lost.

    Args:
        network: the description, with nominal values.
        state: for a resumed run, what `state` was.
    """

    def __init__(self, network: Network, state: Mapping[str, tuple[str, int]] | None = None) -> None:
        self._network = network
        self._seen: Activity | None = None
        self.state = {chip: (str(reason), int(epoch)) for chip, (reason, epoch) in (state or {}).items()}
        """Chip (as text, for JSON) to the reason and the epoch its trouble began; for a checkpoint."""

    def batch(self, observation: Observation) -> None:
        """Look at a batch."""
        seen = activity(observation)
        self._seen = seen if self._seen is None else merge(self._seen, seen)

    def epoch(self, epoch: int, weights: Weights) -> None:
        """Judge an epoch, `epoch` epochs being done; a chip that came back is no longer named."""
        if self._seen is None:
            return
        before = {chip: began for chip, (_, began) in self.state.items()}
        found = reasons(self._seen, self._network, weights)
        self.state = {str(chip): (why, before.get(str(chip), epoch)) for chip, why in found.items()}
        self._seen = None

    @property
    def reasons(self) -> dict[str, str]:
        """Chip (as text, for JSON) to the reason why it is lost, as of the last epoch judged."""
        return {chip: f"{reason}, since epoch {began}" for chip, (reason, began) in self.state.items()}
