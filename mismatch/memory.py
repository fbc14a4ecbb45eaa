"""What was asked of every synapse, and what was written: kept by the chip, never told to a rule."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, final

import torch
from torch import Tensor

from mismatch.imperfections.base import Effect, Write
from mismatch.streams import Streams
from spiking.presentation import Weights

__all__ = ["Memory"]


@final
@dataclass(frozen=True)
class _Cells:
    """The devices of one matrix of synapses.

    Args:
        asked: what was last asked for, ``(chips, *shape)``.
        stored: what they hold.
        count: writes they have had, int32.
        written_ms: the chips' clock at the last of them.
    """

    asked: Tensor
    stored: Tensor
    count: Tensor
    written_ms: Tensor


@final
class Memory:
    """Devices that are programmed through a chain of effects.

    Args:
        effects: what programming does, in order.
        streams: random numbers of the writes; each programming has a branch of its own, by its number.
    """

    def __init__(self, effects: Sequence[Effect], streams: Streams) -> None:
        self._effects, self._streams = effects, streams
        self._cells: dict[str, _Cells] = {}
        self._writes = 0

    @property
    def written_ms(self) -> dict[str, Tensor]:
        """The chips' clock at each device's last write, per matrix."""
        return {name: cells.written_ms for name, cells in self._cells.items()}

    def write(self, weights: Weights, now_ms: float) -> Weights:
        """Program what is wanted and return what the devices hold afterwards."""
        self._writes += 1
        return replace(
            weights,
            forward=self._all("forward", weights.forward, now_ms),
            feedback=self._all("feedback", weights.feedback, now_ms),
        )

    def _all(self, group: str, wanted: Sequence[Tensor], now_ms: float) -> tuple[Tensor, ...]:
        names = [f"{group}.{index}" for index in range(1, len(wanted) + 1)]
        return tuple(self._one(name, asked, now_ms) for name, asked in zip(names, wanted, strict=True))

    def _one(self, name: str, asked: Tensor, now_ms: float) -> Tensor:
        before = self._cells.get(name)
        moved = torch.ones_like(asked, dtype=torch.bool) if before is None else asked != before.asked
        if before is not None and not bool(moved.any()):
            return before.stored
        write = Write(
            name=name,
            asked=asked,
            asked_before=before.asked if before else None,
            stored=before.stored if before else None,
            value=asked,
            moved=moved,
            count=before.count if before else torch.zeros_like(asked, dtype=torch.int32),
            streams=self._streams.child(self._writes, name),
        )
        for effect in self._effects:
            write = effect.write(write)
        self._cells[name] = _after(write, asked, before, now_ms)
        return self._cells[name].stored

    def copy(self) -> Memory:
        """Return a memory that goes on from here on its own."""
        other = Memory(self._effects, self._streams)
        other._cells, other._writes = dict(self._cells), self._writes
        return other

    def state(self) -> dict[str, Any]:
        """Return everything that programming changed."""
        cells = {name: dict(vars(cells)) for name, cells in self._cells.items()}
        return {"writes": self._writes, "cells": cells}

    def restore(self, state: dict[str, Any]) -> None:
        """Go on from what `state` returned."""
        self._writes = int(state["writes"])
        there = self._streams.device
        self._cells = {
            name: _Cells(**{key: value.to(there) for key, value in cells.items()})
            for name, cells in state["cells"].items()
        }


def _after(write: Write, asked: Tensor, before: _Cells | None, now_ms: float) -> _Cells:
    if before is None:
        now = torch.full_like(asked, now_ms)
        return _Cells(asked.clone(), write.value.clone(), write.count + 1, now)
    return _Cells(
        asked=asked.clone(),
        stored=torch.where(write.moved, write.value, before.stored),
        count=before.count + write.moved,
        written_ms=torch.where(write.moved, now_ms, before.written_ms),
    )
