"""Presentations of several windows, run as one phase per window that goes on where the last one ended.

So every machine that can go on from a state has windows, and a target that changes from window to window.
What a machine has run in a row is taken apart into the same pieces.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import final

import torch
from torch import Tensor

from spiking.presentation import Controller, CurrentDrive, Drive, Phase, Recording, SpikeDrive

__all__ = ["Pieces", "controller_in", "whole"]


@final
class Pieces:
    """Phases, and what is run of them.

    Args:
        phases: what is asked for.
        in_a_row: run all windows of a phase in one call; otherwise one after the other.
    """

    def __init__(self, phases: Sequence[Phase], *, in_a_row: bool) -> None:
        self._in_a_row = in_a_row
        self._last = {p.name: p.name if in_a_row else _name(p, p.windows - 1) for p in phases}
        self._parts = {phase.name: self._cut(phase) for phase in phases}
        self.run: list[Phase] = []
        """What is run, in order, which comes to the same as what is asked for."""
        for phase in phases:
            self.run += [phase] if in_a_row and phase.windows > 1 else self._parts[phase.name]

    def first(self, phase: Phase) -> str:
        """Return what is run first of a phase."""
        return phase.name if self._in_a_row else _name(phase, 0)

    def of(self, run: Phase) -> list[Phase]:
        """Return the phases of one window that something which is run consists of."""
        return self._parts[run.name] if run.windows > 1 else [run]

    def seen(self, phase: Phase, recordings: Mapping[str, Recording]) -> list[Recording]:
        """Return what was recorded of the pieces of a phase."""
        return [recordings[piece.name] for piece in self._parts[phase.name]]

    def _cut(self, phase: Phase) -> list[Phase]:
        if not phase.whole:
            return [_piece(phase, number, self._last) for number in range(phase.windows)]
        before = phase.after and self._last[phase.after]
        return [phase if before == phase.after else replace(phase, after=before)]


def _name(phase: Phase, number: int) -> str:
    """Return what a piece of a phase is called; a phase of one window is its own piece."""
    return phase.name if phase.windows == 1 else f"{phase.name}/{number}"


def _piece(phase: Phase, number: int, last: Mapping[str, str]) -> Phase:
    size = phase.steps // phase.windows
    part = slice(number * size, (number + 1) * size)
    after = None if phase.after is None else last[phase.after]
    lengths = None if phase.lengths is None else (phase.lengths - number * size).clamp(0, size)
    return replace(
        phase,
        name=_name(phase, number),
        drive=_during(phase.drive, part),
        window=phase.window[part],
        lengths=lengths,
        windows=1,
        counted=None,
        controller=controller_in(phase, number),
        start=phase.start if number == 0 else None,
        after=after if number == 0 else _name(phase, number - 1),
    )


def _during(drive: Drive, part: slice) -> Drive:
    if isinstance(drive, SpikeDrive):
        return SpikeDrive(drive.spikes[:, part])
    return drive if drive.values.ndim == 2 else CurrentDrive(drive.values[:, part])


def controller_in(phase: Phase, number: int) -> Controller | None:
    """Return the controller of a window, with one target for every sample."""
    controller = phase.controller
    if controller is None or phase.whole:
        return controller
    free, target = controller.nudge_from, controller.target
    if controller.moves:
        size = phase.steps // phase.windows
        target = target[:, number * size : (number + 1) * size]
    else:
        target = target[..., phase.held_rows[:, number].to(target.device), :]
    return replace(
        controller,
        target=target,
        trace_at_target=controller.trace_at_target and number == 0,
        nudge_from=None if free is None or phase.windows == 1 else f"{free}/{number}",
    )


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
