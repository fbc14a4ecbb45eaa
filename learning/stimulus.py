"""How samples are shown to a chip: encoding, duration, averaging window."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import final

import torch
from torch import Tensor

from rate_bridge.encodings import Encoding
from rate_bridge.filters import window
from root.seeds import SeedTree
from spiking.network import Network
from spiking.presentation import Controller, CurrentDrive, Drive, Noise, Phase, SpikeDrive

__all__ = ["Batch", "Stimulus"]


@final
@dataclass(frozen=True)
class Batch:
    """Samples to learn from.

    Args:
        x: inputs in [0, 1], ``(batch, inputs)``.
        target: wanted output rates, ``(batch, n_out)``; labels are coded by the task.
        key: names the batch, so that its random numbers are its own.
    """

    x: Tensor
    target: Tensor
    key: tuple[str | int, ...] = ()

    def to(self, device: torch.device) -> Batch:
        """Return the batch with its samples on `device`."""
        return Batch(self.x.to(device), self.target.to(device), self.key)


@final
@dataclass(frozen=True)
class Stimulus:
    """Turns samples into phases.

    Args:
        network: for the clock and the sizes.
        encoding: how values become spikes or currents.
        seeds: where the encoding's random numbers come from; the same for all chips.
        steps: length of a presentation.
        window_steps: length of the averaging window at its end.
        window_shape: ``"rectangular"`` or ``"hann"``.
        record: names of traces to be recorded in every phase.
    """

    network: Network
    encoding: Encoding
    seeds: SeedTree
    steps: int
    window_steps: int
    window_shape: str = "rectangular"
    record: frozenset[str] = field(default_factory=frozenset)

    def phase(
        self,
        name: str,
        batch: Batch,
        *,
        controller: Controller | None = None,
        shadow: bool = False,
        currents: tuple[Tensor | None, ...] = (),
        start: str | None = None,
        after: str | None = None,
        noise: Noise | None = None,
        shared_input: bool = False,
    ) -> Phase:
        """Return a phase that shows `batch`.

        Args:
            name: how the observation calls it.
            batch: the samples.
            controller: closes the loop.
            shadow: run the basal shadow membranes.
            currents: constant injected currents per layer; see `Phase`.
            start: name of the random initial state, to be shared between phases.
            after: name of the earlier phase that this one goes on from.
            noise: noise in the feedback compartments.
            shared_input: use the same input spikes as every other phase of this batch that says so,
                instead of spikes of its own.
        """
        return Phase(
            name=name,
            drive=self.drive(batch, "shared" if shared_input else name),
            window=window(self.steps, self.window_steps, self.window_shape),
            controller=controller,
            shadow=shadow,
            currents=currents,
            start=start,
            after=after,
            noise=noise,
            record=self.record,
        )

    def drive(self, batch: Batch, name: str) -> Drive:
        """Return the input that shows `batch`, with the random numbers of `name`."""
        generator = self.seeds.child("encoding", *batch.key, name).generator()
        network = self.network
        encoded = self.encoding.encode(batch.x, self.steps, network.dt_ms, network.max_rate_hz, generator)
        return SpikeDrive(encoded) if encoded.dtype == torch.bool else CurrentDrive(encoded)
