"""What a machine has run, as recordings of phases: window sums become rates."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from spiking.naming import named_recording
from spiking.network import Network
from spiking.presentation import (
    TRACES,
    Change,
    CurrentDrive,
    Drive,
    Phase,
    Recording,
    Snapshot,
    SpikeDrive,
)

__all__ = ["Outcome", "input_rates", "recording"]


@dataclass(frozen=True)
class Outcome:
    """What a block gives: window sums (not yet rates), final state, traces; see `Recording`.

    Where the block has several windows, sums have an axis for them behind that of the batch.

    Args:
        sums: per layer 1 to L, window-weighted sums of the emissions, ``(chips, batch, n)``.
        basal: the same for the shadows, or empty.
        control: window-weighted sum of u, or None.
        final: the state after the last step.
        traces: recorded traces.
        correlation: with noise, per layer, the sums of C over samples and window, or empty.
        changes: with plasticity, what it came to, one per connection.
        messages: on machines that send changes of activities, how many messages layers 0 to L sent in all
            steps, ``(chips, batch)`` (the input's with one chip for all); empty elsewhere.
        apical: with layered feedback and a controller, per layer 1 to L - 1, window-weighted sums of what
            they received, ``(chips, batch, n)``; empty elsewhere.
        ends: with several windows, the read-out trace at the end of each, ``(chips, batch, windows, n_out)``.
    """

    sums: tuple[Tensor, ...]
    basal: tuple[Tensor, ...]
    control: Tensor | None
    final: Snapshot
    traces: Mapping[str, tuple[Tensor, ...]]
    correlation: tuple[Tensor, ...] = ()
    changes: tuple[Change, ...] = ()
    messages: tuple[Tensor, ...] = ()
    apical: tuple[Tensor, ...] = ()
    ends: Tensor | None = None

    def during(self, window: int, steps: int) -> Outcome:
        """Return what was given in one of several windows, `steps` long; `final` as far as it is recorded."""
        assert self.ends is not None
        sums = {name: tuple(s[:, :, window] for s in getattr(self, name)) for name in _SUMS}
        there = slice(window * steps, (window + 1) * steps)
        return replace(
            self,
            control=None if self.control is None else self.control[:, :, window],
            final=replace(self.final, trace=self.ends[:, :, window]),
            traces={name: tuple(t[:, :, there] for t in traces) for name, traces in self.traces.items()},
            ends=None,
            **sums,
        )


_SUMS = ("sums", "basal", "apical")


def recording(network: Network, phase: Phase, outcome: Outcome, part: slice) -> Recording:
    """Return what was seen of one phase.

    Args:
        network: the description.
        phase: what was asked for, of one window.
        outcome: what the block that it is a part of gave.
        part: the samples of the block that are the phase's.
    """
    total = _total(phase).to(outcome.sums[0]) if phase.lengths is not None else float(phase.window.sum())

    def rates(sums: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        return tuple(s[:, part] * (network.emission_value(layer + 1) / total) for layer, s in enumerate(sums))

    control: Tensor | None = None
    apical: tuple[Tensor, ...] = ()
    if phase.controller is not None and outcome.control is not None:
        control = outcome.control[:, part] / total
        if outcome.apical:
            apical = (*(a[:, part] / total for a in outcome.apical), control)
    # in the order of TRACES: that of a set hangs on the process, and files are to be the same bit for bit
    kept = [name for name in TRACES if name in phase.record and name in outcome.traces]
    traces = {name: tuple(trace[:, part] for trace in outcome.traces[name]) for name in kept}
    if phase.controller is None:
        traces.pop("control", None)
    inputs = input_rates(network, phase.drive, phase.window if phase.lengths is None else phase.weights)
    inputs = inputs.to(outcome.sums[0])
    counted = total * phase.batch if isinstance(total, float) else float(phase.weights.sum())
    seen = Recording(
        rates=(inputs.unsqueeze(0), *rates(outcome.sums)),
        basal=rates(outcome.basal) if phase.shadow else (),
        control=control,
        readout=outcome.final.trace[:, part],
        correlation=tuple(c / counted for c in outcome.correlation),
        changes=outcome.changes,
        traces=traces,
        apical=apical,
    )
    return named_recording(network, seen)


def _total(phase: Phase) -> Tensor:
    """Return what every sample's weights come to, ``(batch, 1)``; 1 where none counts."""
    total = phase.weights.sum(1, keepdim=True)
    return torch.where(total == 0, 1.0, total)


def input_rates(network: Network, drive: Drive, window: Tensor) -> Tensor:
    """Return the mean rates of the inputs over the window, ``(batch, inputs)``.

    Args:
        network: the description.
        drive: the input.
        window: averaging weights, ``(steps,)``, or those of every sample, ``(batch, steps)``.
    """
    if isinstance(drive, CurrentDrive) and drive.values.ndim == 2:
        return drive.values
    if window.ndim == 2:
        scale = window.sum(1, keepdim=True)
        share = window / torch.where(scale == 0, 1.0, scale)
        values = drive.spikes if isinstance(drive, SpikeDrive) else drive.values
        value = network.spike_value if isinstance(drive, SpikeDrive) else 1.0
        return torch.einsum("bt,bti->bi", share.to(values.device), values.to(share)) * value
    if not bool(window.any()):  # a part of a presentation in which nothing is counted
        return torch.zeros(_batch(drive), network.inputs, dtype=window.dtype)
    counted = slice(int(window.nonzero()[0]), len(window))
    there = drive.spikes.device if isinstance(drive, SpikeDrive) else drive.values.device
    weights, total = window[counted].to(there), float(window.sum())
    if isinstance(drive, SpikeDrive):
        return _summed(weights, drive.spikes[:, counted]) * (network.spike_value / total)
    return torch.matmul(weights, drive.values[:, counted].to(weights)) / total


def _batch(drive: Drive) -> int:
    return len(drive.spikes if isinstance(drive, SpikeDrive) else drive.values)


def _summed(weights: Tensor, spikes: Tensor) -> Tensor:
    """Return ``weights @ spikes``; where all weights are 1, by counting bytes, which is much faster."""
    if not bool((weights == 1).all()):
        return torch.matmul(weights, spikes.to(weights))
    places = (spikes.shape[-1], spikes.storage_offset(), *spikes.stride()[:-1])
    eight_at_a_time = spikes.stride(-1) == 1 and all(place % 8 == 0 for place in places)
    counted = spikes.view(torch.int64 if eight_at_a_time else torch.uint8)
    # a byte counts up to 255, so that no word carries over into its neighbour's
    parts = torch.split(counted, 255, dim=1)
    sums = [part.sum(1, dtype=part.dtype).view(torch.uint8).to(weights) for part in parts]
    return torch.stack(sums).sum(0)
