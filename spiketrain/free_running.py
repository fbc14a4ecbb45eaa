"""Networks that run a dynamical system by themselves, once the controller is off."""

from __future__ import annotations

from torch import Tensor

from learning.stimulus import Batch
from rate_bridge.filters import window
from spiketrain.parts import Parts
from spiketrain.record.free_runs import FreeRuns
from spiketrain.tasks.base import Split
from spiking.presentation import CurrentDrive, Drive, Phase, SpikeDrive

__all__ = ["free_runs"]


def free_runs(parts: Parts, split: Split) -> FreeRuns:
    """Let every chip run the samples of a split: under control at first where the task says so, then free.

    The averaged weights are programmed; the states drawn are the same at every call, and nothing is learned.
    A test leaves no trace.
    """
    how = parts.data.free_run
    assert how is not None
    x, y = parts.data.split(split)
    assert isinstance(y, Tensor)
    batch = Batch(x, y, (split, 0)).to(parts.model.device)
    chips = parts.chips.trial()
    chips.program(parts.deployed())
    recordings = chips.present(_phases(parts, batch, how.controlled), *batch.key)
    seen = recordings["free"].traces["readout"][0].double().cpu()
    # what is there after a step is compared with the state of the next one, as a controller would
    wanted = y[:, how.controlled + 1 :]
    return FreeRuns(seen[:, :, :-1], wanted, how.dt_ms, max(how.skipped - 1, 0))


def _phases(parts: Parts, batch: Batch, controlled: int) -> tuple[Phase, ...]:
    drive, steps = parts.test_stimulus.drive(batch, "free"), batch.target.shape[1]
    readout = frozenset({"readout"})
    phases: tuple[Phase, ...] = ()
    if controlled:
        every = window(controlled, controlled)
        held = parts.rule.holding(batch.target[:, :controlled])
        phases = (Phase("held", _cut(drive, 0, controlled), every, held),)
    every = window(steps - controlled, steps - controlled)
    after = "held" if controlled else None
    return (*phases, Phase("free", _cut(drive, controlled, steps), every, after=after, record=readout))


def _cut(drive: Drive, first: int, last: int) -> Drive:
    if isinstance(drive, SpikeDrive):
        return SpikeDrive(drive.spikes[:, first:last])
    return CurrentDrive(drive.values[:, first:last])
