"""f-I curves measured on the chips, as one would on a bench: known currents in, rates out."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

import torch
from torch import Tensor

from chips.base import Chips
from rate_bridge.calibration import MeasuredTransfer, current_levels, measured_transfer
from rate_bridge.filters import window
from spiking.presentation import CurrentDrive, Phase, Weights

__all__ = ["POINTS", "measure_at", "measure_curves"]

POINTS = 25
"""Levels of the current, each of them a presentation."""

HIGHEST = 1.5
"""Rate up to which the curves are measured, 1 = ``max_rate_hz``."""


def measure_curves(
    chips: Chips, *, points: int = POINTS, steps: int = 600, deviation: float = 0.6
) -> tuple[MeasuredTransfer, ...]:
    """Return the curve of every neuron of layers 1 to L over a range around its design's.

    Args:
        chips: the population.
        points: levels of the current.
        steps: length of a level; rates are counted in its second half.
        deviation: how far neurons may deviate, as a fraction of the current; see `current_levels`.
    """
    network = chips.network
    curves = [layer.neuron.transfer(network.max_rate_hz, network.dt_ms) for layer in network.layers]
    return measure_at(chips, [current_levels(curve, points, HIGHEST, deviation) for curve in curves], steps)


def measure_at(chips: Chips, levels: Sequence[Tensor], steps: int = 600) -> tuple[MeasuredTransfer, ...]:
    """Return the curve of every neuron of layers 1 to L through given levels, from what is observed alone.

    All synapses are programmed to 0 and all biases too, so that every neuron sees the
    current that is injected and nothing else; all neurons are measured at once, one level a sample. The
    chips are left as they were. A current counts as the total one, the programmed bias included.

    Args:
        chips: the population.
        levels: currents of each layer, as many in all of them, ``(points,)`` each.
        steps: length of a level; rates are counted in its second half.
    """
    network, points = chips.network, len(levels[0])
    zeros = partial(torch.zeros, dtype=torch.float64, device=chips.device)
    levels = [level.to(chips.device) for level in levels]
    silent = Weights(
        forward=tuple(zeros(chips.chips, *synapses.parameters) for synapses in network.synapses),
        bias=tuple(zeros(chips.chips, n.size) for n in network.layers),
    )
    phase = Phase(
        "calibration",
        CurrentDrive(zeros(points, network.inputs)),
        window(steps, steps // 2),
        currents=tuple(
            level.unsqueeze(1).expand(points, layer.size)
            for level, layer in zip(levels, network.layers, strict=True)
        ),
    )
    bench = chips.trial()
    bench.program(silent)
    rates = bench.present((phase,), "calibration")["calibration"].rates[1:]
    return tuple(
        measured_transfer(level, rate.transpose(1, 2).double())
        for level, rate in zip(levels, rates, strict=True)
    )
