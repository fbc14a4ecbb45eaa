"""What every simulator is, and the part they share: phases in, recordings out.

Phases that do not wait for each other are run side by side along the batch axis, so that a free and a
controlled presentation cost one call.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import ClassVar, final

import torch
from torch import Tensor

from rate_bridge.errors import UnsupportedError
from spiking.hardware import Hardware
from spiking.network import Network
from spiking.presentation import (
    Change,
    Controller,
    CurrentDrive,
    Drive,
    Noise,
    Phase,
    Plasticity,
    Recording,
    Snapshot,
    SpikeDrive,
)

__all__ = ["Block", "Outcome", "Simulator", "input_rates"]


@dataclass(frozen=True)
class Block:
    """Phases of equal length, side by side along the batch axis.

    Args:
        drive: the inputs of all of them.
        window: averaging weights, ``(batch, steps)``.
        start: where every sample starts from.
        target: the controller's target, ``(chips or 1, batch, n_out)``, or None for no controller.
        controlled: 1 where the loop is closed, ``(batch,)``.
        softmax: 1 where the loop compares the soft-max of the output, ``(batch,)``.
        kp, ki_per_ms, leak_per_ms: the controller's gains, ``(batch,)``.
        currents: injected currents per layer, ``(chips or 1, batch, n)``, or empty.
        shadow: whether the basal shadows run.
        noise: noise in the feedback compartments of all samples, or None.
        plasticity: what the synapses learn from all samples by themselves, or None.
        record: what is recorded in every step.
    """

    drive: Drive
    window: Tensor
    start: Snapshot
    target: Tensor | None
    controlled: Tensor
    softmax: Tensor
    kp: Tensor
    ki_per_ms: Tensor
    leak_per_ms: Tensor
    currents: tuple[Tensor, ...]
    shadow: bool
    noise: Noise | None
    record: frozenset[str]
    plasticity: Plasticity | None = None

    @property
    def steps(self) -> int:
        """Length in steps."""
        return int(self.window.shape[1])

    @property
    def batch(self) -> int:
        """Number of samples of all phases together."""
        return int(self.window.shape[0])

    def part(self, part: slice | Tensor) -> Block:
        """Return the samples `part` of the block."""
        per_sample = ("window", "controlled", "softmax", "kp", "ki_per_ms", "leak_per_ms")
        if isinstance(self.drive, SpikeDrive):
            drive: Drive = SpikeDrive(self.drive.spikes[part])
        else:
            drive = CurrentDrive(self.drive.values[part])
        return replace(
            self,
            drive=drive,
            start=cut(self.start, part),
            target=None if self.target is None else self.target[:, part],
            currents=tuple(current[:, part] for current in self.currents),
            **{name: getattr(self, name)[part] for name in per_sample},
        )


@dataclass(frozen=True)
class Outcome:
    """What a block gives: window sums (not yet rates), final state, traces; see `Recording`.

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
    """

    sums: tuple[Tensor, ...]
    basal: tuple[Tensor, ...]
    control: Tensor | None
    final: Snapshot
    traces: Mapping[str, tuple[Tensor, ...]]
    correlation: tuple[Tensor, ...] = ()
    changes: tuple[Change, ...] = ()
    messages: tuple[Tensor, ...] = ()


class Simulator(ABC):
    """A machine that runs networks.

    Args:
        device: where tensors live.
        dtype: the type it computes with.
    """

    name: ClassVar[str]
    abilities: ClassVar[frozenset[str]] = frozenset()
    """What it can do of what `Phase.needs` and `Hardware.needs` may name."""

    encodings: ClassVar[frozenset[str]] = frozenset({"spikes", "current"})
    """The kinds of input it takes, by the names of `Encoding.kind`."""

    ignores: ClassVar[frozenset[str]] = frozenset()
    """Parameters of neurons that have no effect in it, by the names that mismatch is given for."""

    def __init__(self, device: str = "cpu", dtype: torch.dtype = torch.float64) -> None:
        self.device, self.dtype = torch.device(device), dtype

    @classmethod
    def status(cls) -> tuple[bool, str]:
        """Return whether this machine works here, and what to know or to do about it."""
        return True, "ready"

    def check(self, network: Network) -> None:  # noqa: B027 (most machines run every network)
        """Raise `UnsupportedError` where this machine cannot express `network`."""

    @final
    def check_phases(self, phases: Sequence[Phase]) -> None:
        """Raise `UnsupportedError` where this machine cannot run one of `phases`."""
        for phase in phases:
            if missing := phase.needs - self.abilities:
                allowed = f"a simulator with {', '.join(sorted(missing))} (torch)"
                raise UnsupportedError("simulator.name", self.name, allowed)

    @final
    def check_hardware(self, hardware: Hardware) -> None:
        """Raise `UnsupportedError` where this machine cannot compute with `hardware`."""
        if missing := hardware.needs - self.abilities:
            allowed = f"a simulator with {', '.join(sorted(missing))} (torch)"
            raise UnsupportedError("simulator.name", self.name, allowed)

    @abstractmethod
    def run_block(self, network: Network, hardware: Hardware, block: Block) -> Outcome:
        """Run one block; see DESIGN's step order in ``docs/model.md``."""

    @final
    def run(
        self,
        network: Network,
        hardware: Hardware,
        phases: Sequence[Phase],
        starts: Mapping[str, Snapshot],
    ) -> dict[str, Recording]:
        """Run phases and return their recordings by name.

        Args:
            network: the description.
            hardware: the effective parameters of the chips.
            phases: what to run.
            starts: the initial state of every phase that does not go on from another one, by its name.

        Raises:
            UnsupportedError: this machine cannot run such a network or phase.
            SimulationError: the machine failed.
        """
        self.check(network)
        self.check_phases(phases)
        self.check_hardware(hardware)
        recordings: dict[str, Recording] = {}
        finals: dict[str, Snapshot] = dict(starts)
        for number, group in enumerate(_groups(phases)):
            block = _stack(network, hardware, group, [finals[p.after or p.name] for p in group], recordings)
            outcome = self.run_block(network, hardware.part(number), block)
            first = 0
            for phase in group:
                part = slice(first, first + phase.batch)
                recordings[phase.name] = _recording(network, phase, block, outcome, part)
                if any(later.after == phase.name for later in phases):
                    finals[phase.name] = cut(outcome.final, part)
                first += phase.batch
        return {phase.name: recordings[phase.name] for phase in phases}


def _groups(phases: Sequence[Phase]) -> list[list[Phase]]:
    """Split phases into lists that can run side by side, each after those it goes on from."""
    groups: list[list[Phase]] = []
    level: dict[str, int] = {}
    slots: dict[tuple[object, ...], int] = {}
    for phase in phases:
        earlier = [phase.after, phase.controller.nudge_from if phase.controller else None]
        level[phase.name] = max((level[name] + 1 for name in earlier if name), default=0)
        constant = isinstance(phase.drive, CurrentDrive) and phase.drive.values.ndim == 2
        alone = phase.name if phase.noise or phase.plasticity else None
        kind = (level[phase.name], phase.steps, type(phase.drive), constant, alone, phase.record)
        if kind not in slots:
            slots[kind] = len(groups)
            groups.append([])
        groups[slots[kind]].append(phase)
    return sorted(groups, key=lambda group: level[group[0].name])


def _stack(
    network: Network,
    hardware: Hardware,
    group: list[Phase],
    starts: list[Snapshot],
    seen: Mapping[str, Recording],
) -> Block:
    if any(phase.shadow for phase in group):
        starts = [_with_shadows(start) for start in starts]
    start = join(starts)
    targets = _targets(network, group, seen)
    controlled = [phase.controller is not None for phase in group]
    if any(controlled):
        if not hardware.feedback:
            raise UnsupportedError("phase.controller", "a controller", "feedback weights programmed first")
        start = _preset_trace(group, targets, start)
    return Block(
        drive=_drive(group),
        window=torch.cat([p.window.expand(p.batch, -1) for p in group]),
        start=start,
        target=targets if any(controlled) else None,
        controlled=_per_sample(group, [float(on) for on in controlled]),
        softmax=_per_sample(
            group, [float(bool(p.controller and p.controller.softmax_in_loop)) for p in group]
        ),
        kp=_per_sample(group, [p.controller.kp if p.controller else 0.0 for p in group]),
        ki_per_ms=_per_sample(group, [p.controller.ki_per_ms if p.controller else 0.0 for p in group]),
        leak_per_ms=_per_sample(group, [p.controller.leak_per_ms if p.controller else 0.0 for p in group]),
        currents=_currents(network, group),
        shadow=any(phase.shadow for phase in group),
        noise=group[0].noise,
        plasticity=group[0].plasticity,
        record=group[0].record,
    )


def _with_shadows(start: Snapshot) -> Snapshot:
    """Let shadows that did not run before start where their neurons are."""
    shadows = zip(start.shadows or ({},) * len(start.neurons), start.neurons, strict=True)
    return replace(
        start,
        shadows=tuple(own or {name: value.clone() for name, value in of.items()} for own, of in shadows),
    )


def _per_sample(group: list[Phase], values: list[float]) -> Tensor:
    pairs = zip(group, values, strict=True)
    return _cat([torch.full((phase.batch,), value, dtype=torch.float64) for phase, value in pairs])


def _cat(parts: list[Tensor], dim: int = 0) -> Tensor:
    """Join tensors, without a copy where there is but one."""
    return parts[0] if len(parts) == 1 else torch.cat(parts, dim=dim)


def _drive(group: list[Phase]) -> Drive:
    if isinstance(group[0].drive, SpikeDrive):
        return SpikeDrive(_cat([p.drive.spikes for p in group if isinstance(p.drive, SpikeDrive)]))
    return CurrentDrive(_cat([p.drive.values for p in group if isinstance(p.drive, CurrentDrive)]))


def _along_batch(parts: list[Tensor]) -> Tensor:
    """Join ``(chips or 1, batch, n)`` tensors along the batch, expanding the chips where needed."""
    chips = max(part.shape[0] for part in parts)
    return _cat([part.expand(chips, -1, -1) for part in parts], dim=1)


def _targets(network: Network, group: list[Phase], seen: Mapping[str, Recording]) -> Tensor:
    return _along_batch(
        [
            torch.zeros(1, phase.batch, network.outputs, dtype=torch.float64)
            if phase.controller is None
            else _target(phase.controller, seen)
            for phase in group
        ]
    )


def _target(controller: Controller, seen: Mapping[str, Recording]) -> Tensor:
    """Return the absolute target, ``(chips or 1, batch, n_out)``."""
    wanted = controller.target if controller.target.ndim == 3 else controller.target.unsqueeze(0)
    if controller.nudge_from is None:
        return wanted
    free = seen[controller.nudge_from].rates[-1].to(wanted)
    reached = torch.softmax(free, -1) if controller.softmax else free
    return free + controller.nudge * (wanted - reached)


def _preset_trace(group: list[Phase], targets: Tensor, start: Snapshot) -> Snapshot:
    if not any(p.controller and p.controller.trace_at_target for p in group):
        return start
    preset = _per_sample(group, [float(bool(p.controller and p.controller.trace_at_target)) for p in group])
    mask = preset.to(start.trace.device).view(1, -1, 1) > 0
    return replace(start, trace=torch.where(mask, targets.to(start.trace), start.trace))


def _currents(network: Network, group: list[Phase]) -> tuple[Tensor, ...]:
    if not any(current is not None for phase in group for current in phase.currents):
        return ()
    layers = []
    for index, layer in enumerate(network.layers):
        parts = []
        for phase in group:
            current = phase.currents[index] if phase.currents else None
            if current is None:
                parts.append(torch.zeros(1, phase.batch, layer.size, dtype=torch.float64))
            else:
                parts.append(current if current.ndim == 3 else current.unsqueeze(0))
        layers.append(_along_batch(parts))
    chips = max(layer.shape[0] for layer in layers)
    return tuple(layer.expand(chips, -1, -1) for layer in layers)


def _map(start: Snapshot, *others: Snapshot, cat: bool, part: slice | Tensor | None = None) -> Snapshot:
    """Apply one operation along the batch axis to every tensor of snapshots."""
    everyone = (start, *others)

    def do(tensors: list[Tensor]) -> Tensor:
        return torch.cat(tensors, dim=1) if cat else tensors[0][:, part]

    def states(pick: str) -> tuple[dict[str, Tensor], ...]:
        rows = [getattr(s, pick) for s in everyone]
        count = min(len(row) for row in rows)
        return tuple({k: do([row[i][k] for row in rows]) for k in rows[0][i]} for i in range(count))

    def tensors(pick: str) -> tuple[Tensor, ...]:
        rows = [getattr(s, pick) for s in everyone]
        return tuple(do([row[i] for row in rows]) for i in range(len(rows[0])))

    def sent() -> tuple[Tensor, ...]:
        if not any(s.sent for s in everyone):
            return ()
        known = next(s.sent for s in everyone if s.sent)
        rows = [
            s.sent or tuple(k.new_zeros(k.shape[0], s.trace.shape[1], k.shape[2]) for k in known)
            for s in everyone
        ]
        return tuple(do([row[i] for row in rows]) for i in range(len(known)))

    return Snapshot(
        sent=sent(),
        neurons=states("neurons"),
        shadows=states("shadows"),
        synapse=tensors("synapse"),
        history=tensors("history"),
        trace=do([s.trace for s in everyone]),
        integral=do([s.integral for s in everyone]),
    )


def join(snapshots: Sequence[Snapshot]) -> Snapshot:
    """Put the samples of several snapshots side by side."""
    return snapshots[0] if len(snapshots) == 1 else _map(*snapshots, cat=True)


def cut(snapshot: Snapshot, part: slice | Tensor) -> Snapshot:
    """Return the samples `part` of a snapshot."""
    return _map(snapshot, cat=False, part=part)


def _recording(network: Network, phase: Phase, block: Block, outcome: Outcome, part: slice) -> Recording:
    total = float(phase.window.sum())

    def rates(sums: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        return tuple(s[:, part] * (network.emission_value(layer + 1) / total) for layer, s in enumerate(sums))

    control = None
    if phase.controller is not None and outcome.control is not None:
        control = outcome.control[:, part] / total
    traces = {k: tuple(t[:, part] for t in v) for k, v in outcome.traces.items() if k in phase.record}
    if phase.controller is None:
        traces.pop("control", None)
    inputs = input_rates(network, phase.drive, phase.window).to(outcome.sums[0])
    return Recording(
        rates=(inputs.unsqueeze(0), *rates(outcome.sums)),
        basal=rates(outcome.basal) if phase.shadow else (),
        control=control,
        readout=outcome.final.trace[:, part],
        correlation=tuple(c / (total * phase.batch) for c in outcome.correlation),
        changes=outcome.changes,
        traces=traces,
    )


def input_rates(network: Network, drive: Drive, window: Tensor) -> Tensor:
    """Return the mean rates of the inputs over the window, ``(batch, inputs)``.

    Args:
        network: the description.
        drive: the input.
        window: averaging weights, ``(steps,)``.
    """
    if isinstance(drive, CurrentDrive) and drive.values.ndim == 2:
        return drive.values
    counted = slice(int(window.nonzero()[0]), len(window))
    weights, total = window[counted], window.sum()
    if isinstance(drive, SpikeDrive):
        return _summed(weights, drive.spikes[:, counted]) * (network.spike_value / total)
    return torch.matmul(weights, drive.values[:, counted].to(weights)) / total


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


def initial_snapshot(
    network: Network, hardware: Hardware, uniform: Sequence[Tensor], shadow: bool
) -> Snapshot:
    """Return the state at rest but for the membranes, which start at random below threshold.

    Args:
        network: the description.
        hardware: the effective parameters.
        uniform: per layer, uniform random numbers in [0, 1), ``(chips, batch, n)``.
        shadow: whether the basal shadows run; they start where their neurons do.
    """
    chips, batch, _ = uniform[0].shape
    longest = [c.delay_steps for c in network.connections]
    if hardware.delays:
        longest = [int(steps.max()) for steps in hardware.delays]
    neurons, shadows = [], []
    for layer, values, noise in zip(network.layers, hardware.neurons, uniform, strict=True):
        neurons.append(layer.neuron.initial_state(values, noise))
        shadows.append({name: value.clone() for name, value in neurons[-1].items()} if shadow else {})
    zeros = uniform[0].new_zeros
    return Snapshot(
        neurons=tuple(neurons),
        shadows=tuple(shadows),
        synapse=tuple(zeros(chips, batch, layer.size) for layer in network.layers),
        history=tuple(
            zeros(chips, batch, steps - 1, network.sizes[c.pre])
            for c, steps in zip(network.connections, longest, strict=True)
        ),
        trace=zeros(chips, batch, network.outputs),
        integral=zeros(chips, batch, network.outputs),
    )
