"""Presentations of several windows, run as one phase per window that goes on where the last one ended.

So every machine that can go on from a state has windows, and a target that changes from window to window.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import torch
from torch import Tensor

from spiking.presentation import Controller, CurrentDrive, Drive, Phase, Recording, SpikeDrive

__all__ = ["in_pieces", "piece_name", "whole"]


def piece_name(phase: Phase, number: int) -> str:
    """Return what a piece of a phase is called; a phase of one window is its own piece."""
    return phase.name if phase.windows == 1 else f"{phase.name}/{number}"


def in_pieces(phases: Sequence[Phase]) -> list[Phase]:
    """Return phases of one window each, in order, that come to the same as `phases`."""
    known = {phase.name: phase for phase in phases}
    return [
        phase if phase.whole else _piece(phase, number, known)
        for phase in phases
        for number in range(phase.windows)
    ]


def _piece(phase: Phase, number: int, known: Mapping[str, Phase]) -> Phase:
    size = phase.steps // phase.windows
    part = slice(number * size, (number + 1) * size)
    before = None if phase.after is None else known[phase.after]
    after = None if before is None else piece_name(before, before.windows - 1)
    lengths = None if phase.lengths is None else (phase.lengths - number * size).clamp(0, size)
    return replace(
        phase,
        name=piece_name(phase, number),
        drive=_during(phase.drive, part),
        window=phase.window[part],
        lengths=lengths,
        windows=1,
        counted=None,
        controller=_controller(phase, number, known),
        start=phase.start if number == 0 else None,
        after=after if number == 0 else piece_name(phase, number - 1),
    )


def _during(drive: Drive, part: slice) -> Drive:
    if isinstance(drive, SpikeDrive):
        return SpikeDrive(drive.spikes[:, part])
    return drive if drive.values.ndim == 2 else CurrentDrive(drive.values[:, part])


def _controller(phase: Phase, number: int, known: Mapping[str, Phase]) -> Controller | None:
    controller = phase.controller
    if controller is None:
        return None
    free, target = controller.nudge_from, controller.target
    if controller.moves:
        size = phase.steps // phase.windows
        target = target[:, number * size : (number + 1) * size]
    else:
        target = target[..., _places(phase)[:, number].to(target.device), :]
    return replace(
        controller,
        target=target,
        trace_at_target=controller.trace_at_target and number == 0,
        nudge_from=None if free is None else piece_name(known[free], number),
    )


def _places(phase: Phase) -> Tensor:
    """Return the row of the target that holds in every window, ``(batch, windows)``.

    Where nothing is counted, the last one goes on; before there is any, the first one holds.
    """
    sample, window = phase.rows
    places = torch.full((phase.batch, phase.windows), -1, dtype=torch.int64, device=sample.device)
    places[sample, window] = torch.arange(len(sample), device=sample.device)
    first = torch.where(places < 0, len(sample), places).min(1, keepdim=True).values
    return torch.maximum(places.cummax(1).values, first).clamp(max=max(len(sample) - 1, 0))


def whole(phase: Phase, pieces: Sequence[Recording]) -> Recording:
    """Return the recording of a phase from those of its pieces, one row per window that counts."""
    sample, window = phase.rows

    def rows(parts: Sequence[Tensor]) -> Tensor:
        return torch.stack(list(parts), dim=2)[:, sample.to(parts[0].device), window.to(parts[0].device)]

    def layers(name: str) -> tuple[Tensor, ...]:
        return tuple(rows(parts) for parts in zip(*(getattr(p, name) for p in pieces), strict=True))

    controls = [piece.control for piece in pieces if piece.control is not None]
    return Recording(
        rates=layers("rates"),
        basal=layers("basal"),
        control=rows(controls) if controls else None,
        readout=rows([piece.readout for piece in pieces]),
        apical=layers("apical"),
        traces={
            name: tuple(
                torch.cat(parts, dim=2) for parts in zip(*(p.traces[name] for p in pieces), strict=True)
            )
            for name in pieces[0].traces
        },
    )
