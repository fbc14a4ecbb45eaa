"""How samples are shown to a chip: encoding, duration, averaging windows."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import final

import torch
from torch import Tensor

from rate_bridge.encodings import Encoding
from rate_bridge.filters import window
from rate_bridge.sequences import Samples, Series
from root.seeds import SeedTree
from spiking.network import Network
from spiking.presentation import Controller, CurrentDrive, Drive, Noise, Phase, SpikeDrive

__all__ = ["SHARED", "Batch", "Stimulus"]

SHARED = "shared"
"""Names the random numbers of an input that several phases have in common."""


@final
@dataclass(frozen=True)
class Batch:
    """Samples to learn from.

    Args:
        x: inputs in [0, 1], ``(batch, inputs)``, or samples over time.
        target: wanted output rates, ``(batch, n_out)``; labels are coded by the task. Where a presentation
            has several windows, those of every window that counts, sample by sample.
        key: names the batch, so that its random numbers are its own.
        counted: False for windows to leave out, ``(batch, windows)``, or None.
        moves: whether the target is one for every step, ``(batch, time, n_out)``.
    """

    x: Samples
    target: Tensor
    key: tuple[str | int, ...] = ()
    counted: Tensor | None = None
    moves: bool = False

    def to(self, device: torch.device) -> Batch:
        """Return the batch with its samples on `device`."""
        counted = None if self.counted is None else self.counted.to(device)
        return replace(self, x=self.x.to(device), target=self.target.to(device), counted=counted)


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
        windows: equal parts that a presentation falls into, with a window at the end of each.
    """

    network: Network
    encoding: Encoding
    seeds: SeedTree
    steps: int
    window_steps: int
    window_shape: str = "rectangular"
    record: frozenset[str] = field(default_factory=frozenset)
    windows: int = 1

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
        one_window: bool = False,
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
            one_window: count all windows of a sample as one, so that there is one row for every sample.
        """
        return Phase(
            name=name,
            drive=self.drive(batch, SHARED if shared_input else name),
            window=window(self.steps // self.windows, self.window_steps, self.window_shape).repeat(
                self.windows
            ),
            controller=controller,
            shadow=shadow,
            currents=currents,
            start=start,
            after=after,
            noise=noise,
            record=self.record,
            lengths=self.lengths(batch.x),
            windows=1 if one_window else self.windows,
            counted=None if one_window else batch.counted,
        )

    def towards(self, batch: Batch, wanted: Tensor | Series) -> Batch:
        """Return the batch with a target for every window that counts.

        Args:
            batch: the samples, with any target.
            wanted: output rates of every sample, ``(batch, n_out)``; or over time, NaN where nothing is
                wanted: a window wants their mean.
        """
        if self.windows == 1 and isinstance(wanted, Tensor):
            return replace(batch, target=wanted)
        phase = self.phase("wanted", replace(batch, counted=None))
        if isinstance(wanted, Tensor):
            return replace(batch, target=wanted[phase.rows[0]])
        weights = phase.weights.reshape(phase.batch, self.windows, -1, 1)
        values = wanted.held(self.steps, self.network.dt_ms)
        values = values.reshape(*weights.shape[:3], values.shape[-1])
        weights = torch.where(values.isnan(), 0.0, weights)
        total = weights.sum(2)
        counted = (total > 0).all(2)
        target = (values.nan_to_num(0.0) * weights).sum(2) / total
        return replace(batch, target=target[counted], counted=None if bool(counted.all()) else counted)

    def late(self, batch: Batch, name: str, *, one_window: bool = False) -> dict[int, Tensor]:
        r"""Return the input's rates as they arrive, through connections that are late, by the connection.

        What a synapse can learn of is what reaches it. Through a connection that takes d steps, that is in a
        window what was sent d - 1 steps before,

        .. math:: \hat r_i = \frac{\sum_t w_t\, s_i(t - d + 1)}{\sum_t w_t}

        and not what is sent just then. A sample that stands still has the same rate at all times.

        Args:
            batch: the samples.
            name: of the phase that showed them, or `SHARED`.
            one_window: whether its windows count as one.

        Returns:
            ``(1, rows, inputs)`` by the index of the connection; none where no input changes or is late.
        """
        connections = enumerate(self.network.connections)
        late = {index: c.delay_steps - 1 for index, c in connections if c.pre == 0 and c.delay_steps > 1}
        if not late or isinstance(batch.x, Tensor):
            return {}
        phase = self.phase(name, batch, one_window=one_window)
        if not isinstance(phase.drive, SpikeDrive):  # currents act at once
            return {}
        sample, number = phase.rows
        weights = phase.weights.reshape(phase.batch, phase.windows, -1).to(phase.drive.spikes.device)
        share = weights / weights.sum(2, keepdim=True).clamp(min=torch.finfo(weights.dtype).tiny)
        spikes = phase.drive.spikes.to(weights.dtype) * self.network.spike_value
        found = {}
        for index, delay in late.items():
            arrived = torch.nn.functional.pad(spikes, (0, 0, delay, 0))[:, : phase.steps]
            parts = arrived.reshape(*weights.shape, -1)
            found[index] = torch.einsum("bkt,bkti->bki", share, parts)[sample, number].unsqueeze(0)
        return found

    def lengths(self, x: Samples) -> Tensor | None:
        """Return the steps after which each sample is over, ``(batch,)``; None where all last to the end."""
        if isinstance(x, Tensor):
            return None
        lengths = x.lengths(self.network.dt_ms).clamp(max=self.steps)
        return None if bool((lengths == self.steps).all()) else lengths

    def drive(self, batch: Batch, name: str) -> Drive:
        """Return the input that shows `batch`, with the random numbers of `name`."""
        generator = self.seeds.child("encoding", *batch.key, name).generator()
        network = self.network
        encoded = self.encoding.encode(batch.x, self.steps, network.dt_ms, network.max_rate_hz, generator)
        return SpikeDrive(encoded) if encoded.dtype == torch.bool else CurrentDrive(encoded)
