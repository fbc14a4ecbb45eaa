"""A block of phases as the kernel's arrays, on the device."""

from __future__ import annotations

from functools import cached_property
from typing import NamedTuple, final

import torch
from torch import Tensor

from spiking.presentation import SpikeDrive
from spiking.readout import readout_trace
from spiking.simulators.apical import ApicalNoise
from spiking.simulators.cuda.layout import Layout, pack_bits
from spiking.simulators.cuda.source import Shape
from spiking.simulators.flat.constants import Constants
from spiking.simulators.flat.packing import Flat

__all__ = ["Laid", "Packing"]

Arrays = dict[str, Tensor | None]

FLAT = (
    *("shadow_bias", "input_weights", "feedback", "readout", "relay_weights", "strength", "curves"),
    *("window", "values", "drive", "target", "neurons", "shadows", "synapse", "trace", "integral", "gates"),
    *("emitted", "basal", "apical"),
)
"""Arrays that are called in the kernel as in `Flat`."""


class Laid(NamedTuple):
    """What programming does not change about chips, on the card.

    Args:
        constants: of their neurons.
        layout: where connections lie.
        tables: the same as the kernel has it.
    """

    constants: Constants
    layout: Layout
    tables: dict[str, Tensor]


@final
class Packing:
    """What the kernel is given and what it leaves.

    Args:
        flat: the block.
        laid: where connections lie.
    """

    def __init__(self, flat: Flat, laid: Laid) -> None:
        self.flat, self.layout = flat, laid.layout
        arrays = laid.tables | self._given() | self._rings() | self._records()
        self.arrays = {name: array for name, array in arrays.items() if array is not None}

    @cached_property
    def shape(self) -> Shape:
        """What the kernel is compiled for."""
        flat, layout = self.flat, self.layout
        flags = {
            "SHADOW": flat.block.shadow,
            "RELAY": flat.relay is not None,
            "VALUES": not all(layout.spiking),
            "NOISE": flat.block.noise is not None,
            "CLOSED": flat.loop is not None,
            "DELAYS": any(layout.waits),
        }
        double = flat.columns.dtype == torch.float64
        return Shape(flat.columns.total, flat.constants.programs, tuple(flags.items()), double)

    @property
    def numbers(self) -> dict[str, float]:
        """The counts and numbers of the kernel."""
        flat, layout, arrays = self.flat, self.layout, self.arrays
        network, relay, trace = flat.network, flat.relay, readout_trace(flat.network)
        return {
            "chips": flat.pairs[0],
            "batch": flat.pairs[1],
            "steps": flat.block.steps,
            "columns": flat.columns.total,
            "outputs": network.outputs,
            "inputs": network.inputs,
            "layers": network.depth,
            "connections": len(network.connections),
            "input_words": arrays["spikes"].shape[-1] if "spikes" in arrays else 0,
            "target_chips": arrays["target"].shape[0] if "target" in arrays else 1,
            "drive_batch": arrays["drive"].shape[1],
            "curve_chips": arrays["curves"].shape[0] if relay else 1,
            "every": relay.every if relay else 1,
            "points": relay.points if relay else 0,
            "spikes_in": int("spikes" in arrays),
            "driven": arrays["input_weights"].shape[2] if "values" in arrays else 0,
            "weights_total": sum(layout.synapses),
            "relay_total": arrays["relay_weights"].shape[1] if relay else 0,
            "ring_words_total": layout.ring_words,
            "ring_values_total": layout.ring_values,
            "trace_keep": trace.decay,
            "trace_gain": trace.gain,
            "gate_keep": relay.kept if relay else 0.0,
        }

    def _given(self) -> Arrays:
        """Return what the kernel is given and what it overwrites, most of it as the block has it."""
        flat, drive, block = self.flat, self.flat.block.drive, self.flat.block
        low, scale = (None, None) if flat.gate_range is None else flat.gate_range
        spikes = None
        if isinstance(drive, SpikeDrive):
            spikes = pack_bits(self._arriving(drive.spikes.to(flat.columns.device))).contiguous()
        own = {
            "constants": flat.constants.neurons,
            "shadow_constants": flat.constants.shadows if block.shadow else None,
            "decay": flat.constants.decay,
            "weights": flat.weights(direct=False),
            "low": low,
            "scale": scale,
            "added": flat.window.new_tensor(flat.relay.added) if flat.relay else None,
            "spikes": spikes,
            "noise": self._noise(),
            "gains": flat.gains_of_loop,
            "controlled": flat.columns.to(block.controlled) if flat.loop else None,
            "softmax": flat.columns.to(block.softmax) if flat.loop else None,
            "effort": flat.control,
        }
        return {name: getattr(flat, name) for name in FLAT} | own

    def _arriving(self, spikes: Tensor) -> Tensor:
        """Return the input spikes of every step's arrival; a delay brings those of earlier steps first.

        All connections from the input have the same; see the simulator's `check`.
        """
        wait = self.flat.network.connections[0].delay_steps - 1
        if not wait:
            return spikes
        earlier = self.flat.block.start.history[0][0].to(spikes.device) != 0
        return torch.cat([earlier, spikes], dim=1)[:, : self.flat.block.steps]

    def _noise(self) -> Tensor | None:
        """Return the noise of every step, ``(steps, batch, columns)``, as the tensor simulator draws it."""
        block, columns = self.flat.block, self.flat.columns
        if block.noise is None:
            return None
        shape = (block.batch, sum(columns.sizes))
        place = torch.device("cpu")
        process = ApicalNoise(block.noise, shape, self.flat.network.dt_ms, place, columns.dtype)
        steps = torch.stack([process.step(None, None, None) for _ in range(block.steps)])
        return columns.join(torch.split(steps, list(columns.sizes), dim=-1))

    def _rings(self) -> Arrays:
        """Return what is under way at the start."""
        flat, layout = self.flat, self.layout
        words, values = [], []
        for index, history in enumerate(flat.block.start.history):
            if not layout.waits[index]:
                continue
            held = history.to(flat.columns.device).expand(*flat.pairs, -1, -1)
            if layout.spiking[flat.network.connections[index].pre - 1]:
                words.append(pack_bits(held).flatten(2))
            else:
                values.append(flat.columns.to(held).flatten(2))
        return {
            name: torch.cat(rings, dim=2).contiguous() if rings else None
            for name, rings in (("ring_words", words), ("ring_values", values))
        }

    def _records(self) -> Arrays:
        flat = self.flat
        asked = dict(flat.traces)
        if flat.block.noise is not None and flat.loop is not None:  # what the correlation is made of
            asked = {name: flat.record(name) for name in ("fed", "control")} | asked
        return {f"r_{name}": array for name, array in asked.items()}
