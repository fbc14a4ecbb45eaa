"""Recordings of one sample, kept in the run directory so that its figures can be drawn again."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Self, final

import torch
from torch import Tensor

from spiketrain.record.files import tensor_bytes, tensors_of
from spiketrain.record.store import Folder, Store
from spiking.presentation import Recording

__all__ = ["Samples"]

FILE = "samples.safetensors"


@final
@dataclass(frozen=True)
class Samples:
    """What one chip did with one sample, phase by phase.

    Args:
        traces: per phase, by name of the trace: ``spikes`` and ``voltage`` per layer 1 to L,
            ``control``, ``readout`` and, of input spikes, ``input`` once, each ``(time, n)``; ``window``,
            the averaging weights, ``(time, 1)``.
        target: wanted output rates, ``(n_out,)``, 1 = `max_rate_hz`.
        dt_ms: time step.
        max_rate_hz: the rate that counts as 1.
        chip: which chip it is, counted from 0 within the run.
        lasting: whether what is shown, or wanted, changes meanwhile.
    """

    traces: Mapping[str, Mapping[str, tuple[Tensor, ...]]]
    target: Tensor
    dt_ms: float
    max_rate_hz: float
    chip: int = 0
    lasting: bool = False

    @classmethod
    def of(
        cls,
        recordings: Mapping[str, Recording],
        target: Tensor,
        dt_ms: float,
        max_rate_hz: float,
        *,
        chip: int = 0,
        sample: int = 0,
        inputs: Mapping[str, Tensor] | None = None,
        windows: Mapping[str, Tensor] | None = None,
        targets: Mapping[str, Tensor] | None = None,
        lasting: bool = False,
    ) -> Self:
        """Take one sample of one chip out of recordings with traces.

        Args:
            recordings: by the name of their phase.
            target: wanted output rates, ``(batch, n_out)``.
            dt_ms: time step.
            max_rate_hz: the rate that counts as 1.
            chip: which chip.
            sample: which sample.
            inputs: its input spikes by the name of the phase, ``(time, inputs)``.
            windows: averaging weights by the name of the phase, ``(time,)``.
            targets: what is wanted where that changes over time, by the name of the phase, ``(time, n_out)``.
            lasting: whether the sample changes while it is shown.
        """
        traces = {
            phase: {name: tuple(t[chip, sample] for t in parts) for name, parts in recording.traces.items()}
            for phase, recording in recordings.items()
        }
        for phase, spikes in (inputs or {}).items():
            traces[phase]["input"] = (spikes.to(torch.float64),)
        for phase, weights in (windows or {}).items():
            traces[phase]["window"] = (weights.to(torch.float64).unsqueeze(1),)
        for phase, wanted in (targets or {}).items():
            traces[phase]["target"] = (wanted.to(torch.float64),)
        return cls(traces, target[sample], dt_ms, max_rate_hz, chip, lasting or bool(targets))

    def window(self, phase: str) -> Tensor:
        """Return the averaging weights of a phase, ``(time,)``; of a run that kept none, its second half."""
        traces = self.traces[phase]
        if traces.get("window"):
            return traces["window"][0][:, 0]
        steps = next(len(parts[0]) for parts in traces.values() if parts)
        return (torch.arange(steps) >= steps // 2).to(torch.float64)

    def save(self, store: Store) -> None:
        """Write ``samples.safetensors``; phases and traces come back in the same order."""
        tensors = {"target": self.target}
        names: dict[str, dict[str, int]] = {}
        for phase, traces in self.traces.items():
            names[phase] = {name: len(parts) for name, parts in traces.items()}
            for name, parts in traces.items():
                tensors |= {f"{phase}/{name}/{index}": part for index, part in enumerate(parts)}
        note = {"phases": names, "dt_ms": self.dt_ms, "max_rate_hz": self.max_rate_hz, "chip": self.chip}
        if self.lasting:
            note["lasting"] = True
        store.write(FILE, tensor_bytes(tensors, note))

    @classmethod
    def load(cls, place: Store | Path) -> Self | None:
        """Read what `save` wrote, or return None where there is nothing."""
        store = Folder(place) if isinstance(place, Path) else place
        if FILE not in store:
            return None
        tensors, note = tensors_of(store.read(FILE), store.place(FILE))
        traces = {
            phase: {
                name: tuple(tensors[f"{phase}/{name}/{index}"] for index in range(count))
                for name, count in counts.items()
            }
            for phase, counts in note["phases"].items()
        }
        return cls(
            traces,
            tensors["target"],
            float(note["dt_ms"]),
            float(note["max_rate_hz"]),
            int(note.get("chip", 0)),
            bool(note.get("lasting", False)),
        )
