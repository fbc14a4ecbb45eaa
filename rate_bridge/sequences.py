"""Samples that last: values over time and events, of unequal length, without padding."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar, Literal, Self, final

import numpy as np
import torch
from torch import Tensor

from root.errors import InputError

__all__ = ["Events", "Form", "Samples", "Sequences", "Series", "form_of", "split"]

Form = Literal["values", "series", "events"]
"""What a sample is: a value per input, values over time, or events."""

Rows = slice | Tensor

ROUNDING = 1e-9
"""Forgiven where a time is divided by another, relative to a step."""


class Sequences(ABC):
    """Samples over time, one after the other; ``len(x)`` of them, ``x[rows]`` some of them.

    Attributes:
        form: what a sample is.
        parts: values over time, or events, of every sample, ``(samples,)``.
    """

    form: ClassVar[Form]
    parts: Tensor

    @property
    @abstractmethod
    def inputs(self) -> int:
        """Number of inputs of a sample."""

    @property
    @abstractmethod
    def lasting_ms(self) -> Tensor:
        """How long every sample lasts, ``(samples,)``."""

    @abstractmethod
    def _taken(self, rows: Tensor, places: Tensor) -> Self:
        """Return the samples `rows`, whose parts stand at `places`."""

    @abstractmethod
    def to(self, device: torch.device) -> Self:
        """Return the same samples on `device`."""

    @final
    def __len__(self) -> int:
        return len(self.parts)

    @final
    def __getitem__(self, rows: Rows) -> Self:
        taken = torch.arange(len(self), device=self.parts.device)[rows]
        last = self.parts.cumsum(0)
        number = self.parts[taken]
        shift = last[taken] - number.cumsum(0)  # from where a part will stand to where it stands
        places = torch.arange(int(number.sum()), device=number.device) + shift.repeat_interleave(number)
        return self._taken(taken, places)

    @final
    def lengths(self, dt_ms: float) -> Tensor:
        """Return the steps that every sample takes, one or more, ``(samples,)``."""
        return torch.ceil(self.lasting_ms / dt_ms - ROUNDING).clamp(min=1).to(torch.int64)

    @final
    @property
    def sample(self) -> Tensor:
        """The sample of every part, ``(parts,)``."""
        return torch.arange(len(self), device=self.parts.device).repeat_interleave(self.parts)


@final
@dataclass(frozen=True)
class Series(Sequences):
    """Values at regular times, each held until the next.

    Args:
        values: those of all samples one below the other, ``(parts, inputs)``, float64.
        parts: how many each sample has, 1 or more, ``(samples,)``, int64.
        step_ms: how long a value is held.

    Raises:
        InputError: they do not fit each other.
    """

    values: Tensor
    parts: Tensor
    step_ms: float = 1.0

    form: ClassVar[Form] = "series"

    def __post_init__(self) -> None:
        if self.values.ndim != 2 or not self.values.is_floating_point() or self.values.shape[1] < 1:
            given = f"{tuple(self.values.shape)} of {self.values.dtype}"
            raise InputError("values", given, "numbers in floating point, (parts, inputs)")
        _check_parts(self.parts, len(self.values), least=1)
        if not self.step_ms > 0:
            raise InputError("step_ms", self.step_ms, "a time above 0")

    @classmethod
    def of(cls, samples: Iterable[Any], step_ms: float = 1.0) -> Series:
        """Return samples of arrays ``(time, inputs)``, whose times may differ.

        Args:
            samples: one array each; an array ``(samples, time, inputs)`` is one, too.
            step_ms: how long a value is held.
        """
        found = [np.asarray(one, dtype=np.float64) for one in samples]
        for number, one in enumerate(found):
            if one.ndim != 2 or one.shape[0] < 1 or one.shape[1:] != found[0].shape[1:]:
                allowed = "(time, inputs), the inputs of all samples as many"
                raise InputError(f"sample {number}", f"an array of shape {one.shape}", allowed)
        if not found:
            raise InputError("samples", "none", "one or more")
        parts = torch.tensor([len(one) for one in found], dtype=torch.int64)
        return cls(torch.from_numpy(np.concatenate(found)), parts, step_ms)

    @property
    def inputs(self) -> int:
        return int(self.values.shape[1])

    @property
    def lasting_ms(self) -> Tensor:
        return self.parts.to(torch.float64) * self.step_ms

    def to(self, device: torch.device) -> Series:
        return replace(self, values=self.values.to(device), parts=self.parts.to(device))

    def held(self, steps: int, dt_ms: float) -> Tensor:
        """Return the values in every step, ``(samples, steps, inputs)``; the last one stays to the end."""
        times = torch.arange(steps, dtype=torch.float64, device=self.values.device) * dt_ms
        number = torch.floor(times / self.step_ms + ROUNDING).to(torch.int64)
        number = torch.minimum(number, self.parts.unsqueeze(1) - 1)
        first = self.parts.cumsum(0) - self.parts
        return self.values[first.unsqueeze(1) + number]

    def _taken(self, rows: Tensor, places: Tensor) -> Series:
        return replace(self, values=self.values[places], parts=self.parts[rows])


@final
@dataclass(frozen=True)
class Events(Sequences):
    """Events: an input each, and a time since the sample began.

    Args:
        times_ms: those of all samples one after the other, each sample's in order, ``(parts,)``, float64.
        units: the input that each event is of, from 0, ``(parts,)``, int64.
        parts: how many events each sample has, ``(samples,)``, int64.
        ends_ms: how long each sample lasts, ``(samples,)``, float64.
        size: number of inputs.

    Raises:
        InputError: they do not fit each other.
    """

    times_ms: Tensor
    units: Tensor
    parts: Tensor
    ends_ms: Tensor
    size: int

    form: ClassVar[Form] = "events"

    def __post_init__(self) -> None:
        _check_parts(self.parts, len(self.times_ms), least=0)
        if self.units.shape != self.times_ms.shape or self.units.dtype != torch.int64:
            given = f"{tuple(self.units.shape)} of {self.units.dtype}"
            raise InputError("units", given, f"int64, one for each of {len(self.times_ms)} events")
        if self.ends_ms.shape != self.parts.shape or not bool((self.ends_ms > 0).all()):
            raise InputError("ends_ms", tuple(self.ends_ms.shape), "a time above 0 for each sample")
        if len(self.units) and not 0 <= int(self.units.min()) <= int(self.units.max()) < self.size:
            given = f"units from {int(self.units.min())} to {int(self.units.max())}"
            raise InputError("units", given, f"units from 0 to {self.size - 1}")

    @property
    def inputs(self) -> int:
        return self.size

    @property
    def lasting_ms(self) -> Tensor:
        return self.ends_ms

    @classmethod
    def of(
        cls,
        times_ms: Sequence[Any],
        units: Sequence[Any],
        inputs: int,
        lasting_ms: float | None = None,
    ) -> Events:
        """Return samples of arrays of times and arrays of units, one of each per sample.

        Args:
            times_ms: since the sample began, in order.
            units: the input of each.
            inputs: number of inputs.
            lasting_ms: how long a sample lasts; None: until just after its last event.
        """
        found = [np.asarray(one, dtype=np.float64) for one in times_ms]
        places = [np.asarray(one, dtype=np.int64) for one in units]
        last = [lasting_ms if lasting_ms is not None else _until(one) for one in found]
        parts = torch.tensor([len(one) for one in found], dtype=torch.int64)
        joined = torch.from_numpy(np.concatenate([*found, np.zeros(0)]))
        return cls(
            joined,
            torch.from_numpy(np.concatenate([*places, np.zeros(0, np.int64)])),
            parts,
            torch.tensor(last, dtype=torch.float64),
            inputs,
        )

    def to(self, device: torch.device) -> Events:
        moved = {name: getattr(self, name).to(device) for name in ("times_ms", "units", "parts", "ends_ms")}
        return replace(self, **moved)

    def _taken(self, rows: Tensor, places: Tensor) -> Events:
        return replace(
            self,
            times_ms=self.times_ms[places],
            units=self.units[places],
            parts=self.parts[rows],
            ends_ms=self.ends_ms[rows],
        )


Samples = Tensor | Sequences
"""Samples of any form: ``(samples, inputs)``, or over time."""


def form_of(x: Samples) -> Form:
    """Return what the samples are."""
    return "values" if isinstance(x, Tensor) else x.form


def split(x: Samples, size: int) -> Iterable[Samples]:
    """Return the samples, `size` at a time."""
    return (x[first : first + size] for first in range(0, len(x), size))


def _until(times: np.ndarray) -> float:
    """Return a time just after the last event: the next whole millisecond."""
    return float(np.floor(times[-1])) + 1.0 if len(times) else 1.0


def _check_parts(parts: Tensor, total: int, least: int) -> None:
    if parts.ndim != 1 or parts.dtype != torch.int64:
        raise InputError("parts", f"{tuple(parts.shape)} of {parts.dtype}", "int64, (samples,)")
    if len(parts) and (int(parts.min()) < least or int(parts.sum()) != total):
        given = f"{int(parts.sum())} in all, {int(parts.min())} the least of a sample"
        raise InputError("parts", given, f"{total} in all, {least} or more a sample")
