"""Runs of a dynamical system without control, kept in the run directory for its figures."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Self, final

import torch
from torch import Tensor

from spiketrain.record.files import tensor_bytes, tensors_of
from spiketrain.record.store import Folder, Store

__all__ = ["FreeRuns"]

FILE = "free_runs.safetensors"

VALID = 0.4
"""A run is valid until it is farther from the system than this times the system's root mean square."""


@final
@dataclass(frozen=True)
class FreeRuns:
    """What chips did without control, and what the system did.

    Args:
        outputs: ``(chips, samples, time, n_out)``, of the steps without control.
        wanted: ``(samples, time, n_out)``.
        dt_ms: time step.
        skipped: steps at the beginning whose error does not count.
    """

    outputs: Tensor
    wanted: Tensor
    dt_ms: float
    skipped: int = 0

    def errors(self) -> Tensor:
        r"""Return :math:`\langle|y - x|^2\rangle / \langle|x|^2\rangle` of every chip, ``(chips,)``."""
        y, x = self.outputs[:, :, self.skipped :], self.wanted[:, self.skipped :]
        return (y - x).square().sum(dim=(1, 2, 3)) / x.square().sum()

    def valid_ms(self) -> Tensor:
        r"""Return for how long a run is valid, the mean over the samples, ``(chips,)``.

        It ends where :math:`|y - x| > 0.4\,\sqrt{\langle|x|^2\rangle}` first, at the latest with the sample.
        """
        y, x = self.outputs[:, :, self.skipped :], self.wanted[:, self.skipped :]
        limit = VALID * x.square().sum(-1).mean().sqrt()
        away = (y - x).norm(dim=-1) > limit
        steps = torch.where(away.any(-1), away.int().argmax(-1), away.shape[-1])
        return steps.double().mean(1) * self.dt_ms

    def save(self, store: Store) -> None:
        """Write ``free_runs.safetensors``, in float32: it is for figures."""
        tensors = {"outputs": self.outputs.float(), "wanted": self.wanted.float()}
        store.write(FILE, tensor_bytes(tensors, {"dt_ms": self.dt_ms, "skipped": self.skipped}))

    @classmethod
    def load(cls, place: Store | Path) -> Self | None:
        """Read what `save` wrote, or return None where there is nothing."""
        store = Folder(place) if isinstance(place, Path) else place
        if FILE not in store:
            return None
        tensors, note = tensors_of(store.read(FILE), store.place(FILE))
        return cls(tensors["outputs"], tensors["wanted"], float(note["dt_ms"]), int(note["skipped"]))
