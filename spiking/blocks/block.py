"""Phases of a presentation as blocks: those that do not wait for each other run side by side.

A free and a controlled presentation then cost one call.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from root.errors import UnsupportedError
from spiking.blocks.pieces import controller_in
from spiking.blocks.snapshots import cut, join, with_shadows
from spiking.hardware import Hardware
from spiking.network import Network
from spiking.presentation import (
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

__all__ = ["Block", "groups", "stack"]


@dataclass(frozen=True)
class Block:
    """Phases of equal length, side by side along the batch axis.

    Args:
        drive: the inputs of all of them.
        window: averaging weights, ``(batch, steps)``.
        start: where every sample starts from.
        target: the controller's target, ``(chips or 1, batch, n_out)``, those of several windows one after
            the other, or None for no controller.
        controlled: 1 where the loop is closed, ``(batch,)``.
        softmax: 1 where the loop compares the soft-max of the output, ``(batch,)``.
        kp, ki_per_ms, leak_per_ms: the controller's gains, ``(batch,)``.
        currents: injected currents per layer, ``(chips or 1, batch, n)``, or empty.
        shadow: whether the basal shadows run.
        noise: noise in the feedback compartments of all samples, or None.
        plasticity: what the synapses learn from all samples by themselves, or None.
        record: what is recorded in every step.
        course: the targets of every step where they move, ``(batch, steps, n_out)``, or None; `target` is
            then that of the first one.
        windows: equal parts of the time that sums are taken of; more than 1 only for machines that ask for
            it, see `Simulator.runs_windows`.
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
    course: Tensor | None = None
    windows: int = 1

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
            course=None if self.course is None else self.course[part],
            currents=tuple(current[:, part] for current in self.currents),
            **{name: getattr(self, name)[part] for name in per_sample},
        )


def groups(phases: Sequence[Phase]) -> list[list[Phase]]:
    """Split phases into lists that can run side by side, each after those it goes on from.

    A phase without a controller runs beside those of any; a target that moves, and one that stands still,
    take two blocks.
    """
    found: list[list[Phase]] = []
    level: dict[str, int] = {}
    slots: dict[tuple[object, ...], int] = {}
    moving = any(phase.controller.moves for phase in phases if phase.controller is not None)
    for phase in phases:
        earlier = [phase.after, phase.controller.nudge_from if phase.controller else None]
        level[phase.name] = max((level[name] + 1 for name in earlier if name), default=0)
        constant = isinstance(phase.drive, CurrentDrive) and phase.drive.values.ndim == 2
        alone = phase.name if phase.noise or phase.plasticity else None
        moves = phase.controller.moves if phase.controller is not None else moving
        shape = (phase.steps, phase.windows)
        kind = (level[phase.name], shape, type(phase.drive), constant, alone, phase.record, moves)
        if kind not in slots:
            slots[kind] = len(found)
            found.append([])
        found[slots[kind]].append(phase)
    return sorted(found, key=lambda group: level[group[0].name])


def stack(
    network: Network,
    hardware: Hardware,
    group: list[Phase],
    starts: list[Snapshot],
    seen: Mapping[str, Recording],
) -> Block:
    """Return the phases of one group as a block.

    Args:
        network: the description.
        hardware: the effective parameters of the chips.
        group: phases that run side by side; one of the lists that `groups` returns.
        starts: where each of them starts from.
        seen: the recordings of earlier phases, which a nudge is measured from.

    Raises:
        UnsupportedError: the loop is to be closed, but no feedback weights were programmed.
    """
    if any(phase.shadow for phase in group):
        starts = [with_shadows(start) for start in starts]
    start = join(starts)
    device = hardware.weights[0].device
    targets = _targets(network, group, seen, device)
    controlled = [phase.controller is not None for phase in group]
    if any(controlled):
        if not hardware.feedback or network.feedback.relayed != (hardware.relay is not None):
            raise UnsupportedError("phase.controller", "a controller", "feedback weights programmed first")
        start = _preset_trace(group, targets, start)
    return Block(
        drive=_drive(group),
        window=torch.cat([p.weights for p in group]),
        start=start,
        target=targets if any(controlled) else None,
        controlled=_per_sample(group, [float(on) for on in controlled], device),
        softmax=_per_sample(
            group, [float(bool(p.controller and p.controller.softmax_in_loop)) for p in group], device
        ),
        kp=_per_sample(group, [p.controller.kp if p.controller else 0.0 for p in group], device),
        ki_per_ms=_per_sample(
            group, [p.controller.ki_per_ms if p.controller else 0.0 for p in group], device
        ),
        leak_per_ms=_per_sample(
            group, [p.controller.leak_per_ms if p.controller else 0.0 for p in group], device
        ),
        currents=_currents(network, group, device),
        shadow=any(phase.shadow for phase in group),
        noise=group[0].noise,
        plasticity=group[0].plasticity,
        record=group[0].record,
        course=_course(group, device),
        windows=group[0].windows,
    )


def _per_sample(group: list[Phase], values: list[float], device: torch.device) -> Tensor:
    batches = [phase.batch for phase in group]
    given = [value for value, batch in zip(values, batches, strict=True) for _ in range(batch)]
    return torch.tensor(given, dtype=torch.float64).to(device)


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


def _targets(
    network: Network, group: list[Phase], seen: Mapping[str, Recording], device: torch.device
) -> Tensor:
    none = torch.zeros(1, 1, network.outputs * group[0].windows, dtype=torch.float64, device=device)
    return _along_batch(
        [
            none.expand(-1, phase.batch, -1) if phase.controller is None else _target(phase, seen).to(device)
            for phase in group
        ]
    )


def _course(group: list[Phase], device: torch.device) -> Tensor | None:
    """Return the targets of every step, 0 where the loop is open; None where no target moves."""
    moving = [p.controller.target for p in group if p.controller is not None and p.controller.moves]
    if not moving:
        return None
    none = moving[0].new_zeros(1, *moving[0].shape[1:])
    return _cat(
        [none.expand(p.batch, -1, -1) if p.controller is None else p.controller.target for p in group]
    ).to(device)


def _target(phase: Phase, seen: Mapping[str, Recording]) -> Tensor:
    """Return the absolute targets, those of several windows one after the other."""
    loops = [controller_in(phase, number) for number in range(phase.windows)]
    targets = [_absolute(loop, seen) for loop in loops if loop is not None]
    chips = max(target.shape[0] for target in targets)
    return _cat([target.expand(chips, -1, -1) for target in targets], dim=-1)


def _absolute(controller: Controller, seen: Mapping[str, Recording]) -> Tensor:
    """Return the absolute target, ``(chips or 1, batch, n_out)``."""
    if controller.moves:
        return controller.target[:, 0].unsqueeze(0)
    wanted = controller.target if controller.target.ndim == 3 else controller.target.unsqueeze(0)
    if controller.nudge_from is None:
        return wanted
    free = seen[controller.nudge_from].rates[-1].to(wanted)
    reached = torch.softmax(free, -1) if controller.softmax else free
    return free + controller.nudge * (wanted - reached)


def _preset_trace(group: list[Phase], targets: Tensor, start: Snapshot) -> Snapshot:
    if not any(p.controller and p.controller.trace_at_target for p in group):
        return start
    at_target = [float(bool(p.controller and p.controller.trace_at_target)) for p in group]
    mask = _per_sample(group, at_target, start.trace.device).view(1, -1, 1) > 0
    first = targets[..., : start.trace.shape[-1]].to(start.trace)
    return replace(start, trace=torch.where(mask, first, start.trace))


def _currents(network: Network, group: list[Phase], device: torch.device) -> tuple[Tensor, ...]:
    if not any(current is not None for phase in group for current in phase.currents):
        return ()
    layers = []
    for index, layer in enumerate(network.layers):
        parts = []
        for phase in group:
            current = phase.currents[index] if phase.currents else None
            if current is None:
                parts.append(torch.zeros(1, phase.batch, layer.size, dtype=torch.float64, device=device))
            else:
                parts.append((current if current.ndim == 3 else current.unsqueeze(0)).to(device))
        layers.append(_along_batch(parts))
    chips = max(layer.shape[0] for layer in layers)
    return tuple(layer.expand(chips, -1, -1) for layer in layers)
